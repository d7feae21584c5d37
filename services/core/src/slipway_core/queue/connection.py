"""Connections to Redis or Valkey, and the form of what is written there.

Every wait is bounded, and a connection that a restart of the server broke is opened anew before
the caller notices. Payloads are JSON: whoever can write to the queue cannot make a worker run code.
"""

from __future__ import annotations

import json
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError

from slipway_core.errors import InvalidSettings

CONNECT_TIMEOUT_SECONDS = 2
ANSWER_TIMEOUT_SECONDS = 5
RING_LIFETIME_MILLISECONDS = 7 * 86_400_000
"""A ring that nobody answered for a week is dropped; the sweeper makes a new one."""


def open_redis(redis_url: str, queue_name: str, max_connections: int = 20) -> ArqRedis:
    """A client that connects when it is first used. Raises InvalidSettings for a bad address."""
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
        raise InvalidSettings(
            "SLIPWAY_REDIS_URL must look like redis://:password@host:6379/0"
        ) from None
    return ArqRedis(
        pool_or_conn=pool,
        job_serializer=encode_payload,
        job_deserializer=decode_payload,
        default_queue_name=queue_name,
        expires_extra_ms=RING_LIFETIME_MILLISECONDS,
    )


def encode_payload(payload: dict[str, Any]) -> bytes:
    """A job of the queue as JSON; an error that arq wants to keep becomes its text."""
    return json.dumps(payload, default=repr).encode()


def decode_payload(data: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(data)
    return payload
