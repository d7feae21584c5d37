"""Starts engine processes, assigns batches to them, and replaces those that die.

The server keeps its event loop for clients. A model that blocks, leaks or crashes takes down an
engine, never the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, TypeVar

import msgspec
import structlog

from slipway_core.engines import messages
from slipway_core.engines.confinement.policy import Policy
from slipway_core.engines.cores import threads_per_engine
from slipway_core.engines.engine import Engine, EngineDied
from slipway_core.engines.grants import check_confined, resolve_granted
from slipway_core.engines.messages import FromEngine, Run
from slipway_core.engines.metrics import observe_sandbox
from slipway_core.engines.running_batch import RunningBatch
from slipway_core.engines.scratch import remove_abandoned_folders
from slipway_core.engines.seats import Seat, Seats
from slipway_core.engines.yielding import YieldPolicy
from slipway_core.errors import EngineCrashed, SlipwayError
from slipway_core.inputs.image_header import ImageLimits
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.models.model import LoadOptions, ModelInfo, Sandbox
from slipway_core.package.resolve import Package
from slipway_core.settings import ServiceSettings
from slipway_core.tasks import cancel_and_wait, run_in_daemon_thread

log = structlog.get_logger("slipway.engine")

T = TypeVar("T")

RESTART_PAUSE_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""The pause before each attempt to replace an engine; the last one repeats."""


