-- Script of wrk for tests/benchmarks/load.py: posts the bodies of a file one after the other, and
-- prints a line of JSON at the end. Arguments: the file, with one body per line; requests per second
-- (0: each connection sends its next request after the response); "timed" or "plain".
--
-- "timed" sends the time as X-Request-ID, which Slipway returns, so that the latency of each response
-- is known together with its status. wrk itself does not separate latencies by status.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } benchmark_time;
  int clock_gettime(int clock, benchmark_time *time);
]]

local CLOCK_MONOTONIC = 1
local PLACEHOLDER = string.rep("0", 20)
local clock = ffi.new("benchmark_time")
local threads, heads, tails = {}, {}, {}
local at, due, rate = 0, 0, 0

-- Globals of a thread, which `done` reads in the main thread: the microseconds of each response with
-- status 200, in the order of arrival, and the number of responses with each other status.
latencies, others = {}, {}

local function microseconds()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, clock)
  return tonumber(clock.seconds) * 1000000 + math.floor(tonumber(clock.nanoseconds) / 1000)
end

local function record_response(status, headers)
  local sent = tonumber(headers["x-request-id"] or headers["X-Request-ID"])
  if status == 200 and sent then
    latencies[#latencies + 1] = microseconds() - sent
  else
    others[tostring(status)] = (others[tostring(status)] or 0) + 1
  end
end

-- Return the milliseconds until the next arrival of a Poisson process, for a free connection.
local function wait_for_arrival()
  local now = microseconds()
  due = (due == 0 and now or due) - math.log(1 - math.random()) / rate * 1000000
  return math.max(0, math.floor((due - now) / 1000))
end

local function stamped_request()
  at = at % #heads + 1
  return heads[at] .. string.format("%020d", microseconds()) .. tails[at]
end

local function plain_request()
  at = at % #heads + 1
  return heads[at]
end

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local timed = args[3] == "timed"
  rate = tonumber(args[2])
  for body in io.lines(args[1]) do
    local headers = { ["Content-Type"] = "application/json" }
    for name, value in pairs(wrk.headers) do headers[name] = value end
    if timed then headers["X-Request-ID"] = PLACEHOLDER end
    local request = wrk.format("POST", nil, headers, body)
    local start, stop = string.find(request, PLACEHOLDER, 1, true)
    heads[#heads + 1] = timed and string.sub(request, 1, start - 1) or request
    tails[#tails + 1] = timed and string.sub(request, stop + 1) or ""
  end
  math.randomseed(microseconds() % 1000003)
  at = math.random(#heads)
  request = timed and stamped_request or plain_request
  if timed then response = record_response end
  if rate > 0 then delay = wait_for_arrival end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local times, counts = {}, {}
  for _, thread in ipairs(threads) do
    for _, time in ipairs(thread:get("latencies")) do times[#times + 1] = tostring(time) end
    for status, count in pairs(thread:get("others")) do
      counts[#counts + 1] = string.format('"%s": %d', status, count)
    end
  end
  print(string.format(
    'RESULT {"microseconds": %d, "requests": %d, "bad_status": %d, "broken": %d, '
      .. '"p50": %d, "p99": %d, "other_statuses": {%s}, "latencies": [%s]}',
    summary.duration, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99),
    table.concat(counts, ", "), table.concat(times, ", ")))
end
