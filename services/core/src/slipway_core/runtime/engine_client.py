"""One engine process, seen from the server: started, given a model and batches, and ended.

Secrets of the server are not passed on: a model's own code runs in the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from typing import Self

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


class Engine:
    """One engine process and the connection to it. It computes one batch at a time."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def spawn(cls, *, threads: int, log_level: str) -> Self:
        """Start a process that waits to be told what to load."""
        ours, theirs = socket.socketpair()
        environment = {name: v for name, v in os.environ.items() if name not in SECRET_VARIABLES}
        environment["OMP_NUM_THREADS"] = str(threads)
        # libgomp's threads wait for each other's next product by spinning, for milliseconds. Beside
        # another program that computes, such as a batch worker, that made engines ten times
        # slower; not spinning at all costs a fifth on an idle machine. This is some microseconds.
        environment.setdefault("GOMP_SPINCOUNT", "10000")
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "slipway_core.runtime.engine_process",
                f"--fd={theirs.fileno()}",
                f"--server-pid={os.getpid()}",
                f"--log-level={log_level}",
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=environment,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    async def load(self, package: Package, options: LoadOptions) -> ModelInfo:
        """Load the model; raises the ModelError that the engine reports."""
        try:
            self.send(wire.encode(Load(str(package.folder), package.manifest, options)))
            reply = await self._read()
        except EngineDied as death:
            raise ModelLoadFailed(
                f"the engine process ended while it loaded the model ({death}); "
                "if it was killed for memory, raise the memory limit"
            ) from None
        match reply:
            case Loaded(info=info):
                return info
            case LoadFailed(code=code, message=message):
                raise model_error(code, message)
            case _:
                raise ModelLoadFailed("the engine gave an unexpected answer")

    def send(self, frame: bytes) -> None:
        """Give it a batch as `wire.encode` wrote it, and return at once; `receive` then waits for
        the answer, and says so when the process has ended before.
        """
        if not self._writer.is_closing():
            self._writer.write(frame)

    async def receive(self, timeout_seconds: float) -> Done:
        """The answer to what was sent; raises EngineDied when the process ends, or is ended for
        taking too long.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                reply = await self._read()
        except TimeoutError:
            await self.close(grace_seconds=0)
            raise EngineDied(f"ended after computing for {timeout_seconds:g} s") from None
        if not isinstance(reply, Done):
            raise EngineDied("it gave an unexpected answer")
        return reply

    async def close(self, grace_seconds: float = 5) -> None:
        """Let the process finish what it computes, then end it."""
        self._writer.close()
        await self._ended(grace_seconds)
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _read(self) -> FromEngine:
        try:
            await self._writer.drain()
            return await wire.read_from_engine(self._reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.close()
            raise EngineDied(f"exit status {self._process.returncode}") from None

    async def _ended(self, grace_seconds: float) -> None:
        try:
            async with asyncio.timeout(grace_seconds):
                await self._process.wait()
        except TimeoutError:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
