"""One engine process, seen from the server: started, given a model and batches, and ended.

Secrets of the server are not passed on: a model's own code runs in the engine.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Self, cast

import msgspec

from slipway_core import errors
from slipway_core.engines import messages
from slipway_core.engines.environment import SECRET_VARIABLES, computing_environment
from slipway_core.engines.messages import Done, FromEngine, Load, Loaded, LoadFailed
from slipway_core.errors import ModelError, ModelLoadFailed
from slipway_core.models.model import LoadOptions, ModelInfo
from slipway_core.package import Package


def model_error(code: str, message: str) -> ModelError:
    """The error of loading a model that an engine reported by its code."""
    kind = getattr(errors, code, None)
    if isinstance(kind, type) and issubclass(kind, ModelError):
        return kind(message)
    return ModelLoadFailed(message)


class EngineDied(Exception):
    """The process ended, or was ended, before it answered."""


Answered = Callable[[bytes | None], None]
Tell = Callable[[FromEngine | EngineDied], None]


class _Connection(asyncio.Protocol):
    """The connection to one thread of an engine, which answers one message at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answered: Answered | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        body = messages.take_frame(self._received)
        if body is not None:
            self._tell(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell(None)

    def ask(self, frame: bytes, answered: Answered) -> None:
        """Send a frame; `answered` is called with the body of the answer's frame, or with None when
        the process ends before, or has ended.
        """
        self._answered = answered
        if self._transport is None or self._transport.is_closing():
            asyncio.get_running_loop().call_soon(self._tell, None)
        else:
            self._transport.write(frame)

    def _tell(self, body: bytes | None) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close it without waiting for what is still to be written."""
        if self._transport is not None:
            self._transport.abort()


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
        self._endings: set[asyncio.Task[None]] = set()
        self._watching = asyncio.create_task(self._watch())
        self._ended_because = ""
        self.lanes = 1
        """How many batches it computes side by side; known when the model is loaded."""

    @classmethod
    async def spawn(cls, *, threads: int, log_level: str) -> Self:
        """Start a process that waits to be told what to load."""
        passed_on = {name: v for name, v in os.environ.items() if name not in SECRET_VARIABLES}
        pairs = [socket.socketpair() for _ in range(1 + (threads if threads > 1 else 0))]
        descriptors = [theirs.fileno() for _, theirs in pairs]
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "slipway_core.engines.process",
                f"--fd={descriptors[0]}",
                f"--server-pid={os.getpid()}",
                f"--log-level={log_level}",
                "--lane-fds",
                *map(str, descriptors[1:]),
                pass_fds=descriptors,
                stdin=asyncio.subprocess.DEVNULL,
                env=computing_environment(passed_on, threads),
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
        request = Load(str(package.folder), package.manifest, options)
        told: asyncio.Future[FromEngine | EngineDied] = asyncio.get_running_loop().create_future()

        def tell(reply: FromEngine | EngineDied) -> None:
            if not told.done():  # else the caller was cancelled
                told.set_result(reply)

        self._ask(self._main, messages.encode(request), (Loaded, LoadFailed), tell)
        reply = await told
        if isinstance(reply, EngineDied):
            raise ModelLoadFailed(
                f"the engine process ended while it loaded the model ({reply}); "
                "if it was killed for memory, raise the memory limit"
            )
        if isinstance(reply, LoadFailed):
            raise model_error(reply.code, reply.message)
        info = cast(Loaded, reply).info
        self.lanes = info.lanes
        for unused in self._connections[info.lanes if info.lanes > 1 else 0 :]:
            unused.close()
        return info

    def compute(self, frame: bytes, lane: int | None, timeout_seconds: float, tell: Tell) -> None:
        """Give it a batch, encoded, on a lane or on all cores; returns at once.

        `tell` is called with a Done, or with EngineDied when the process ends, or is ended for
        taking too long. The lane is free then, and not before.
        """
        connection = self._main if lane is None else self._connections[lane]
        timer = asyncio.get_running_loop().call_later(
            timeout_seconds, self._end, f"ended after computing for {timeout_seconds:g} s"
        )
        self._ask(connection, frame, (Done,), tell, timer)

    async def close(self, grace_seconds: float = 5) -> None:
        """Let the process end, and end it when it does not."""
        for connection in (self._main, *self._connections):
            connection.close()
        await self._ended(grace_seconds)
        await self._watching

    def _ask(
        self,
        connection: _Connection,
        frame: bytes,
        expected: tuple[type[FromEngine], ...],
        tell: Tell,
        timer: asyncio.TimerHandle | None = None,
    ) -> None:
        """Tell the engine's answer to the frame, or EngineDied; the timer is off then."""

        def answered(body: bytes | None) -> None:
            if timer is not None:
                timer.cancel()
            message = None if body is None else self._read(body, expected)
            if message is not None:
                tell(message)
                return
            ending = asyncio.get_running_loop().create_task(self._explain_end(tell))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

        connection.ask(frame, answered)

    def _read(self, body: bytes, expected: tuple[type[FromEngine], ...]) -> FromEngine | None:
        """What the engine said; None, and its end, when it is not what it was asked for."""
        try:
            message = messages.decode_from_engine(body)
        except msgspec.MsgspecError as error:
            self._end(f"its answer cannot be read: {error}")
            return None
        if isinstance(message, expected):
            return message
        self._end("it gave an unexpected answer")
        return None

    def _end(self, cause: str) -> None:
        self._ended_because = cause
        if self._process.returncode is None:
            self._process.kill()

    async def _watch(self) -> None:
        """Nobody waits for an answer when the process has ended. Its end of a connection tells that
        only as long as no process that the model has started holds it, too.
        """
        await self._process.wait()
        for connection in (self._main, *self._connections):
            connection.abort()

    async def _explain_end(self, tell: Tell) -> None:
        await self.close()
        tell(EngineDied(self._ended_because or f"exit status {self._process.returncode}"))

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