class EnginePool:
    """All engines of a server.

    `run` may be called from many tasks. Each batch waits for a free engine or a free lane of one.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self.size = settings.engines
        self.options = LoadOptions(
            device=settings.device,
            precision=settings.precision,
            threads=settings.threads or threads_per_engine(settings.engines),
            allow_pickle=settings.allow_pickle,
            image_limits=ImageLimits(settings.max_image_pixels, settings.max_image_side),
        )
        self._seats = Seats()
        self._yielding = YieldPolicy(self.options.threads)
        self._engines: set[Engine] = set()
        self._loaded: set[Engine] = set()
        self._sent: dict[asyncio.Future[list[Outcome]], Seat] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._package: Package
        self._policy: Policy
        self.info: ModelInfo

    @classmethod
    async def start(cls, settings: ServiceSettings) -> Self:
        """Fetch and verify the package while the engines start, then load it in each.

        Raises a ModelError when the package cannot be fetched, verified or loaded.
        """
        pool = cls(settings)
        await run_in_daemon_thread(remove_abandoned_folders)
        engines = await asyncio.gather(*(pool._spawn() for _ in range(pool.size)))
        try:
            pool._package, pool._policy = await resolve_granted(settings)
            await pool._load_all(engines)
        except BaseException:
            await pool.close(grace_seconds=0)
            raise
        return pool

    @property
    def alive(self) -> int:
        """The number of engines with the model loaded: below `size` while one is replaced."""
        return len(self._loaded)

    def run(
        self,
        items: Sequence[Item],
        *,
        all_cores: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> asyncio.Future[list[Outcome]]:
        """Compute one Outcome for each item, in order.

        The batch uses one lane, or with `all_cores` an engine on which nothing else runs meanwhile.
        It is sent before this returns, unless it has to wait for an engine.

        When the engine dies on several items, each half is tried again, and a single item once
        more, each on all cores. So only an item that kills an engine alone, twice, fails
        (EngineCrashed). Once `is_wanted` returns false no further attempt begins, and the future is
        cancelled.
        """
        return self._start(items, all_cores=all_cores, is_wanted=is_wanted, is_last_attempt=False)

    def drop(self, outcomes: asyncio.Future[list[Outcome]], indices: Sequence[int]) -> None:
        """Let the engine skip items of a batch that `run` has sent: nobody waits for them.

        What it has not begun with becomes a DeadlineExceeded.
        """
        if (seat := self._sent.get(outcomes)) is not None:
            seat.engine.drop(seat.lane, indices)

    def may_use_all_cores(self) -> bool:
        """Return whether a batch may use all cores of an engine. Call it once for each batch."""
        return not self._yielding.should_yield()

    async def close(self, grace_seconds: float = 5) -> None:
        """End all engines and cancel unfinished batches."""
        self._closed = True
        self._seats.close()
        await cancel_and_wait(*self._tasks)
        await asyncio.gather(*(engine.close(grace_seconds) for engine in self._engines))
        self._engines.clear()
        self._loaded.clear()

    async def _load_all(self, engines: Sequence[Engine]) -> None:
        """Load the first engine, then the others with the options that it has chosen.

        Engines that resolved `auto` for themselves could differ, and so would their predictions.
        """
        self.info = await self._load(engines[0])
        observe_sandbox(self.info.sandbox)
        self.options = msgspec.structs.replace(
            self.options, device=self.info.device, precision=self.info.precision
        )
        await asyncio.gather(*(self._load(engine) for engine in engines[1:]))

    async def _load(self, engine: Engine) -> ModelInfo:
        sandbox = await self._confine(engine)
        info = await engine.load(self._package, self.options)
        info = msgspec.structs.replace(info, sandbox=sandbox)
        self._loaded.add(engine)
        self._seats.add(engine)
        return info

    async def _confine(self, engine: Engine) -> Sandbox:
        """Confine an engine before it loads the model. Raises SandboxRefused."""
        confined = await engine.confine(self._policy)
        check_confined(confined, self._policy, self._package, self._settings.sandbox)
        if confined.problem:
            log.warning("the model is not sandboxed", cause=confined.problem)
        return Sandbox(
            active=confined.active,
            landlock_abi=confined.landlock_abi,
            has_filter=confined.has_filter,
            network=confined.network,
        )

    async def _spawn(self) -> Engine:
        engine = await Engine.spawn(
            threads=self.options.threads,
            log_level=self._settings.log_level,
            network=self._settings.sandbox_network,
        )
        self._engines.add(engine)
        return engine

    def _start(
        self,
        items: Sequence[Item],
        *,
        all_cores: bool,
        is_wanted: Callable[[], bool],
        is_last_attempt: bool,
    ) -> asyncio.Future[list[Outcome]]:
        outcomes: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        try:
            frame = messages.encode(Run(list(items)))
        except Exception as error:  # a value that a message cannot carry is its caller's failure
            outcomes.set_exception(error)
            return outcomes
        batch = RunningBatch(items, frame, all_cores, is_wanted, is_last_attempt, outcomes)
        seat = self._seats.acquire(all_cores=all_cores)
        if seat.done():
            self._send(batch, seat)
        else:
            seat.add_done_callback(partial(self._send, batch))
        return outcomes

    def _send(self, batch: RunningBatch, acquired: asyncio.Future[Seat]) -> None:
        if acquired.cancelled():
            batch.outcomes.cancel()
            return
        seat = acquired.result()
        if batch.is_abandoned:
            self._seats.release(seat)
            batch.outcomes.cancel()
            return
        timeout_seconds = self._settings.engine_timeout_seconds
        on_reply = partial(self._receive, batch, seat)
        self._sent[batch.outcomes] = seat
        seat.engine.compute(batch.frame, seat.lane, timeout_seconds, on_reply)

    def _receive(self, batch: RunningBatch, seat: Seat, reply: FromEngine | EngineDied) -> None:
        del self._sent[batch.outcomes]
        if isinstance(reply, EngineDied):
            self._handle_death(batch, seat.engine, reply)
            return
        self._seats.release(seat)
        done: Any = reply  # a Done: Engine.compute passes on nothing else
        if seat.lane is None:
            self._yielding.observe(done.seconds, done.cpu_seconds)
        if not batch.outcomes.done():
            batch.outcomes.set_result(done.outcomes)

    def _handle_death(self, batch: RunningBatch, engine: Engine, death: BaseException) -> None:
        """Replace the engine, and try the batch again."""
        if self._closed:
            batch.outcomes.cancel()
            return
        if engine in self._engines:  # else the batch of another lane has reported it
            log.error("an engine died", code=EngineCrashed.__name__, cause=str(death))
            self._remove(engine)
            self._track(asyncio.create_task(self._replace()))
        if batch.is_abandoned:
            batch.outcomes.cancel()
            return
        retry = self._track(asyncio.create_task(self._retry(batch, death)))
        retry.add_done_callback(batch.settle)

    async def _retry(self, batch: RunningBatch, death: BaseException) -> list[Outcome]:
        """Run a batch again on which an engine died."""
        items, run = batch.items, partial(self._start, all_cores=True, is_wanted=batch.is_wanted)
        if len(items) > 1:
            middle = len(items) // 2
            first = await run(items[:middle], is_last_attempt=False)
            return first + await run(items[middle:], is_last_attempt=False)
        if self.info.lanes > 1 and not batch.all_cores:
            # The input of another lane may have killed the engine.
            return await run(items, is_last_attempt=False)
        if not batch.is_last_attempt:
            return await run(items, is_last_attempt=True)
        message = f"the engine process died twice on this input alone: {death}"
        return [Outcome(failure=ItemFailure(EngineCrashed.__name__, message))]

    async def _replace(self) -> None:
        """Start a new engine; retry until it works."""
        attempt = 0
        while True:
            await asyncio.sleep(RESTART_PAUSE_SECONDS[min(attempt, len(RESTART_PAUSE_SECONDS) - 1)])
            try:
                await self._start_engine()
            except Exception as error:  # a machine that cannot start processes now may do so later
                code = error.code if isinstance(error, SlipwayError) else type(error).__name__
                log.error("an engine could not be replaced", code=code, cause=str(error))
                attempt += 1
            else:
                return

    async def _start_engine(self) -> None:
        engine = await self._spawn()
        try:
            await self._load(engine)
        except BaseException:
            self._remove(engine)
            await engine.close(grace_seconds=0)
            raise

    def _remove(self, engine: Engine) -> None:
        self._engines.discard(engine)
        self._loaded.discard(engine)
        self._seats.remove(engine)

    def _track(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._tasks.add(task)
        task.add_done_callback(self._untrack)
        return task

    def _untrack(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved, also when its caller has gone
