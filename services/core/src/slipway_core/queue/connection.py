"""Connections to Redis or Valkey, and the form of what is written there.

Every wait is bounded, and a connection that a restart of the server broke is opened anew before
the caller notices. Payloads are JSON: whoever can write to the queue cannot make a worker run code.
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
    TimeoutError,
)

from slipway_core.errors import InvalidSettings
from slipway_core.settings import ServiceSettings

CONNECT_TIMEOUT_SECONDS = 2
ANSWER_TIMEOUT_SECONDS = 5
RING_LIFETIME_MILLISECONDS = 7 * 86_400_000
"""A ring that nobody answered for a week is dropped; the sweeper makes a new one."""
_WRONG_ADDRESS = "SLIPWAY_REDIS_URL must look like redis://:password@host:6379/0"


class _Credentials(CredentialProvider):
    """User and password as they are in the settings when a connection is opened."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings

    async def get_credentials_async(self) -> tuple[str, ...]:  # type: ignore[override]
        try:
            address = parse_url(self._settings.reload_secret("redis_url"))
        except ValueError:
            raise AuthenticationError(_WRONG_ADDRESS) from None
        return tuple(address[name] for name in ("username", "password") if name in address)


def open_redis(settings: ServiceSettings, max_connections: int = 20) -> ArqRedis:
    """A client that connects when it is first used. Raises InvalidSettings for a bad address."""
    redis_url = settings.redis_url.get_secret_value()
    if not redis_url:
        raise InvalidSettings("SLIPWAY_REDIS_URL is empty: set it to redis://...")
    try:
        pool = ConnectionPool.from_url(
            redis_url,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=ANSWER_TIMEOUT_SECONDS,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=1, base=0.05), 3),
            retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
            max_connections=max_connections,
        )
    except ValueError:
        raise InvalidSettings(_WRONG_ADDRESS) from None
    for name in ("username", "password"):  # beside a provider they are refused
        pool.connection_kwargs.pop(name, None)
    pool.connection_kwargs["credential_provider"] = _Credentials(settings)
    return ArqRedis(
        pool_or_conn=pool,
        job_serializer=encode_payload,
        job_deserializer=decode_payload,
        default_queue_name=settings.queue_name,
        expires_extra_ms=RING_LIFETIME_MILLISECONDS,
    )


def encode_payload(payload: dict[str, Any]) -> bytes:
    """A job of the queue as JSON; an error that arq wants to keep becomes its text."""
    return json.dumps(payload, default=repr).encode()


def decode_payload(data: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(data)
    return payload
