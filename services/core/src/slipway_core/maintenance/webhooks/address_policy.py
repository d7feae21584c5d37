"""The addresses that webhooks may call.

The user chooses the URL, and the service calls it from inside the cluster: without a check, anyone
who may submit a job could reach services that only the cluster can. So a host must resolve to
public addresses, or be listed in SLIPWAY_WEBHOOK_ALLOWED_HOSTS.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from slipway_core.errors import FieldError, WebhookRefused
from slipway_core.maintenance.webhooks.resolver import look_up
from slipway_core.settings import ServiceSettings

RESOLVE_TIMEOUT_SECONDS = 5
MAX_URL_LENGTH = 2_000
"""Maximum length of a webhook URL in characters."""
_IPV6_UNICAST = ipaddress.ip_network("2000::/3")
"""All that IANA has assigned for the internet. Outside are, among others, translated and embedded
IPv4 addresses (64:ff9b::/96, 64:ff9b:1::/48, ::a.b.c.d), site-local ones and segment routing.
"""
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # the host of a virtual machine at Azure
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 serves the metadata of Oracle's cloud
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # protocol assignments, with the IPv4 addresses of Teredo
        "2002::/16",  # the IPv4 addresses of 6to4
        "3fff::/20",  # documentation
    )
)
"""What `is_global` of this or an older Python takes for public."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A checked URL and the IP address to connect to."""

    url: str
    host: str
    port: int
    address: str


class WebhookAddressPolicy:
    """The check of webhook URLs against the settings of the installation."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._enabled = bool(settings.webhook_secret.get_secret_value())
        names = settings.webhook_allowed_hosts.split(",")
        self._allowed = frozenset(_ascii(name.strip()) for name in names if name.strip())

    async def resolve(self, url: str) -> WebhookTarget:
        """Return the target of a URL. Raises WebhookRefused when the policy forbids it.

        The caller must connect to exactly `address`, so that the name cannot be made to resolve to
        another one between the check and the call.
        """
        if not self._enabled:
            raise _refusal("cannot be used: this installation has no SLIPWAY_WEBHOOK_SECRET")
        parts = _split(url)
        host = _ascii(parts.hostname or "")
        if not host:
            raise _refusal("has an invalid host: check the host")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        addresses = await _look_up(host, port)
        is_allowed = host in self._allowed or all(map(is_public, addresses))
        if not addresses or not is_allowed:
            # One text for both: which internal names resolve is nobody's business.
            raise _refusal(
                f"names '{host}', which has no address on the public internet: check the host, or "
                "ask for it to be added to SLIPWAY_WEBHOOK_ALLOWED_HOSTS"
            )
        return WebhookTarget(url, host, port, addresses[0])


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet, and its own target.

    An IPv6 address from which a gateway or tunnel makes an IPv4 address is not public: what it
    reaches depends on the network.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip not in _IPV6_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in one for one in _NOT_PUBLIC)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or len(url) > MAX_URL_LENGTH or any(ord(character) <= 32 for character in url):
        raise _refusal(
            f"must be an http:// or https:// address of at most {MAX_URL_LENGTH} characters"
        )
    if parts.username is not None or parts.password is not None:
        raise _refusal("must not contain a user name or password: check the signature instead")
    return parts


def _ascii(host: str) -> str:
    """Return the host in ASCII, other alphabets by IDNA; empty if it cannot be encoded."""
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""


async def _look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host; none when it cannot be resolved."""
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_SECONDS):
            entries = await look_up(host, port)
    except (OSError, UnicodeError, TimeoutError):
        return []
    return [str(entry[4][0]) for entry in entries]


def _refusal(message: str) -> WebhookRefused:
    return WebhookRefused(f"`webhook_url` {message}", errors=(FieldError("webhook_url", message),))
