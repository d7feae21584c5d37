"""HTTP clients for downloads: proxies of the environment, and redirects that keep encryption."""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from slipway_core.errors import ModelDownloadFailed
from slipway_core.package.limits import Limits

MAX_REDIRECTS = 5
PROXY_REMEDY = (
    "set ALL_PROXY, HTTP_PROXY and HTTPS_PROXY to http://, https://, socks5:// or socks5h://"
)

RequestHook = Callable[[httpx2.Request], None]


def make_client(shown: str, limits: Limits) -> httpx2.Client:
    """Return a client for one request and its redirects. `shown` is the model URI for messages.

    Raises ModelDownloadFailed for a proxy that cannot be used.
    """
    timeout = httpx2.Timeout(limits.read_timeout_seconds, connect=limits.connect_timeout_seconds)
    try:
        # Without content encodings, so that byte ranges are those of the file.
        return httpx2.Client(
            timeout=timeout,
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [keep_encryption(shown)]},
        )
    except (ValueError, httpx2.InvalidURL) as error:
        raise ModelDownloadFailed(
            f"{shown} cannot be read through the proxy of the environment: {error}; {PROXY_REMEDY}"
        ) from None


def keep_encryption(shown: str, *, is_encrypted: bool = False) -> RequestHook:
    """Return a hook, called for each request of a chain of redirects, that forbids http after
    https. With `is_encrypted` the first request must be https too.
    """

    def check(request: httpx2.Request) -> None:
        nonlocal is_encrypted
        if request.url.scheme == "https":
            is_encrypted = True
        elif is_encrypted:
            raise ModelDownloadFailed(
                f"{shown} redirects from https to http: use the URL of its target"
            )

    return check
