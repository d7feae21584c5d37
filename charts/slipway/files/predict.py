"""Predict with a model of this release, realtime and as a batch: what `helm test` runs."""

import json
import os
import time
import urllib.error
import urllib.request

ADDRESS = os.environ["ADDRESS"]
DEADLINE = time.monotonic() + float(os.environ["DEADLINE_SECONDS"])


def call(path, body=None):
    """The parsed answer; asked again until the deadline while the model is not there yet."""
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
            answer = error.read().decode()
            if error.code < 500 and error.code != 429:
                raise SystemExit(f"{path}: {error.code} {answer}") from None
            problem = f"{error.code} {answer[:200]}"
        except OSError as error:
            problem = str(error)
        if time.monotonic() > DEADLINE:
            raise SystemExit(f"{ADDRESS}{path} did not answer in time: {problem}")
        print(f"waiting for {ADDRESS}{path}: {problem}", flush=True)
        time.sleep(2)


def wait_for(task):
    """The status of a batch once nothing of it is left to do."""
    while True:
        status = call(f"/predict/status/{task}")
        if status["status"] not in ("queued", "running"):
            return status
        if time.monotonic() > DEADLINE:
            raise SystemExit(f"batch {task} is still {status['status']}")
        time.sleep(2)


answer = call("/predict/text", {"input_text": "Slipway answers."})
print(f"realtime: {answer['model']} {answer['version']} in {answer['latency_ms']} ms")

if os.environ["BATCH"] == "true":
    accepted = call("/predict/text/batch", {"inputs": ["one", "two", "three"]})
    status = wait_for(accepted["task_id"])
    print(f"batch: {status['status']}, {status['succeeded']} of {status['total']} succeeded")
    if status["status"] != "succeeded":
        raise SystemExit(json.dumps(status))
