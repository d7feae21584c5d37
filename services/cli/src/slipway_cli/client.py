"""A Python client of Slipway's HTTP API.

    with SlipwayClient("http://127.0.0.1:8000") as client:
        client.predict_text("A ship slides down the slipway.")["prediction"]["embedding"]

Methods return the JSON objects of the API. Requests that fail for now (429, 502, 503, 504, or no
connection) are retried within `retry_seconds`, after the pause in Retry-After. A submission carries
an Idempotency-Key, so it is safe to retry too.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import httpx2
from socksio import SOCKSError

from slipway_cli.connection import connect
from slipway_cli.request_errors import RequestFailed, RequestRefused, ServiceUnavailable
from slipway_core.store.states import FINAL_JOB_STATES

T = TypeVar("T")
Json = dict[str, Any]

NDJSON = "application/x-ndjson"
_RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
_FIRST_PAUSE_SECONDS = 0.25
_MAX_PAUSE_SECONDS = 10.0
_MAX_FRUITLESS_TRIES = 5
_RECONNECT_SECONDS = 0.5


class SlipwayClient:
    """A client of one Slipway service. Methods raise RequestRefused and ServiceUnavailable.

    timeout_seconds: the timeout of each network operation. retry_seconds: the time within which a
    request is retried. on_retry: called with a message when a request is retried for the first
    time.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 60,
        retry_seconds: float = 30,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.url = url.rstrip("/")
        self._retry_seconds = retry_seconds
        self._on_retry = on_retry
        self._http = connect(self.url, timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict_text(
        self, text: str, *, labels: Sequence[str] = (), parameters: Json | None = None
    ) -> Json:
        """Predict one text: its embedding, or with labels its classification."""
        body: Json = {"input_text": text}
        if labels:
            body["labels"] = list(labels)
        if parameters:
            body["parameters"] = parameters
        return self._request("POST", "/predict/text", json=body)

    def submit(
        self,
        inputs: Callable[[], Iterable[bytes]],
        *,
        modality: str = "text",
        labels: Sequence[str] = (),
        idempotency_key: str = "",
        deadline_seconds: float | None = None,
        webhook_url: str = "",
    ) -> Json:
        """Submit a batch job and return its `task_id` and `status_url`.

        inputs: returns the NDJSON lines; called for each try. deadline_seconds: time after which
        inputs that have not run expire. webhook_url: called when the job has ended.
        """
        options: Json = {
            "labels": list(labels),
            "deadline_seconds": deadline_seconds,
            "webhook_url": webhook_url,
        }
        headers = {
            "Content-Type": NDJSON,
            "Idempotency-Key": idempotency_key or uuid.uuid4().hex,
        }

        def post() -> Json:
            response = self._http.post(
                f"/predict/{modality}/batch",
                params={
                    name: value for name, value in options.items() if value not in ([], None, "")
                },
                headers=headers,
                content=iter(inputs()),
            )
            return _checked_object(response)

        return self._retry(post)

    def status(self, task_id: str, *, limit: int = 1, after: int = -1) -> Json:
        """Return a job and up to `limit` (1 to 1000) of its results after the index `after`."""
        return self._request(
            "GET", f"/predict/status/{task_id}", params={"limit": limit, "after": after}
        )

    def watch(self, task_id: str) -> Iterator[Json]:
        """Yield the progress of a job at each change until it ends; reconnect when interrupted."""
        progress: Json = {}
        while progress.get("status") not in FINAL_JOB_STATES:
            if progress:
                time.sleep(_RECONNECT_SECONDS)
            with self._stream(f"/predict/status/{task_id}", "text/event-stream") as response:
                for progress in _events(response):
                    yield progress

    def results(self, task_id: str) -> Iterator[Json]:
        """Yield all stored results in the order of the inputs; resume when interrupted."""
        after = -1
        fruitless = 0
        while fruitless < _MAX_FRUITLESS_TRIES:
            started_after = after
            path = f"/predict/status/{task_id}?after={after}"
            try:
                with self._stream(path, NDJSON) as response:
                    for line in _lines(response):
                        result = json.loads(line)
                        after = result["index"]
                        yield result
                return
            except httpx2.TransportError:
                fruitless = fruitless + 1 if after == started_after else 0
                time.sleep(_RECONNECT_SECONDS)
        raise ServiceUnavailable("the results were interrupted repeatedly: try again later")

    def cancel(self, task_id: str) -> Json:
        """Cancel the inputs that have not run, and return the job."""
        return self._request("DELETE", f"/predict/status/{task_id}")

    def retry(self, task_id: str) -> Json:
        """Queue the failed inputs of a job that has ended, and return the job."""
        return self._request("POST", f"/predict/status/{task_id}/retry")

    def predictions(self, *, limit: int = 10) -> Json:
        """Return the newest rows of the prediction log."""
        return self._request("GET", "/predictions", params={"limit": limit})

    def health(self) -> Json:
        """Return the summary of /health, also when the service is unhealthy."""

        def get() -> Json:
            response = self._http.get("/health")
            if "application/json" not in response.headers.get("content-type", ""):
                return _checked_object(response)
            return _object(response)

        return self._retry(get)

    def metrics(self) -> str:
        """Return the text of /metrics."""

        def get() -> str:
            response = self._http.get("/metrics")
            if response.is_error:
                raise _failure(response)
            return response.text

        return self._retry(get)

    def _request(self, method: str, path: str, **request: Any) -> Json:
        return self._retry(lambda: _checked_object(self._http.request(method, path, **request)))

    @contextmanager
    def _stream(self, path: str, accept: str) -> Iterator[httpx2.Response]:
        request = self._http.build_request("GET", path, headers={"Accept": accept})

        def open_stream() -> httpx2.Response:
            response = self._http.send(request, stream=True)
            if response.is_error:
                response.read()
                raise _failure(response)
            return response

        response = self._retry(open_stream)
        try:
            yield response
        finally:
            response.close()

    def _retry(self, attempt: Callable[[], T]) -> T:
        """Return the result of `attempt`, retried with backoff while that can help."""
        deadline = time.monotonic() + self._retry_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return attempt()
            except (httpx2.TransportError, SOCKSError) as error:
                failure: RequestFailed = ServiceUnavailable(
                    f"{self.url} cannot be reached ({error or type(error).__name__}): is the "
                    f"service running, and --url or SLIPWAY_URL right?"
                )
            except httpx2.InvalidURL as error:
                raise RequestRefused(f"{self.url} is not an address: {error}") from None
            except ServiceUnavailable as error:
                failure = error
            wait = min(failure.retry_after_seconds or pause, _MAX_PAUSE_SECONDS)
            wait += random.uniform(0, wait / 2)  # noqa: S311 - spreads clients, hides nothing
            if time.monotonic() + wait > deadline:
                raise failure
            if pause == _FIRST_PAUSE_SECONDS:
                self._on_retry(
                    f"{self.url} cannot answer at the moment: trying again for up to "
                    f"{self._retry_seconds:g} s"
                )
            time.sleep(wait)
            pause *= 2


def _lines(response: httpx2.Response) -> Iterator[bytes]:
    """Yield the complete lines of NDJSON. They end at line feeds alone: JSON texts may contain
    every other character that the client's own `iter_lines` takes for the end of a line.
    """
    incomplete = b""
    for block in response.iter_bytes():
        *lines, incomplete = (incomplete + block).split(b"\n")
        yield from lines
    if incomplete:
        yield incomplete


def _events(response: httpx2.Response) -> Iterator[Json]:
    try:
        for event in httpx2.EventSource(response):
            if event.event in ("progress", "done"):
                yield json.loads(event.data)
    except httpx2.TransportError:
        return


def _checked_object(response: httpx2.Response) -> Json:
    if response.is_error:
        raise _failure(response)
    return _object(response)


def _object(response: httpx2.Response) -> Json:
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise RequestRefused(
            f"{response.url} did not answer with a JSON object: is this a Slipway service?"
        )
    return content


def _failure(response: httpx2.Response) -> RequestFailed:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": f"{response.url} answered {response.status_code} without a reason"}
    retryable = response.status_code in _RETRYABLE_STATUSES
    error = ServiceUnavailable if retryable else RequestRefused
    retry_after = response.headers.get("retry-after", "")
    return error(
        str(problem.get("detail", "the request failed")),
        problem=problem,
        retry_after_seconds=float(retry_after) if retry_after.isdigit() else None,
    )
