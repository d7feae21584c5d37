"""A batch job calls workers into being, survives the death of one, and lets them go."""

from __future__ import annotations

import json
import time

from tests.fixtures.kind_cluster import KindCluster

INPUTS = 20_000
LABELS = ("seafaring", "cooking")
WORKERS_SECONDS = 120
JOB_SECONDS = 300


def lines() -> str:
    """NDJSON of inputs that all differ, so that an answer shows whose it is."""
    return "".join(json.dumps(f"Ship {number} is at sea.") + "\n" for number in range(INPUTS))


def kill(cluster: KindCluster, pod: str) -> None:
    """SIGKILL to all of its processes, so that it can give nothing back; and the pod is gone."""
    uid = cluster.get("pod", pod)["metadata"]["uid"].replace("-", "[-_]")
    find = f"grep -l 'pod{uid}' /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3"
    # The first one killed can take others of the list along, which is no failure.
    cluster.node_run("sh", "-c", f'while alive=$({find}); [ "$alive" ]; do kill -9 $alive; done; :')
    cluster.run("delete", "pod", pod, "--grace-period=0", "--force")


def test_twenty_thousand_inputs_and_a_killed_worker(
    cluster: KindCluster, figures: dict[str, str]
) -> None:
    cluster.wait_for(lambda: not cluster.pods("minilm", "batch"), named="no worker at rest")
    query = "&".join(f"labels={label}" for label in LABELS)
    accepted = cluster.ask(
        f"/predict/text/batch?{query}",
        content=lines(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["total"] == INPUTS
    task = accepted.json()["status_url"]
    began = time.monotonic()

    def done() -> int:
        status = cluster.ask(f"{task}?limit=1").json()
        return int(status["succeeded"] + status["failed"])

    def ready_workers() -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in cluster.pods("minilm", "batch")
            if all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": 0}]))
        ]

    cluster.wait_for(ready_workers, WORKERS_SECONDS, "workers")
    cluster.wait_for(done, JOB_SECONDS, "first results")
    kill(cluster, ready_workers()[0])
    at_kill = done()
    assert at_kill < INPUTS, "the job ended before a worker could be killed"

    cluster.wait_for(lambda: done() == INPUTS, JOB_SECONDS, "the end of the job")
    figures["batch of 20,000"] = (
        f"{time.monotonic() - began:.0f} s from none to all, a worker killed after {at_kill}"
    )
    status = cluster.ask(f"{task}?limit=1").json()
    assert (status["status"], status["failed"]) == ("succeeded", 0)
    answer = cluster.ask(task, headers={"Accept": "application/x-ndjson"})
    results = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(each["index"] for each in results) == list(range(INPUTS))
    assert {each["prediction"]["label"] for each in results} == {LABELS[0]}
    cluster.wait_for(
        lambda: cluster.get("deployment", "minilm-batch")["status"].get("replicas", 0) == 0,
        named="the workers to stop",
    )
