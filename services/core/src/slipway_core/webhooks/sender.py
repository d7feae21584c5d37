"""Tells the receivers of finished jobs, signed, again and again until they have taken it.

A delivery is a POST of the job's summary with these headers:

- `Slipway-Delivery`: the same for every attempt, so that a receiver can tell a repetition;
- `Slipway-Signature`: `t=<unix seconds>,v1=<hex>`, where the hex is HMAC-SHA256 with the
  installation's webhook secret over `<t>.<body>`. Refuse what is older than five minutes.

Any 2xx within ten seconds is taken as received; redirects are not followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import time
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec
import structlog

from slipway_core.errors import SlipwayError, WebhookRefused
from slipway_core.settings import ServiceSettings
from slipway_core.store.deliveries import DeliveryRepository
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Delivery, Job
from slipway_core.webhooks.address_policy import WebhookPolicy, WebhookTarget

log = structlog.get_logger("slipway.webhooks")

SIGNATURE_HEADER = "Slipway-Signature"
DELIVERY_HEADER = "Slipway-Delivery"
TIMEOUT_SECONDS = 10
MOST_ATTEMPTS = 8
# Between the first attempt and the last lies about a day.
PAUSES_SECONDS = (10, 60, 300, 1_800, 7_200, 21_600, 43_200)
AT_ONCE = 20
_LEASE = timedelta(seconds=60)


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature header for a body sent at `timestamp` (Unix seconds)."""
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={signed.hexdigest()}"


def pause_after(attempt: int) -> timedelta | None:
    """How long to wait after the failed `attempt` (1 is the first); None when it was the last."""
    if attempt >= MOST_ATTEMPTS:
        return None
    return timedelta(seconds=PAUSES_SECONDS[attempt - 1] * random.uniform(0.8, 1.2))  # noqa: S311


def payload(job: Job) -> bytes:
    """The body: what became of the job."""
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


async def deliver_due(database: Database, settings: ServiceSettings) -> int:
    """Make the calls that are due, at most 20 at once; returns how many were made. Without a secret
    they are left to processes that have one.

    Raises StoreUnavailable.
    """
    secret = settings.webhook_secret.get_secret_value()
    if not secret:
        return 0
    repository = DeliveryRepository(database)
    due = await repository.take_due(_LEASE, AT_ONCE)
    if due:
        policy = WebhookPolicy(settings)
        async with httpx2.AsyncClient(
            timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
        ) as client:
            calls = (_deliver(repository, client, policy, secret, one) for one in due)
            # One that fails must not cut off the others; its lease runs out and it is made again.
            ended = await asyncio.gather(*calls, return_exceptions=True)
        for delivery, error in zip(due, ended, strict=True):
            if error is not None:
                log.error("a delivery failed", task_id=str(delivery.job.id), exc_info=error)
    return len(due)


async def _deliver(
    repository: DeliveryRepository,
    client: httpx2.AsyncClient,
    policy: WebhookPolicy,
    secret: str,
    delivery: Delivery,
) -> None:
    error = await _call(client, policy, secret, delivery)
    pause = pause_after(delivery.attempt)
    try:
        if error is None:
            await repository.delivered(delivery)
        else:
            await repository.failed(delivery, error, pause)
    except SlipwayError:
        # The lease runs out and the call is made again: at least once, never forgotten.
        log.warning("a webhook's outcome was not stored", task_id=str(delivery.job.id))
    if error is not None:
        log.warning(
            "a webhook was not taken",
            task_id=str(delivery.job.id),
            attempt=delivery.attempt,
            given_up=pause is None,
            cause=error,
        )


async def _call(
    client: httpx2.AsyncClient, policy: WebhookPolicy, secret: str, delivery: Delivery
) -> str | None:
    """Make one call; why it was not taken, or None."""
    body = payload(delivery.job)
    try:
        target = await policy.resolve(delivery.url)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            request = _request(client, target, delivery, sign(secret, int(time.time()), body), body)
            # Only the status is wanted: a receiver cannot make us read a body without end.
            response = await client.send(request, stream=True)
            await response.aclose()
    except WebhookRefused as refusal:
        return refusal.message
    except TimeoutError:
        return f"no answer within {TIMEOUT_SECONDS} seconds"
    except Exception as error:
        # Whatever an address makes the client raise counts as an attempt: there is an eighth.
        return f"the call failed: {type(error).__name__}"
    if not response.is_success:
        return f"the receiver answered with status {response.status_code}"
    return None


def _request(
    client: httpx2.AsyncClient,
    target: WebhookTarget,
    delivery: Delivery,
    signature: str,
    body: bytes,
) -> httpx2.Request:
    """A request to the checked IP address under the name that was asked for."""
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
            DELIVERY_HEADER: str(delivery.job.id),
        },
        extensions={"sni_hostname": target.host},
    )
