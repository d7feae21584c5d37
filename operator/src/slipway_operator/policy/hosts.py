"""Hosts of routes: which requests they match, and which namespaces may use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

ANY_HOST = ""
"""Host of a route that matches requests for every host."""
ANY_GRANT = "*"
"""Grant of every host, any host included; as a namespace, all of them."""


def covering_hosts(host: str) -> Iterator[str]:
    """Yield the hosts whose routes match requests for `host` too: itself, wildcards, any host."""
    yield host
    if host == ANY_HOST:
        return
    labels = host.removeprefix("*.").split(".")
    for first in range(1, len(labels)):
        yield f"*.{'.'.join(labels[first:])}"
    yield ANY_HOST


def covers(broader: str, host: str) -> bool:
    """Return whether a route at the broader host matches requests for `host`."""
    return broader in covering_hosts(host)


def is_granted(host: str, namespace: str, grants: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a namespace may have routes at a host."""
    granted = {*grants.get(namespace, ()), *grants.get(ANY_GRANT, ())}
    return ANY_GRANT in granted or owns_host(host, namespace, grants)


def owns_host(host: str, namespace: str, grants: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a host is granted to the namespace by name, rather than with all others.

    Routes of other namespaces at any host are no obstacle there.
    """
    granted = {*grants.get(namespace, ()), *grants.get(ANY_GRANT, ())} - {ANY_GRANT}
    return host != ANY_HOST and any(covers(each, host) for each in granted)
