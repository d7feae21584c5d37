"""Frames between a server and its engine processes: a length, then one message as MessagePack.

MessagePack carries bytes as bytes (vectors, pictures) and cannot carry code, unlike pickle.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec
import numpy as np

from slipway_core.runtime.protocol import FromEngine, ToEngine

LENGTH = struct.Struct(">I")

_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: plain_value(value))
_to_engine = msgspec.msgpack.Decoder(ToEngine)
_from_engine = msgspec.msgpack.Decoder(FromEngine)


def plain_value(value: Any) -> Any:
    """The plain value of a number or an array that a model put into its prediction (NumPy's or
    torch's).

    Raises NotImplementedError, as msgspec asks of its hook, for anything that JSON has no form for.
    """
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"a {type(value).__name__} has no JSON form")


def encode(message: ToEngine | FromEngine) -> bytes:
    """One frame. Raises NotImplementedError or ValueError for a value that MessagePack cannot
    carry.
    """
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def take_frame(received: bytearray) -> bytes | None:
    """Remove the first whole frame from what was received, and give its message; None while it is
    not there.
    """
    if len(received) < LENGTH.size:
        return None
    end = LENGTH.size + LENGTH.unpack_from(received)[0]
    if len(received) < end:
        return None
    body = bytes(memoryview(received)[LENGTH.size : end])
    del received[:end]
    return body


def decode_from_engine(body: bytes) -> FromEngine:
    """The message of an engine's frame."""
    message: FromEngine = _from_engine.decode(body)
    return message


def read_to_engine(connection: socket.socket) -> ToEngine | None:
    """The next message of the server; None when the server has gone."""
    head = _read_exactly(connection, LENGTH.size)
    if head is None:
        return None
    body = _read_exactly(connection, LENGTH.unpack(head)[0])
    return None if body is None else _to_engine.decode(body)


def _read_exactly(connection: socket.socket, count: int) -> bytearray | None:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        try:
            received = connection.recv_into(view)
        except ConnectionResetError:
            return None
        if received == 0:
            return None
        view = view[received:]
    return data
