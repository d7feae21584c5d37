"""Mutated requests find no crash: no response is an internal error, none tells anything about the
server or the data of others, and the processes live on.

`make test-adversarial` sends a hundred times as many as `make test`. FUZZ_SEED chooses which.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from random import Random

import psutil
import psycopg
import pytest
from tests.adversarial.mutations import mutated_requests, valid_requests
from tests.fixtures.models import EVERY_MODALITY, write_python_package
from tests.fixtures.services import ServiceProcess, StartInference, receive_all

from slipway_core.store.identifiers import uuid7

pytestmark = pytest.mark.component

REQUESTS = 200_000 if os.environ.get("ADVERSARIAL") == "whole" else 2_000
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SENDERS = 8
ANSWER_SECONDS = 30.0
REQUESTS_PER_SECOND = 20
"""Far fewer than any machine manages; bounds the time of the whole test."""

EVERYTHING = """
from slipway_core.runtime import Model

class Everything(Model):
    def predict(self, batch):
        return [{"label": "a", "score": 0.5} for value in batch]
"""

FOREIGN = "text-of-another-deployment"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
EXPECTED_SERVER_ERRORS = {503, 504}
"""Overload, and deadlines that a mutation has shortened."""
LEAKS = re.compile(
    rb"Traceback|File \"|\.py\b(?!thon)|site-packages|/(?:tmp|home|root)/|postgresql://|redis://|"
    + FOREIGN.encode()
)


@pytest.mark.timeout(120 + REQUESTS / REQUESTS_PER_SECOND)
def test_mutated_requests_find_no_crash(
    tmp_path: Path,
    start_inference: StartInference,
    database_url: str,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package = write_python_package(
        tmp_path / "package",
        EVERYTHING,
        entrypoint="Everything",
        name="all",
        modalities=EVERY_MODALITY,
    )
    _store_a_foreign_prediction(database_url)
    server = start_inference(package, database_url=database_url, redis_url=redis_url)
    processes = _family(server)
    requests = islice(mutated_requests(valid_requests("all"), Random(SEED)), REQUESTS)
    statuses: Counter[int] = Counter()
    with ThreadPoolExecutor(SENDERS) as senders:
        for found in senders.map(lambda request: _send_and_check(server, request), requests):
            statuses.update(found)
    with capsys.disabled():
        sys.stdout.write(f"\n{REQUESTS} requests, seed {SEED}: {dict(sorted(statuses.items()))}\n")
    assert _family(server) == processes, "the server or an engine was replaced"
    failures = [line["exception"][-3000:] for line in server.lines() if "exception" in line]
    assert failures == [], "\n".join(failures)
    assert statuses[200] > REQUESTS / 100, "hardly any mutation reaches the application"


def _send_and_check(server: ServiceProcess, request: bytes) -> list[int]:
    """Send the bytes, and return the statuses of all responses."""
    with server.connect(ANSWER_SECONDS) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = receive_all(connection)
        except TimeoutError:
            pytest.fail(f"no end of the response to {request!r}")
        except (BrokenPipeError, ConnectionResetError):
            return []  # the connection was closed while the rest of a rejected request was sent
    statuses = [int(status) for status in STATUS.findall(answer)]
    unexpected = {s for s in statuses if s >= 500} - EXPECTED_SERVER_ERRORS
    assert not unexpected, f"{request!r}\n-> {answer[:2000]!r}"
    # What was in the request itself may be repeated.
    leaks = [leak for leak in LEAKS.findall(answer) if leak not in request]
    assert not leaks, f"{leaks} in the response to {request!r}\n-> {answer[:2000]!r}"
    return statuses


def _family(server: ServiceProcess) -> set[int]:
    children = psutil.Process(server.pid).children(recursive=True)
    return {server.pid, *(child.pid for child in children)}


def _store_a_foreign_prediction(database_url: str) -> None:
    """Store a prediction of another deployment's model, which this server must not show."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO predictions (id, created_at, request_id, model, version, model_digest,"
            " modality, status, input, latency_ms, tokens)"
            " VALUES (%s, now(), 'r', 'other', '1', 'd', 'text', 'ok', to_jsonb(%s::text), 1, 1)",
            [uuid7(), FOREIGN],
        )
