"""Connections to Redis or Valkey, and the encoding of payloads.

Every wait has a timeout, and a connection that a restart of the server broke is reopened without an
error. Payloads are JSON: write access to the queue does not allow code to run in a worker.
"""

from __future__ import annotations

import json
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)

from slipway_core.errors import InvalidSettings
from slipway_core.settings import ServiceSettings

CONNECT_TIMEOUT_SECONDS = 2
RESPONSE_TIMEOUT_SECONDS = 5
RING_LIFETIME_MILLISECONDS = 7 * 86_400_000
"""Time after which a ring that no worker took is dropped: one week. The sweeper sends a new one."""
MAX_RESPONSE_CHARACTERS = 200
"""Maximum characters of an error of Redis that users see. It begins with what matters."""
_INVALID_URL = "SLIPWAY_REDIS_URL must look like redis://:password@host:6379/0"


class _CurrentCredentials(CredentialProvider):
    """User and password as they are in the settings when a connection is opened."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings

    async def get_credentials_async(self) -> tuple[str, ...]:  # type: ignore[override]
        try:
            address = parse_url(self._settings.reload_secret("redis_url"))
        except ValueError:
            raise AuthenticationError(_INVALID_URL) from None
        return tuple(address[name] for name in ("username", "password") if name in address)


def open_redis(settings: ServiceSettings, max_connections: int = 20) -> ArqRedis:
    """Return a client that connects at first use. Raises InvalidSettings for a malformed URL."""
    redis_url = settings.redis_url.get_secret_value()
    if not redis_url:
        raise InvalidSettings("SLIPWAY_REDIS_URL is empty: set it to redis://...")
    try:
        pool = ConnectionPool.from_url(
            redis_url,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=RESPONSE_TIMEOUT_SECONDS,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=1, base=0.05), 3),
            retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
            max_connections=max_connections,
        )
    except ValueError:
        raise InvalidSettings(_INVALID_URL) from None
    for name in ("username", "password"):  # the client rejects them beside a provider
        pool.connection_kwargs.pop(name, None)
    pool.connection_kwargs["credential_provider"] = _CurrentCredentials(settings)
    return ArqRedis(
        pool_or_conn=pool,
        job_serializer=encode_payload,
        job_deserializer=decode_payload,
        default_queue_name=settings.queue_name,
        expires_extra_ms=RING_LIFETIME_MILLISECONDS,
    )


def describe_failure(error: Exception) -> str:
    """Return what an error of Redis or of the connection to it means, for users."""
    if isinstance(error, OutOfMemoryError):
        return "the memory of the batch queue is full: raise its `maxmemory`"
    if isinstance(error, ReadOnlyError):
        return "the batch queue is a replica, which takes no work: connect to its primary"
    if isinstance(error, ResponseError):
        return f"the batch queue refuses work: {str(error)[:MAX_RESPONSE_CHARACTERS]}"
    return f"the batch queue does not answer ({type(error).__name__}): try again in a moment"


def encode_payload(payload: dict[str, Any]) -> bytes:
    """Return an arq payload as JSON; an exception that arq stores becomes its text."""
    return json.dumps(payload, default=repr).encode()


def decode_payload(data: bytes) -> dict[str, Any]:
    """Return the arq payload of JSON text."""
    payload: dict[str, Any] = json.loads(data)
    return payload
