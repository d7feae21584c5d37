"""One engine process, seen from the server: started, given a model and batches, and ended.

Secrets of the server are not passed on: a model's own code runs in the engine.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from typing import Self, cast

import msgspec

from slipway_core import errors
from slipway_core.errors import ModelError, ModelLoadFailed
from slipway_core.package import Package
from slipway_core.runtime import wire
from slipway_core.runtime.protocol import (
    Done,
    FromEngine,
    Load,
    Loaded,
    LoadFailed,
    LoadOptions,
    ModelInfo,
)

# What the server needs for its own work; an address of a package may carry a password.
SECRET_VARIABLES = frozenset(
    {
        "SLIPWAY_DATABASE_URL",
        "SLIPWAY_REDIS_URL",
        "SLIPWAY_WEBHOOK_SECRET",
        "SLIPWAY_SECRETS_DIR",
        "SLIPWAY_MODEL_URI",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "HF_TOKEN",
    }
)


def model_error(code: str, message: str) -> ModelError:
    """The error of loading a model that an engine reported by its code."""
    kind = getattr(errors, code, None)
    if isinstance(kind, type) and issubclass(kind, ModelError):
        return kind(message)
    return ModelLoadFailed(message)


class EngineDied(Exception):
    """The process ended, or was ended, before it answered."""


class _Connection(asyncio.Protocol):
    """The connection to one thread of an engine, which answers one message at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        body = wire.take_frame(self._received)
        if body is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    def ask(self, frame: bytes) -> asyncio.Future[bytes]:
        """Send a frame, and return at once; the future is the body of the answer's frame.

        It fails with ConnectionResetError when the process ends, or has ended.
        """
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self._answer.set_exception(ConnectionResetError())
        else:
            self._transport.write(frame)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Engine:
    """One engine process and the connections to it.

    It computes one batch at a time on all its cores, or one on each of its lanes: a caller must not
    mix the two.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, main: _Connection, lanes: Sequence[_Connection]
    ) -> None:
        self._process = process
        self._main = main
        self._connections = lanes
        self.lanes = 1
        """How many batches it computes side by side; known when the model is loaded."""

    @classmethod
    async def spawn(cls, *, threads: int, log_level: str) -> Self:
        """Start a process that waits to be told what to load."""
        environment = {name: v for name, v in os.environ.items() if name not in SECRET_VARIABLES}
        environment["OMP_NUM_THREADS"] = str(threads)
        # libgomp's threads wait for each other's next product by spinning, for milliseconds. Beside
        # another program that computes, such as a batch worker, that made engines ten times
        # slower; not spinning at all costs a fifth on an idle machine. This is some microseconds.
        environment.setdefault("GOMP_SPINCOUNT", "10000")
        pairs = [socket.socketpair() for _ in range(1 + (threads if threads > 1 else 0))]
        descriptors = [theirs.fileno() for _, theirs in pairs]
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "slipway_core.runtime.engine_process",
                f"--fd={descriptors[0]}",
                f"--server-pid={os.getpid()}",
                f"--log-level={log_level}",
                "--lane-fds",
                *map(str, descriptors[1:]),
                pass_fds=descriptors,
                stdin=asyncio.subprocess.DEVNULL,
                env=environment,
            )
            main, *others = [await _connect(ours) for ours, _ in pairs]
        except BaseException:
            for ours, _ in pairs:
                ours.close()
            if process is not None:
                process.kill()
            raise
        finally:
            for _, theirs in pairs:
                theirs.close()
        return cls(process, main, others)

    async def load(self, package: Package, options: LoadOptions) -> ModelInfo:
        """Load the model; raises the ModelError that the engine reports."""
        try:
            request = Load(str(package.folder), package.manifest, options)
            reply = await self._reply(self._main.ask(wire.encode(request)))
        except EngineDied as death:
            raise ModelLoadFailed(
                f"the engine process ended while it loaded the model ({death}); "
                "if it was killed for memory, raise the memory limit"
            ) from None
        match reply:
            case Loaded(info=info):
                self.lanes = info.lanes
                for unused in self._connections[info.lanes if info.lanes > 1 else 0 :]:
                    unused.close()
                return info
            case LoadFailed(code=code, message=message):
                raise model_error(code, message)
            case _:
                raise ModelLoadFailed("the engine gave an unexpected answer")

    def ask(self, frame: bytes, lane: int | None = None) -> asyncio.Future[bytes]:
        """Give it a batch as `wire.encode` wrote it, on a lane or on all cores; returns at once.

        `receive` then waits for the answer, and says so when the process has ended before.
        """
        connection = self._main if lane is None else self._connections[lane]
        return connection.ask(frame)

    async def receive(self, answer: asyncio.Future[bytes], timeout_seconds: float) -> Done:
        """The answer to what was asked; raises EngineDied when the process ends, or is ended for
        taking too long.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                reply = await self._reply(answer)
        except TimeoutError:
            await self.close(grace_seconds=0)
            raise EngineDied(f"ended after computing for {timeout_seconds:g} s") from None
        if not isinstance(reply, Done):
            await self.close(grace_seconds=0)
            raise EngineDied("it gave an unexpected answer")
        return reply

    async def close(self, grace_seconds: float = 5) -> None:
        """Let the process end, and end it when it does not."""
        for connection in (self._main, *self._connections):
            connection.close()
        await self._ended(grace_seconds)

    async def _reply(self, answer: asyncio.Future[bytes]) -> FromEngine:
        try:
            return wire.decode_from_engine(await answer)
        except ConnectionError:
            await self.close()
            raise EngineDied(f"exit status {self._process.returncode}") from None
        except msgspec.MsgspecError as error:
            await self.close(grace_seconds=0)
            raise EngineDied(f"its answer cannot be read: {error}") from None

    async def _ended(self, grace_seconds: float) -> None:
        try:
            async with asyncio.timeout(grace_seconds):
                await self._process.wait()
        except TimeoutError:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()


async def _connect(ours: socket.socket) -> _Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(_Connection, sock=ours)
    return connection
