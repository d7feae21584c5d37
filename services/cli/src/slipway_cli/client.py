"""A small Python client of Slipway's HTTP API.

    with SlipwayClient("http://127.0.0.1:8000") as client:
        client.predict_text("A ship slides down the slipway.")["prediction"]["embedding"]

Answers are the API's JSON objects. Requests that the service could not take at the moment (429,
502, 503, 504, no connection) are tried again within `patience_seconds`, as long after as its
Retry-After says. Submitting a job carries an Idempotency-Key, so it too is safe to repeat.
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

from slipway_cli.request_errors import RequestFailed, RequestRefused, ServiceUnavailable

T = TypeVar("T")
Json = dict[str, Any]

NDJSON = "application/x-ndjson"
FINAL_STATES = frozenset({"succeeded", "partial", "failed", "cancelled", "expired"})
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_FRUITLESS_TRIES = 5
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SlipwayClient:
    """Talks to one Slipway service. Raises RequestRefused and ServiceUnavailable.

    timeout_seconds bounds each wait for the network; patience_seconds all tries of a request, and
    `say` is told once of a request that is tried again.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 60,
        patience_seconds: float = 30,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = patience_seconds
        self._say = say
        # A proxy of the environment does not reach what runs on this machine.
        trust_env = _host(self.url) not in _LOOPBACK
        self._http = httpx2.Client(base_url=self.url, timeout=timeout_seconds, trust_env=trust_env)

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
        """The answer of POST /predict/text; with labels a classification, else an embedding."""
        body: Json = {"input_text": text}
        if labels:
            body["labels"] = list(labels)
        if parameters:
            body["parameters"] = parameters
        return self._json("POST", "/predict/text", json=body)

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
        """Store a batch job and return its `task_id` and `status_url`.

        `inputs` gives the NDJSON lines; it is called again for each try. What has not run
        `deadline_seconds` later expires; `webhook_url` is told of the job's end.
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

        def once() -> Json:
            response = self._http.post(
                f"/predict/{modality}/batch",
                params={
                    name: value for name, value in options.items() if value not in ([], None, "")
                },
                headers=headers,
                content=iter(inputs()),
            )
            return _checked(response)

        return self._patiently(once)

    def status(self, task_id: str, *, limit: int = 1, after: int = -1) -> Json:
        """A job and up to `limit` (1 to 1000) of its results after the index `after`."""
        return self._json(
            "GET", f"/predict/status/{task_id}", params={"limit": limit, "after": after}
        )

    def watch(self, task_id: str) -> Iterator[Json]:
        """The job's progress at each change, the final one last; reconnects when cut off."""
        last: Json = {}
        while last.get("status") not in FINAL_STATES:
            if last:
                time.sleep(0.5)
            with self._stream(f"/predict/status/{task_id}", "text/event-stream") as response:
                for last in _events(response):
                    yield last

    def results(self, task_id: str) -> Iterator[Json]:
        """All results that there are, in the order of the inputs; goes on where it was cut off."""
        after = -1
        fruitless = 0
        while fruitless < _FRUITLESS_TRIES:
            began_after = after
            path = f"/predict/status/{task_id}?after={after}"
            try:
                with self._stream(path, NDJSON) as response:
                    for line in response.iter_lines():
                        result = json.loads(line)
                        after = result["index"]
                        yield result
                return
            except httpx2.TransportError:
                fruitless = fruitless + 1 if after == began_after else 0
                time.sleep(0.5)
        raise ServiceUnavailable("the results were cut off again and again: ask once more, later")

    def cancel(self, task_id: str) -> Json:
        """Cancel what has not run; the job as it is now."""
        return self._json("DELETE", f"/predict/status/{task_id}")

    def predictions(self, *, limit: int = 10) -> Json:
        """The newest rows of the prediction log."""
        return self._json("GET", "/predictions", params={"limit": limit})

    def health(self) -> Json:
        """The summary of /health, whatever its status is."""

        def once() -> Json:
            response = self._http.get("/health")
            if "application/json" not in response.headers.get("content-type", ""):
                return _checked(response)
            return _object(response)

        return self._patiently(once)

    def metrics(self) -> str:
        """The text of /metrics."""

        def once() -> str:
            response = self._http.get("/metrics")
            if response.is_error:
                raise _failure(response)
            return response.text

        return self._patiently(once)

    def _json(self, method: str, path: str, **request: Any) -> Json:
        return self._patiently(lambda: _checked(self._http.request(method, path, **request)))

    @contextmanager
    def _stream(self, path: str, accept: str) -> Iterator[httpx2.Response]:
        request = self._http.build_request("GET", path, headers={"Accept": accept})

        def once() -> httpx2.Response:
            response = self._http.send(request, stream=True)
            if response.is_error:
                response.read()
                raise _failure(response)
            return response

        response = self._patiently(once)
        try:
            yield response
        finally:
            response.close()

    def _patiently(self, once: Callable[[], T]) -> T:
        """The result of `once`, tried again while that can help and patience lasts."""
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return once()
            except httpx2.TransportError as error:
                failure: RequestFailed = ServiceUnavailable(
                    f"{self.url} cannot be reached ({error or type(error).__name__}): is the "
                    f"service running, and --url or SLIPWAY_URL right?"
                )
            except httpx2.InvalidURL as error:
                raise RequestRefused(f"{self.url} is not an address: {error}") from None
            except ServiceUnavailable as error:
                failure = error
            wait = min(failure.retry_after_seconds or pause, _LONGEST_PAUSE_SECONDS)
            wait += random.uniform(0, wait / 2)  # noqa: S311 - spreads clients, hides nothing
            if time.monotonic() + wait > deadline:
                raise failure
            if pause == _FIRST_PAUSE_SECONDS:  # once, at the first failure
                self._say(
                    f"{self.url} cannot answer at the moment: trying again for up to "
                    f"{self._patience:g} s"
                )
            time.sleep(wait)
            pause *= 2


def _host(url: str) -> str:
    try:
        return httpx2.URL(url).host
    except httpx2.InvalidURL as error:
        raise RequestRefused(f"{url} is not an address: {error}") from None


def _events(response: httpx2.Response) -> Iterator[Json]:
    try:
        for event in httpx2.EventSource(response):
            if event.event in ("progress", "done"):
                yield json.loads(event.data)
    except httpx2.TransportError:
        return


def _checked(response: httpx2.Response) -> Json:
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
        problem = {"detail": f"{response.url} answered {response.status_code} without saying why"}
    kind = ServiceUnavailable if response.status_code in _TRY_AGAIN else RequestRefused
    given = response.headers.get("retry-after", "")
    return kind(
        str(problem.get("detail", "the request failed")),
        problem=problem,
        retry_after_seconds=float(given) if given.isdigit() else None,
    )
