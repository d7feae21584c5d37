"""Which pages may use the server from a browser: by the name that they call it, and their origin.

A server without authentication that listens on a laptop can be reached by any page that its owner
visits: under a name of the page's own site that resolves to 127.0.0.1 (DNS rebinding), or by forms
and requests that need no permission. Browsers cannot be made to hide either name.
"""

from __future__ import annotations

from ipaddress import ip_address

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from slipway_core.errors import HostNotAllowed, OriginNotAllowed
from slipway_inference.http.context import RequestContext
from slipway_inference.settings import InferenceSettings

METHODS = ("GET", "HEAD", "POST", "DELETE")
EXPOSED_HEADERS = ("Location", "Retry-After", "X-Request-ID", "Inference-Header-Content-Length")
PREFLIGHT_SECONDS = 600
MAX_SHOWN_CHARACTERS = 64


class Origins:
    """The names and origins that settings allow."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._hosts = frozenset(_split(settings.allowed_hosts.lower()))
        self._origins = frozenset(_split(settings.cors_origins))

    def check(self, context: RequestContext) -> None:
        """Raise HostNotAllowed or OriginNotAllowed for a request that a page of another site may
        have sent.
        """
        if not self._hosts:
            return
        host = (context.header("host") or "").lower()
        if not self._is_allowed(host):
            raise HostNotAllowed(
                f"this server is not called '{host[:MAX_SHOWN_CHARACTERS]}'; send the request to "
                "its IP address, or add the name to SLIPWAY_ALLOWED_HOSTS"
            )
        origin = context.header("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        if origin.lower().partition("://")[2] != host:
            raise OriginNotAllowed(
                f"pages of '{origin[:MAX_SHOWN_CHARACTERS]}' may not send requests to this server; "
                "add the origin to SLIPWAY_CORS_ORIGINS if they should"
            )

    def _is_allowed(self, host: str) -> bool:
        name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
        return name in self._hosts or _is_address(name)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return an application that lets pages of the allowed origins read responses."""
        if not self._origins:
            return app
        return CORSMiddleware(
            app,
            allow_origins=sorted(self._origins),
            allow_methods=METHODS,
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
