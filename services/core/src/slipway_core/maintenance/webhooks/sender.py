"""Webhook calls about finished jobs: signed, and retried until the receiver accepts them.

A call is a POST of the summary of a job with these headers:

- `Slipway-Delivery`: the same for every attempt, so that a receiver can recognise a repetition;
- `Slipway-Signature`: `t=<unix seconds>,v1=<hex>`, where the hex is HMAC-SHA256 with the
  installation's webhook secret over `<t>.<body>`. Reject what is older than five minutes.

Any 2xx status within ten seconds accepts the call; redirects are not followed.

Calls have a loop of their own, so that receivers which do not answer delay nothing else, and only
few calls to one receiver are open at a time, so that they do not delay others.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import time
from datetime import timedelta
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec
import structlog

from slipway_core.errors import SlipwayError, WebhookRefused
from slipway_core.maintenance.rounds import run_round
from slipway_core.maintenance.webhooks.address_policy import WebhookAddressPolicy, WebhookTarget
from slipway_core.settings import ServiceSettings
from slipway_core.store.deliveries import DeliveryRepository
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Delivery, Job
from slipway_core.tasks import cancel_and_wait

log = structlog.get_logger("slipway.webhooks")

SIGNATURE_HEADER = "Slipway-Signature"
DELIVERY_HEADER = "Slipway-Delivery"
TIMEOUT_SECONDS = 10
MAX_ATTEMPTS = 8
PAUSES_SECONDS = (10, 60, 300, 1_800, 7_200, 21_600, 43_200)
"""Pauses after the attempts but the last, in seconds: about a day in all."""
MAX_CONCURRENT_CALLS = 128
"""Calls of a process that are open at a time. Each waits most of its time."""
MAX_CALLS_PER_RECEIVER = 4
"""Calls of a process to one host and port that are open at a time."""
POLL_SECONDS = 1.0
"""Pause between two looks for calls that are due."""
_LEASE = timedelta(seconds=60)


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the signature header of a body sent at `timestamp` (Unix seconds)."""
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={signature.hexdigest()}"


def pause_after(attempt: int) -> timedelta | None:
    """Return the pause after the failed `attempt` (1 is the first); None after the last."""
    if attempt >= MAX_ATTEMPTS:
        return None
    return timedelta(seconds=PAUSES_SECONDS[attempt - 1] * random.uniform(0.8, 1.2))  # noqa: S311


def encode_body(job: Job) -> bytes:
    """Return the summary of a job as JSON."""
    return msgspec.json.encode(
        {
            "task_id": str(job.id),
            "status": job.state,
            "total": job.total,
            "succeeded": job.succeeded,
            "failed": job.failed,
            "model": job.model,
            "version": job.version,
            "created_at": job.created_at,
            "finished_at": job.finished_at,
            "reason": job.reason,
        }
    )


async def keep_delivering(database: Database, settings: ServiceSettings) -> None:
    """Make the calls that are due until cancelled; a process without a webhook secret makes none.

    Failures are logged and retried.
    """
    if not settings.webhook_secret.get_secret_value():
        return
    async with WebhookSender(database, settings) as sender:
        while True:
            await run_round(
                sender.start_due, log, waits="webhook calls wait", fails="webhook calls failed"
            )
            await sender.wait_for_one(POLL_SECONDS)


class WebhookSender:
    """Makes the calls that are due, each in a task. Use it as a context manager: its end cancels
    them, and what it cancels is repeated when its lease expires.
    """

    def __init__(self, database: Database, settings: ServiceSettings) -> None:
        self._repository = DeliveryRepository(database)
        self._policy = WebhookAddressPolicy(settings)
        self._secret = settings.webhook_secret.get_secret_value()
        self._calls: dict[asyncio.Task[None], str] = {}
        """Open calls by task, with their receivers."""
        self._client = httpx2.AsyncClient(
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            # Bounded by the number of calls; a connection is never used twice.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(*self._calls)
        await self._client.aclose()

    async def start_due(self) -> int:
        """Begin calls that are due, as far as the limits allow, and return how many.

        Receivers that are being called get no more calls meanwhile. Raises StoreUnavailable.
        """
        free = MAX_CONCURRENT_CALLS - len(self._calls)
        if free <= 0:
            return 0
        busy = sorted(set(self._calls.values()))
        due = await self._repository.claim_due(
            _LEASE, free, max_per_receiver=MAX_CALLS_PER_RECEIVER, busy_receivers=busy
        )
        for delivery in due:
            task = asyncio.create_task(self._deliver(delivery))
            self._calls[task] = delivery.receiver
            task.add_done_callback(self._forget)
        return len(due)

    async def wait_for_one(self, timeout_seconds: float) -> None:
        """Wait until a call ends, at most `timeout_seconds`."""
        if self._calls:
            await asyncio.wait(
                self._calls, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        else:
            await asyncio.sleep(timeout_seconds)

    async def wait_for_all(self) -> None:
        """Wait until no call is open."""
        while self._calls:
            await asyncio.wait(self._calls)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._calls[task]
        if not task.cancelled() and (failure := task.exception()) is not None:
            # It is repeated when its lease expires.
            log.error("a delivery failed", exc_info=failure)

    async def _deliver(self, delivery: Delivery) -> None:
        """Make one call and store its outcome."""
        error = await self._call(delivery)
        pause = pause_after(delivery.attempt)
        try:
            if error is None:
                await self._repository.mark_delivered(delivery)
            else:
                await self._repository.mark_failed(delivery, error, pause)
        except SlipwayError:
            # The call is repeated when its lease expires: at least once, never lost.
            log.warning("the outcome of a call was not stored", task_id=str(delivery.job.id))
        if error is not None:
            log.warning(
                "a webhook call failed",
                task_id=str(delivery.job.id),
                attempt=delivery.attempt,
                last_attempt=pause is None,
                cause=error,
            )

    async def _call(self, delivery: Delivery) -> str | None:
        """Make one call; return why the receiver did not accept it, or None."""
        body = encode_body(delivery.job)
        try:
            target = await self._policy.resolve(delivery.url)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                signature = sign(self._secret, int(time.time()), body)
                request = _build_request(self._client, target, delivery, signature, body)
                # Only the status matters: do not read a body that may never end.
                response = await self._client.send(request, stream=True)
                await response.aclose()
        except WebhookRefused as refusal:
            return refusal.message
        except TimeoutError:
            return f"no answer within {TIMEOUT_SECONDS} seconds"
        except Exception as error:
            # Any error of the client counts as an attempt, so that the attempts end.
            return f"the call failed: {type(error).__name__}"
        if not response.is_success:
            return f"the receiver answered with status {response.status_code}"
        return None


def _build_request(
    client: httpx2.AsyncClient,
    target: WebhookTarget,
    delivery: Delivery,
    signature: str,
    body: bytes,
) -> httpx2.Request:
    """Return a request to the checked IP address, under the host name of the URL."""
    parts = urlsplit(target.url)
    address = f"[{target.address}]" if ":" in target.address else target.address
    host = f"[{target.host}]" if ":" in target.host else target.host
    return client.build_request(
        "POST",
        urlunsplit((parts.scheme, f"{address}:{target.port}", parts.path or "/", parts.query, "")),
        content=body,
        headers={
            "Host": host if parts.port is None else f"{host}:{parts.port}",
            "Content-Type": "application/json",
            "User-Agent": "slipway-webhook",
            SIGNATURE_HEADER: signature,
            DELIVERY_HEADER: delivery.id,
        },
        extensions={"sni_hostname": target.host},
    )
