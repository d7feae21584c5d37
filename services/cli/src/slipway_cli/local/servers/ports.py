"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range of outgoing connections: while a server restarts, none can take its port.
_MIN_PORT, _MAX_PORT = 15_000, 32_000
_MAX_TRIES = 200


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen on the port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def find_free_port() -> int:
    """Return a port of the loopback interface that is free at the moment."""
    generator = random.SystemRandom()
    for _ in range(_MAX_TRIES):
        port = generator.randrange(_MIN_PORT, _MAX_PORT)
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    return int(port)
