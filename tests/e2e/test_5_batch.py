"""A batch job starts workers and survives the loss of one, and the workers stop afterwards."""

from __future__ import annotations

import json
import time

from tests.fixtures.kind_cluster import KindCluster

INPUTS = 20_000
LABELS = ("seafaring", "cooking")
WORKERS_SECONDS = 120
JOB_SECONDS = 300


def make_lines() -> str:
    """Return distinct inputs as NDJSON."""
    return "".join(json.dumps(f"Ship {number} is at sea.") + "\n" for number in range(INPUTS))


def kill(cluster: KindCluster, pod: str) -> None:
    """Kill all processes of a pod, so that it cannot release its chunks, and delete the pod."""
    uid = cluster.get("pod", pod)["metadata"]["uid"].replace("-", "[-_]")
    find = f"grep -l 'pod{uid}' /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3"
    # Killing one process may end others of the list, which is not an error.
    cluster.node_run("sh", "-c", f'while alive=$({find}); [ "$alive" ]; do kill -9 $alive; done; :')
    cluster.run("delete", "pod", pod, "--grace-period=0", "--force")


def test_a_large_job_succeeds_although_a_worker_is_killed(
    cluster: KindCluster, figures: dict[str, str]
) -> None:
    cluster.wait_for(lambda: not cluster.pods("minilm", "batch"), what="no worker without jobs")
    query = "&".join(f"labels={label}" for label in LABELS)
    accepted = cluster.request(
        f"/predict/text/batch?{query}",
        content=make_lines(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["total"] == INPUTS
    task = accepted.json()["status_url"]
    began = time.monotonic()

    def completed() -> int:
        status = cluster.request(f"{task}?limit=1").json()
        return int(status["succeeded"] + status["failed"])

    def ready_workers() -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in cluster.pods("minilm", "batch")
            if all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": 0}]))
        ]

    cluster.wait_for(ready_workers, WORKERS_SECONDS, "workers")
    cluster.wait_for(completed, JOB_SECONDS, "first results")
    kill(cluster, ready_workers()[0])
    at_kill = completed()
    assert at_kill < INPUTS, "the job ended before a worker could be killed"

    cluster.wait_for(lambda: completed() == INPUTS, JOB_SECONDS, "the end of the job")
    figures["batch of 20,000"] = (
        f"{time.monotonic() - began:.0f} s from acceptance to the last result, "
        f"with a worker killed after {at_kill} results"
    )
    status = cluster.request(f"{task}?limit=1").json()
    assert (status["status"], status["failed"]) == ("succeeded", 0)
    response = cluster.request(task, headers={"Accept": "application/x-ndjson"})
    results = [json.loads(line) for line in response.text.splitlines()]
    assert sorted(each["index"] for each in results) == list(range(INPUTS))
    assert {each["prediction"]["label"] for each in results} == {LABELS[0]}
    cluster.wait_for(
        lambda: cluster.get("deployment", "minilm-batch")["status"].get("replicas", 0) == 0,
        what="the workers to stop",
    )
