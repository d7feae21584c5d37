"""The server's side of one engine process: start it, load a model, compute batches, end it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Self, cast

import msgspec

from slipway_core import errors
from slipway_core.engines import frames, messages
from slipway_core.engines.confinement.policy import Confined, Policy
from slipway_core.engines.environment import engine_environment
from slipway_core.engines.frames import FrameTooLarge
from slipway_core.engines.messages import Done, Drop, FromEngine, Load, Loaded, LoadFailed
from slipway_core.engines.scratch import ScratchFolder
from slipway_core.errors import ModelError, ModelLoadFailed
from slipway_core.models.model import LoadOptions, ModelInfo
from slipway_core.package.resolve import Package
from slipway_core.tasks import run_in_daemon_thread


def model_error(code: str, message: str) -> ModelError:
    """Return the ModelError that an engine reported by its code."""
    kind = getattr(errors, code, None)
    if isinstance(kind, type) and issubclass(kind, ModelError):
        return kind(message)
    return ModelLoadFailed(message)


class EngineDied(Exception):
    """The process ended, or was killed, before it replied."""


OnBody = Callable[[bytes | FrameTooLarge | None], None]
OnReply = Callable[[FromEngine | EngineDied], None]


class _Connection(asyncio.Protocol):
    """The connection to one thread of an engine, which replies to one message at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._on_body: OnBody | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            body: bytes | FrameTooLarge | None = frames.take_frame(self._received)
        except FrameTooLarge as error:
            self._received.clear()
            body = error
        if body is not None:
            self._deliver(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deliver(None)

    def send(self, frame: bytearray, on_body: OnBody) -> None:
        """Send a frame.

        `on_body` gets the body of the reply, None when the connection ends first, or FrameTooLarge.
        """
        self._on_body = on_body
        if self._transport is None or self._transport.is_closing():
            asyncio.get_running_loop().call_soon(self._deliver, None)
        else:
            self._transport.write(frame)

    def send_more(self, frame: bytearray) -> None:
        """Send a frame that has no reply of its own."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)

    def _deliver(self, body: bytes | FrameTooLarge | None) -> None:
        on_body, self._on_body = self._on_body, None
        if on_body is not None:
            on_body(body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection and discard unsent data."""
        if self._transport is not None:
            self._transport.abort()


class Engine:
    """One engine process and the connections to it.

    It computes one batch at a time on all its cores, or one on each of its lanes. Callers must not
    mix the two.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        main: _Connection,
        lanes: Sequence[_Connection],
        scratch: ScratchFolder,
    ) -> None:
        self._process = process
        self._scratch = scratch
        self._main = main
        self._connections = lanes
        self._endings: set[asyncio.Task[None]] = set()
        self._watching = asyncio.create_task(self._watch())
        self._kill_reason = ""
        self.lanes = 1
        """The number of batches that it computes side by side; set when the model is loaded."""

    @classmethod
    async def spawn(cls, *, threads: int, log_level: str, network: bool) -> Self:
        """Start a process that waits for its policy, and then for a model to load."""
        pairs = [socket.socketpair() for _ in range(1 + (threads if threads > 1 else 0))]
        descriptors = [theirs.fileno() for _, theirs in pairs]
        scratch = ScratchFolder.create()
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the working folder may be the model's: nothing is imported from there
                "-m",
                "slipway_core.engines.process",
                f"--fd={descriptors[0]}",
                f"--server-pid={os.getpid()}",
                f"--log-level={log_level}",
                "--lane-fds",
                *map(str, descriptors[1:]),
                pass_fds=descriptors,
                stdin=asyncio.subprocess.DEVNULL,
                cwd=scratch.path,
                env=engine_environment(os.environ, threads, scratch.path, network=network),
            )
            main, *others = [await _connect(ours) for ours, _ in pairs]
        except BaseException:
            for ours, _ in pairs:
                ours.close()
            if process is not None:
                process.kill()
            scratch.remove()
            raise
        finally:
            for _, theirs in pairs:
                theirs.close()
        return cls(process, main, others, scratch)

    async def confine(self, policy: Policy) -> Confined:
        """Confine the process, which may also write its own scratch folder."""
        scratch = str(self._scratch.path)
        policy = msgspec.structs.replace(policy, write=[*policy.write, scratch])
        reply = await self._request(messages.encode(policy), Confined)
        return cast(Confined, reply)

    async def load(self, package: Package, options: LoadOptions) -> ModelInfo:
        """Load the model. Raises the ModelError that the engine reports."""
        request = Load(str(package.folder.absolute()), package.manifest, options)
        reply = await self._request(messages.encode(request), Loaded, LoadFailed)
        if isinstance(reply, LoadFailed):
            raise model_error(reply.code, reply.message)
        info = cast(Loaded, reply).info
        self.lanes = info.lanes
        for unused in self._connections[info.lanes if info.lanes > 1 else 0 :]:
            unused.close()
        return info

    async def _request(self, frame: bytearray, *expected: type[FromEngine]) -> FromEngine:
        """Send a message to the main thread, and return the reply. Raises ModelLoadFailed."""
        received: asyncio.Future[FromEngine | EngineDied]
        received = asyncio.get_running_loop().create_future()

        def on_reply(reply: FromEngine | EngineDied) -> None:
            if not received.done():  # else the caller was cancelled
                received.set_result(reply)

        self._send(self._main, frame, expected, on_reply)
        reply = await received
        if isinstance(reply, EngineDied):
            raise ModelLoadFailed(
                f"the engine process ended while it loaded the model ({reply}); "
                "if it was killed for memory, raise the memory limit"
            )
        return reply

    def compute(
        self, frame: bytearray, lane: int | None, timeout_seconds: float, on_reply: OnReply
    ) -> None:
        """Send an encoded Run to a lane, or to the main thread (lane None), and return at once.

        `on_reply` gets a Done, or EngineDied when the process ends or is killed by the timeout.
        The lane is busy until then.
        """
        connection = self._connection(lane)
        timer = asyncio.get_running_loop().call_later(
            timeout_seconds, self._kill, f"ended after computing for {timeout_seconds:g} s"
        )
        self._send(connection, frame, (Done,), on_reply, timer)

    def drop(self, lane: int | None, indices: Sequence[int]) -> None:
        """Let the lane skip items of its batch that it has not begun with."""
        self._connection(lane).send_more(messages.encode(Drop(list(indices))))

    def _connection(self, lane: int | None) -> _Connection:
        return self._main if lane is None else self._connections[lane]

    async def close(self, grace_seconds: float = 5) -> None:
        """Close the connections, wait for the process to end, and kill it after the grace time."""
        for connection in (self._main, *self._connections):
            connection.close()
        await self._wait_or_kill(grace_seconds)
        await self._watching
        await run_in_daemon_thread(self._scratch.remove)

    def _send(
        self,
        connection: _Connection,
        frame: bytearray,
        expected: tuple[type[FromEngine], ...],
        on_reply: OnReply,
        timer: asyncio.TimerHandle | None = None,
    ) -> None:
        """Send a frame, and pass the reply to `on_reply`; the reply cancels `timer`."""

        def on_body(body: bytes | FrameTooLarge | None) -> None:
            if timer is not None:
                timer.cancel()
            message = None if body is None else self._decode(body, expected)
            if message is not None:
                on_reply(message)
                return
            ending = asyncio.get_running_loop().create_task(self._report_death(on_reply))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

        connection.send(frame, on_body)

    def _decode(
        self, body: bytes | FrameTooLarge, expected: tuple[type[FromEngine], ...]
    ) -> FromEngine | None:
        """Decode a reply. An invalid or unexpected one kills the process and returns None."""
        if isinstance(body, FrameTooLarge):
            self._kill(str(body))
            return None
        try:
            message = messages.decode_from_engine(body)
        # A hostile engine may also send nesting without end, or invalid UTF-8.
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            self._kill(f"its reply cannot be decoded: {error}")
            return None
        if isinstance(message, expected):
            return message
        self._kill("it sent an unexpected reply")
        return None

    def _kill(self, reason: str) -> None:
        self._kill_reason = reason
        if self._process.returncode is None:
            self._process.kill()

    async def _watch(self) -> None:
        """Abort the connections when the process ends.

        They close by themselves only when no process that the model has started holds them too.
        """
        await self._process.wait()
        for connection in (self._main, *self._connections):
            connection.abort()

    async def _report_death(self, on_reply: OnReply) -> None:
        await self.close()
        on_reply(EngineDied(self._kill_reason or f"exit status {self._process.returncode}"))

    async def _wait_or_kill(self, grace_seconds: float) -> None:
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
