"""Frames of the messages between a server and its engines: a length in four bytes, then the body.

Imports nothing but the standard library: an engine reads its first message before anything else.
"""

from __future__ import annotations

import socket
import struct

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 256 * 1024 * 1024
"""Maximum size of a message. The server holds one of each lane, and must survive a hostile engine.
"""


class FrameTooLarge(ValueError):
    """A message is larger than MAX_FRAME_BYTES."""


def pack_frame(body: bytes) -> bytearray:
    """Return a body as a frame. Raises FrameTooLarge."""
    return with_length(bytearray(LENGTH.size) + body)


def with_length(frame: bytearray) -> bytearray:
    """Write the length of the body into the first bytes of a frame. Raises FrameTooLarge."""
    length = len(frame) - LENGTH.size
    if length > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"a message has {length} bytes, but at most {MAX_FRAME_BYTES}")
    LENGTH.pack_into(frame, 0, length)
    return frame


def take_frame(received: bytearray) -> bytes | None:
    """Remove the first complete frame from `received` and return its body; None when incomplete.

    Raises FrameTooLarge as soon as the length is known.
    """
    if len(received) < LENGTH.size:
        return None
    length = LENGTH.unpack_from(received)[0]
    if length > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"its reply has {length} bytes, but at most {MAX_FRAME_BYTES}")
    end = LENGTH.size + length
    if len(received) < end:
        return None
    body = bytes(memoryview(received)[LENGTH.size : end])
    del received[:end]
    return body


def receive_frame(connection: socket.socket) -> bytes | None:
    """Receive the body of one frame and nothing behind it; None when the connection ends first."""
    head = _receive(connection, LENGTH.size)
    return None if head is None else _receive(connection, LENGTH.unpack(head)[0])


def _receive(connection: socket.socket, size: int) -> bytes | None:
    content = connection.recv(size, socket.MSG_WAITALL)
    while len(content) < size:  # a signal has interrupted the call, or the connection has ended
        part = connection.recv(size - len(content), socket.MSG_WAITALL)
        if not part:
            return None
        content += part
    return content
