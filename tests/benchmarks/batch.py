"""`make bench-batch`: measure large jobs relative to the limit of this machine.

    python -m tests.benchmarks.batch [--texts 100000] [--repeats 3] [--limit-seconds 15]

Jobs are sent through the HTTP API, and timed from the first byte sent until the last result is in
PostgreSQL.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import httpx2
import msgspec
from tests.benchmarks.command import run_benchmark
from tests.benchmarks.limit import Limit, open_limit
from tests.benchmarks.load import BenchmarkFailed
from tests.benchmarks.local_slipway import RunningSlipway, run_slipway
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.memory import MemoryWatch
from tests.benchmarks.report import Spread, make_table, progress, publish
from tests.benchmarks.texts import lognormal_texts

WINDOW = 512  # texts in flight when the limit is measured: about a chunk
WARM_UP_TEXTS = 2000
SAMPLE_SECONDS = 2
MAX_JOB_SECONDS = 4 * 3600
LINES_PER_CHUNK = 1000
FINAL_STATES = ("succeeded", "partial", "failed", "cancelled", "expired")


@dataclass(frozen=True)
class JobTimes:
    """Seconds until a job was accepted, and until its last result was stored."""

    accepted_seconds: float
    done_seconds: float


def main() -> int:
    """Measure, print and write the tables. Returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=100_000, help="texts per job")
    parser.add_argument("--repeats", type=int, default=3, help="number of jobs")
    parser.add_argument(
        "--limit-seconds", type=float, default=15, help="duration of each measurement of the limit"
    )
    parser.add_argument("--no-write", action="store_true", help="only print the tables")
    options = parser.parse_args()

    def measure() -> None:
        content = _measure(options.texts, options.repeats, options.limit_seconds)
        publish("batch", content, write=not options.no_write)

    return run_benchmark(measure)


def _measure(count: int, repeats: int, limit_seconds: float) -> str:
    texts = lognormal_texts(count)
    jobs: list[JobTimes] = []
    ends: list[float] = []
    with run_slipway() as slipway, open_limit(limit_seconds) as limit:
        # The worker may still be loading the model, and its first batches are slower.
        progress("a small job to warm up")
        run_job(slipway, texts[:WARM_UP_TEXTS])
        limits = [_measure_limit(limit)]
        trees = {"inference server": slipway.inference_pid, "batch worker": slipway.worker_pids[0]}
        with MemoryWatch(trees, SAMPLE_SECONDS) as memory:
            began = time.monotonic()
            for number in range(1, repeats + 1):
                progress(f"a job of {count} texts, {number} of {repeats}")
                jobs.append(run_job(slipway, texts))
                ends.append(time.monotonic() - began)
                limits.append(_measure_limit(limit))
        configuration = slipway.describe()
    rates = [count / job.done_seconds for job in jobs]
    # Other activity on the machine varies, so each job is compared with the limit around it.
    shares = [
        100 * rate / ((before + after) / 2)
        for rate, (before, after) in zip(rates, pairwise(limits), strict=True)
    ]
    rows = [
        (name, *(f"{memory.at(name, at):.0f}" for at in (0.0, *ends)), f"{memory.peak(name):.0f}")
        for name in trees
    ]
    after = [f"after job {number}" for number in range(1, repeats + 1)]
    header = ("MiB (proportional set size)", "start", *after, "peak")
    accepted = Spread.of([job.accepted_seconds for job in jobs])
    done = Spread.of([job.done_seconds for job in jobs])
    return "\n\n".join(
        (
            f"{describe_machine()}. Slipway: {configuration}.",
            f"{repeats} jobs of {count} texts, one after the other. Each was accepted in "
            f"{accepted.show(1)} s, and its last result was in PostgreSQL after {done.show(1)} s. "
            f"This is {Spread.of(rates).show()} texts/s, or {Spread.of(shares).show()} % of the "
            f"limit ({Spread.of(limits).show()} texts/s, measured before and after each job).",
            make_table(header, rows),
        )
    )


def _measure_limit(limit: Limit) -> float:
    progress("the limit")
    return limit.measure(WINDOW)


def run_job(slipway: RunningSlipway, texts: list[str]) -> JobTimes:
    """Submit the texts and wait for the results. Raises BenchmarkFailed unless all succeed."""
    began = time.monotonic()
    with httpx2.Client(base_url=slipway.url, timeout=900, trust_env=False) as client:
        response = client.post(
            "/predict/text/batch",
            content=_ndjson(texts),
            headers={"Content-Type": "application/x-ndjson"},
        )
        if response.status_code != 202:
            raise BenchmarkFailed(f"the job was rejected: {response.text}")
        accepted = time.monotonic() - began
        job = _wait_for_end(client, response.json()["status_url"], began)
    if job["status"] != "succeeded":
        raise BenchmarkFailed(f"the job ended as {job['status']} with {job['failed']} failures")
    return JobTimes(accepted, time.monotonic() - began)


def _ndjson(texts: list[str]) -> Iterator[bytes]:
    for start in range(0, len(texts), LINES_PER_CHUNK):
        lines = texts[start : start + LINES_PER_CHUNK]
        yield b"".join(msgspec.json.encode(text) + b"\n" for text in lines)


def _wait_for_end(client: httpx2.Client, status_url: str, began: float) -> dict[str, object]:
    while True:
        job: dict[str, object] = client.get(status_url, params={"limit": 1}).json()
        if job["status"] in FINAL_STATES:
            return job
        if time.monotonic() - began > MAX_JOB_SECONDS:
            raise BenchmarkFailed(f"the job has not ended after {MAX_JOB_SECONDS} s: {job}")
        time.sleep(0.25)


if __name__ == "__main__":
    sys.exit(main())
