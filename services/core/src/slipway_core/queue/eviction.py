"""What Redis or Valkey does when its memory is full."""

from __future__ import annotations

import redis

from slipway_core.errors import QueueUnavailable

KEEPS_RINGS = "noeviction"
"""The policy under which the server never drops queued work."""


def read_eviction_policy(redis_url: str, timeout_seconds: float) -> str:
    """Return the server's `maxmemory-policy`.

    Raises QueueUnavailable when the URL is malformed or the server cannot be reached.
    """
    try:
        with redis.Redis.from_url(
            redis_url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        ) as client:
            policy: str = client.info("memory")["maxmemory_policy"]
    except (redis.RedisError, ValueError) as error:
        raise QueueUnavailable(str(error)) from None
    return policy
