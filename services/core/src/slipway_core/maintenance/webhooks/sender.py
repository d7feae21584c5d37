"""Webhook calls about finished jobs: signed, and retried until the receiver accepts them.

A call is a POST of the summary of a job with these headers:

- `Slipway-Delivery`: the same for every attempt, so that a receiver can recognise a repetition;
- `Slipway-Signature`: `t=<unix seconds>,v1=<hex>`, where the hex is HMAC-SHA256 with the
  installation's webhook secret over `<t>.<body>`. Reject what is older than five minutes.

Any 2xx status within ten seconds accepts the call; redirects are not followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec
import structlog

from slipway_core.errors import SlipwayError, WebhookRefused
from slipway_core.maintenance.webhooks.address_policy import WebhookAddressPolicy, WebhookTarget
from slipway_core.settings import ServiceSettings
from slipway_core.store.deliveries import DeliveryRepository
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Delivery, Job

log = structlog.get_logger("slipway.webhooks")

SIGNATURE_HEADER = "Slipway-Signature"
DELIVERY_HEADER = "Slipway-Delivery"
TIMEOUT_SECONDS = 10
MAX_ATTEMPTS = 8
PAUSES_SECONDS = (10, 60, 300, 1_800, 7_200, 21_600, 43_200)
"""Pauses after the attempts but the last, in seconds: about a day in all."""
MAX_CONCURRENT_CALLS = 20
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


async def deliver_due(database: Database, settings: ServiceSettings) -> int:
    """Make up to MAX_CONCURRENT_CALLS calls that are due, and return how many.

    A process without a webhook secret makes none. Raises StoreUnavailable.
    """
    secret = settings.webhook_secret.get_secret_value()
    if not secret:
        return 0
    repository = DeliveryRepository(database)
    due = await repository.claim_due(_LEASE, MAX_CONCURRENT_CALLS)
    if due:
        async with httpx2.AsyncClient(
            timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
        ) as client:
            sender = _Sender(repository, client, WebhookAddressPolicy(settings), secret)
            # A failure must not cancel the other calls; it is retried when its lease expires.
            failures = await asyncio.gather(*map(sender.deliver, due), return_exceptions=True)
        for delivery, failure in zip(due, failures, strict=True):
            if failure is not None:
                log.error("a delivery failed", task_id=str(delivery.job.id), exc_info=failure)
    return len(due)


@dataclass(frozen=True, slots=True)
class _Sender:
    repository: DeliveryRepository
    client: httpx2.AsyncClient
    policy: WebhookAddressPolicy
    secret: str

    async def deliver(self, delivery: Delivery) -> None:
        """Make one call and store its outcome."""
        error = await self._call(delivery)
        pause = pause_after(delivery.attempt)
        try:
            if error is None:
                await self.repository.mark_delivered(delivery)
            else:
                await self.repository.mark_failed(delivery, error, pause)
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
            target = await self.policy.resolve(delivery.url)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                signature = sign(self.secret, int(time.time()), body)
                request = _build_request(self.client, target, delivery, signature, body)
                # Only the status matters: do not read a body that may never end.
                response = await self.client.send(request, stream=True)
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
