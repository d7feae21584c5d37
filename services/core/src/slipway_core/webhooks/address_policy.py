"""Which addresses a webhook may be sent to.

A caller chooses the address, the service sends from inside the cluster: without a guard, anybody
who may submit a job could reach what only the cluster can. So a host must resolve to public
addresses, or be named by the operator.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from slipway_core.errors import FieldError, WebhookRefused
from slipway_core.settings import ServiceSettings

RESOLVE_TIMEOUT_SECONDS = 5
LONGEST_URL = 2_000


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A checked address: what to call and the IP address to call it at."""

    url: str
    host: str
    port: int
    address: str


class WebhookPolicy:
    """Checks webhook addresses against the installation's settings."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._enabled = bool(settings.webhook_secret.get_secret_value())
        names = settings.webhook_allowed_hosts.split(",")
        self._allowed = frozenset(_ascii(name.strip()) for name in names if name.strip())

    async def resolve(self, url: str) -> WebhookTarget:
        """The address to call now. Raises WebhookRefused when the rules forbid it.

        The caller connects to exactly `address`, so that a name cannot be made to point elsewhere
        between the check and the call.
        """
        if not self._enabled:
            raise _refusal("cannot be used: this installation has no SLIPWAY_WEBHOOK_SECRET")
        parts = _split(url)
        host = _ascii(parts.hostname or "")
        if not host:
            raise _refusal("names a host that cannot exist: check the host")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        addresses = await _look_up(host, port)
        if host not in self._allowed and not all(map(is_public, addresses)):
            raise _refusal(
                f"names '{host}', which is not on the public internet: use a public address, or "
                "ask for the host to be added to SLIPWAY_WEBHOOK_ALLOWED_HOSTS"
            )
        return WebhookTarget(url, host, port, addresses[0])


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if inside or ip in _TRANSLATED:
            return bool(ip.ipv4_mapped) and is_public(str(ip.ipv4_mapped))
    return ip.is_global and not ip.is_multicast


# IPv4 addresses within IPv6, translated by a gateway: what they lead to cannot be seen here.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or len(url) > LONGEST_URL or any(ord(sign) <= 32 for sign in url):
        raise _refusal("must be an http:// or https:// address of at most 2000 characters")
    if parts.username is not None or parts.password is not None:
        raise _refusal("must not contain a user name or password: check the signature instead")
    return parts


def _ascii(host: str) -> str:
    """The host as DNS and HTTP write it, other alphabets by IDNA; empty when that cannot be."""
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""


async def _look_up(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise _refusal(f"names '{host}', which cannot be resolved: check the host") from None
    return [str(entry[4][0]) for entry in found]


def _refusal(message: str) -> WebhookRefused:
    return WebhookRefused(f"`webhook_url` {message}", errors=(FieldError("webhook_url", message),))
