"""What Redis or Valkey does when its memory is full."""

from __future__ import annotations

import redis

from slipway_core.errors import QueueUnavailable
from slipway_core.queue.connection import describe_failure

KEEPS_RINGS = "noeviction"
"""The policy under which the server never drops queued work."""


def read_eviction_policy(redis_url: str, timeout_seconds: float) -> str:
    """Return the server's `maxmemory-policy`.

    Raises QueueUnavailable when the URL is malformed, or the server cannot be reached or accepts no
    writes.
    """
    try:
        with redis.Redis.from_url(
            redis_url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        ) as client:
            policy: str = client.info("memory")["maxmemory_policy"]
            client.set("slipway:check", 1, ex=60)
    except redis.ResponseError as error:
        raise QueueUnavailable(describe_failure(error)) from None
    except (redis.RedisError, ValueError) as error:
        raise QueueUnavailable(str(error)) from None
    return policy
