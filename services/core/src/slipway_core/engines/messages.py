"""Frames between a server and its engine processes: a length, then one message as MessagePack.

MessagePack carries bytes as bytes (vectors, pictures) and cannot carry code, unlike pickle.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import msgspec
import numpy as np

from slipway_core.inputs.items import Item, Outcome
from slipway_core.models.model import LoadOptions, ModelInfo
from slipway_core.package.manifest import Manifest

LENGTH = struct.Struct(">I")


# The messages. Parent to engine: Load, then Run. Engine to parent: Loaded or LoadFailed, then one
# Done for each Run, on the connection that the Run came on: a model with lanes takes one batch on
# each connection.


class Load(msgspec.Struct, frozen=True, tag=True):
    folder: str
    manifest: Manifest
    options: LoadOptions


class Run(msgspec.Struct, frozen=True, tag=True):
    items: list[Item]


class Loaded(msgspec.Struct, frozen=True, tag=True):
    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    code: str
    message: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """`cpu_seconds`: what the engine's cores worked meanwhile, on other lanes too; of a lane that
    keeps to a core, what its thread did.
    """

    outcomes: list[Outcome]
    seconds: float
    cpu_seconds: float


ToEngine = Load | Run
FromEngine = Loaded | LoadFailed | Done

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


def read_to_engine(stream: BinaryIO) -> ToEngine | None:
    """The next message of the server; None when the server has gone."""
    try:
        head = stream.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        length: int = LENGTH.unpack(head)[0]
        body = stream.read(length)
    except ConnectionResetError:
        return None
    return _to_engine.decode(body) if len(body) == length else None
