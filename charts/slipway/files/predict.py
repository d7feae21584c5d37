"""Run a realtime prediction and a batch job on a model of this release, for `helm test`."""

import json
import os
import time
import urllib.error
import urllib.request

ADDRESS = os.environ["ADDRESS"]
DEADLINE = time.monotonic() + float(os.environ["DEADLINE_SECONDS"])


def call(path, body=None):
    """Return the parsed response. Retry until the deadline while the model is unavailable."""
    request = urllib.request.Request(
        ADDRESS + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            if error.code < 500 and error.code != 429:
                raise SystemExit(f"{path}: {error.code} {text}") from None
            problem = f"{error.code} {text[:200]}"
        except OSError as error:
            problem = str(error)
        if time.monotonic() > DEADLINE:
            raise SystemExit(f"{ADDRESS}{path} did not respond in time: {problem}")
        print(f"waiting for {ADDRESS}{path}: {problem}", flush=True)
        time.sleep(2)


def wait_for(task):
    """Wait until a batch job has ended, and return its status."""
    while True:
        status = call(f"/predict/status/{task}")
        if status["status"] not in ("queued", "running"):
            return status
        if time.monotonic() > DEADLINE:
            raise SystemExit(f"batch {task} is still {status['status']}")
        time.sleep(2)


prediction = call("/predict/text", {"input_text": "Slipway answers."})
print(f"realtime: {prediction['model']} {prediction['version']} in {prediction['latency_ms']} ms")

if os.environ["BATCH"] == "true":
    accepted = call("/predict/text/batch", {"inputs": ["one", "two", "three"]})
    status = wait_for(accepted["task_id"])
    print(f"batch: {status['status']}, {status['succeeded']} of {status['total']} succeeded")
    if status["status"] != "succeeded":
        raise SystemExit(json.dumps(status))
