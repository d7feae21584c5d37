"""Who sends a request, as far as that can be told without credentials: by address."""

from __future__ import annotations

import ipaddress

from starlette.types import Scope

from slipway_inference.http.context import context_of
from slipway_inference.settings import Network

IPV6_PREFIX_BITS = 64
"""One subscriber has at least so many addresses, so they count as one caller."""


def caller_of(scope: Scope, trusted_proxies: tuple[Network, ...]) -> str:
    """Return the caller of a request: the address of the connection, or of the client that a
    trusted proxy names last in X-Forwarded-For.
    """
    client = scope.get("client")
    peer = _parse(client[0]) if client else None
    if peer is None:
        return ""  # a local socket
    if trusted_proxies and _is_in(peer, trusted_proxies):
        named = context_of(scope).header("x-forwarded-for") or ""
        peer = _parse(named.rpartition(",")[2].strip()) or peer
    if isinstance(peer, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((peer, IPV6_PREFIX_BITS), strict=False))
    return str(peer)


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _is_in(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: tuple[Network, ...]
) -> bool:
    return any(address in network for network in networks)
