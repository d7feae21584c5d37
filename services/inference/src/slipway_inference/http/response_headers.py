"""Headers of every response."""

from __future__ import annotations

NO_SNIFF = (b"x-content-type-options", b"nosniff")
CLOSE = (b"connection", b"close")


def request_id_header(request_id: str) -> tuple[bytes, bytes]:
    return b"x-request-id", request_id.encode()
