"""Opens connections to a service, through the proxy of the environment where there is one."""

from __future__ import annotations

import httpx2

from slipway_cli.request_errors import RequestRefused
from slipway_core.package.sources.connections import PROXY_REMEDY

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def connect(url: str, timeout_seconds: float) -> httpx2.Client:
    """Return an HTTP client for the service at `url`.

    `timeout_seconds` is the timeout of each network operation. Raises RequestRefused for an invalid
    URL or proxy.
    """
    try:
        host = httpx2.URL(url).host
    except httpx2.InvalidURL as error:
        raise RequestRefused(f"{url} is not an address: {error}") from None
    # A proxy from the environment cannot reach services on this machine.
    trust_env = host not in _LOOPBACK
    try:
        return httpx2.Client(base_url=url, timeout=timeout_seconds, trust_env=trust_env)
    except (ValueError, httpx2.InvalidURL) as error:
        raise RequestRefused(
            f"the proxy of the environment cannot be used: {error}; {PROXY_REMEDY}"
        ) from None
