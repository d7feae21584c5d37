"""Messages between a server and its engine processes.

They are MessagePack, which carries bytes as bytes (vectors, images) and, unlike pickle, cannot
carry code.

The server sends a Policy, to which the engine replies with Confined. It sends Load, then any number
of Run. The engine replies with Loaded or LoadFailed, then with one Done for each Run, on the
connection on which the Run came: a model with lanes takes one batch on each connection. A Drop
concerns the Run before it, may come too late, and has no reply of its own.
"""

from __future__ import annotations

import socket
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from slipway_core.engines.confinement.policy import Confined, Policy
from slipway_core.engines.frames import LENGTH, receive_frame, with_length
from slipway_core.inputs.items import Item, Outcome
from slipway_core.models.model import LoadOptions, ModelInfo
from slipway_core.package.manifest import Manifest


class Load(msgspec.Struct, frozen=True, tag=True):
    """Load the package in `folder`."""

    folder: str
    manifest: Manifest
    options: LoadOptions


class Run(msgspec.Struct, frozen=True, tag=True):
    """Compute a batch."""

    items: list[Item]


class Drop(msgspec.Struct, frozen=True, tag=True):
    """Skip items of the batch, unless they are computed already: nobody waits for them."""

    indices: list[int]


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The model is loaded."""

    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The model cannot be loaded; `code` names an error of `slipway_core.errors`."""

    code: str
    message: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """A batch is computed.

    `cpu_seconds` is the CPU time of the whole process, or of the lane's thread when that thread is
    pinned to a core.
    """

    outcomes: list[Outcome]
    seconds: float
    cpu_seconds: float


ToEngine = Load | Run | Drop
FromEngine = Confined | Loaded | LoadFailed | Done

_ARRAY = 1
"""Code of the extension type for arrays in inputs."""

_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: plain_value(value))
_run_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: _pack_array(value))
_to_engine = msgspec.msgpack.Decoder(
    ToEngine, ext_hook=lambda code, content: _unpack_array(code, content)
)
_from_engine = msgspec.msgpack.Decoder(FromEngine)


def _pack_array(value: Any) -> msgspec.msgpack.Ext:
    """Return an array of numbers as an extension type: the length of its description, which is its
    NumPy type and its shape, the description, and its bytes, which are copied once.
    """
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"a {type(value).__name__} is no input")
    description = msgspec.msgpack.encode((value.dtype.str, value.shape))
    raw = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    content = b"".join((bytes([len(description)]), description, raw))
    return msgspec.msgpack.Ext(_ARRAY, content)


def _unpack_array(code: int, content: memoryview) -> npt.NDArray[Any]:
    start = 1 + content[0]
    kind, shape = msgspec.msgpack.decode(content[1:start], type=tuple[str, tuple[int, ...]])
    return np.frombuffer(content[start:], dtype=kind).reshape(shape)


def plain_value(value: Any) -> Any:
    """Return a scalar or an array of NumPy or torch as plain Python values.

    A hook for msgspec: raises NotImplementedError for anything that has no JSON form.
    """
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"a {type(value).__name__} has no JSON form")


def encode(message: Policy | ToEngine | FromEngine) -> bytearray:
    """Return a message as a frame.

    Raises NotImplementedError or ValueError for a value that MessagePack cannot carry, and
    FrameTooLarge.
    """
    encoder = _run_encoder if isinstance(message, Run) else _encoder
    frame = bytearray(LENGTH.size)
    encoder.encode_into(message, frame, LENGTH.size)
    return with_length(frame)


def decode_from_engine(body: bytes) -> FromEngine:
    """Decode the body of a frame that an engine sent. Raises MsgspecError."""
    message: FromEngine = _from_engine.decode(body)
    return message


def receive_to_engine(connection: socket.socket) -> ToEngine | None:
    """Receive the next message of the server and nothing behind it; None when it has gone."""
    try:
        body = receive_frame(connection)
    except ConnectionResetError:
        return None
    return None if body is None else _to_engine.decode(body)
