"""Engine processes: what a server sees when models answer, fail, crash and hang."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from tests.fixtures.bert_packages import make_tensors, write_bert_package
from tests.fixtures.local_platform import wait_until
from tests.fixtures.models import write_python_package
from tests.fixtures.tiers import needs_two_cores

from slipway_core.engines.pool import EnginePool
from slipway_core.errors import ModelError, ModelIntegrityError, ModelLoadFailed
from slipway_core.inputs.items import Item, Outcome
from slipway_core.settings import ServiceSettings


@asynccontextmanager
async def pool_of(package: Path, **settings: Any) -> AsyncIterator[EnginePool]:
    configured = ServiceSettings(
        model_uri=f"file://{package}", model_sha256="", log_level="error", **settings
    )
    pool = await EnginePool.start(configured)
    try:
        yield pool
    finally:
        await pool.close()


def texts(*values: str) -> list[Item]:
    return [Item("text", value) for value in values]


def answers(outcomes: list[Outcome]) -> list[object]:
    return [o.failure.code if o.failure else o.prediction["length"] for o in outcomes]


def engine_processes() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "slipway_core.engines.process" in child.cmdline()
    ]


def has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def test_a_failing_input_fails_alone(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        outcomes = await pool.run(texts("a", "raise", "bb", "refused", "ccc"))
        assert answers(outcomes) == [1, "PredictionFailed", 2, "InvalidInput", 3]
        assert outcomes[3].failure is not None
        assert outcomes[3].failure.message == "this text is refused"


async def test_an_input_that_kills_the_engine_fails_alone_and_the_engine_comes_back(
    misbehaving_package: Path,
) -> None:
    async with pool_of(misbehaving_package) as pool:
        assert answers(await pool.run(texts("a", "bb", "crash"))) == [1, 2, "EngineCrashed"]
        assert answers(await pool.run(texts("dddd"))) == [4]


async def test_an_engine_killed_from_outside_costs_no_answer(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        running = pool.run(texts("sleep 0.2", "a"))
        await asyncio.sleep(0)
        os.kill(engine_processes()[0].pid, signal.SIGKILL)
        assert answers(await running) == [len("sleep 0.2"), 1]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_engine_that_died_while_idle_costs_no_answer(
    misbehaving_package: Path, loop: str
) -> None:
    async def use() -> None:
        async with pool_of(misbehaving_package) as pool:
            (engine,) = engine_processes()
            engine.kill()
            wait_until(lambda: has_ended(engine), "the end of the engine")
            assert answers(await pool.run(texts("dddd"))) == [4]

    runner = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=runner) as running:
        running.run(use())


async def test_an_engine_counts_as_alive_only_with_its_model_loaded(echo_package: Path) -> None:
    async with pool_of(echo_package) as pool:
        assert pool.alive == 1
        os.kill(engine_processes()[0].pid, signal.SIGKILL)
        answer = pool.run(texts("a"))
        seen = {pool.alive}
        while not answer.done():
            await asyncio.sleep(0.001)
            seen.add(pool.alive)
        assert seen == {0, 1}
        assert pool.alive == 1
        assert (await answer)[0].prediction == {"echo": "a"}


async def test_a_package_that_may_not_be_read_is_said_so(tmp_path: Path) -> None:
    package = write_python_package(tmp_path / "package", "", entrypoint="Echo")
    (package / "weights").symlink_to(package / "weights")
    with pytest.raises(ModelError):
        async with pool_of(package):
            pass


async def test_an_engine_that_computes_for_too_long_is_replaced(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package, engine_timeout_seconds=0.5) as pool:
        assert answers(await pool.run(texts("sleep 60"))) == ["EngineCrashed"]
        assert answers(await pool.run(texts("a"))) == [1]


async def test_a_caller_that_gives_up_leaves_the_engine_usable(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        (engine,) = engine_processes()
        computing, waiting = pool.run(texts("sleep 0.1")), pool.run(texts("crash"))
        computing.cancel()
        waiting.cancel()
        assert answers(await pool.run(texts("a", "bb"))) == [1, 2]
        assert engine_processes() == [engine], "what was given up was not computed"


async def test_a_batch_that_was_given_up_is_not_tried_again(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        (engine,) = engine_processes()
        pool.run(texts("sleep 60", "sleep 60")).cancel()
        engine.kill()
        assert answers(await pool.run(texts("a"))) == [1]


async def test_what_nobody_waits_for_any_more_is_not_tried_again(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        (engine,) = engine_processes()
        is_wanted = True
        batch = pool.run(texts("sleep 60", "sleep 60"), is_wanted=lambda: is_wanted)
        is_wanted = False
        engine.kill()
        assert answers(await pool.run(texts("a"))) == [1]
        assert batch.cancelled()


FORKING = """
    import os, time
    from slipway_core.runtime import Model

    class Forking(Model):
        def load(self):
            if os.fork() == 0:
                (self.folder / "child").write_text(str(os.getpid()))
                time.sleep(60)
                os._exit(0)

        def predict(self, batch):
            if "hang" in batch:
                time.sleep(60)
            if "end" in batch:
                os._exit(1)
            return [{"length": len(text)} for text in batch]
"""


@pytest.mark.parametrize("fault", ["hang", "end"])
async def test_an_engine_whose_model_has_started_a_process_is_replaced_too(
    tmp_path: Path, fault: str
) -> None:
    package = write_python_package(tmp_path, FORKING, entrypoint="Forking")
    children = []
    try:
        async with pool_of(package, engine_timeout_seconds=0.5) as pool:
            children.append(int((package / "child").read_text()))
            async with asyncio.timeout(30):
                assert answers(await pool.run(texts(fault))) == ["EngineCrashed"]
                assert answers(await pool.run(texts("a"))) == [1]
    finally:
        children.append(int((package / "child").read_text()))
        for child in set(children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


async def test_a_value_that_cannot_be_sent_is_its_caller_s_failure(echo_package: Path) -> None:
    async with pool_of(echo_package) as pool:
        with pytest.raises(OverflowError):
            await pool.run([Item("text", 2**64)])
        assert (await pool.run(texts("a")))[0].prediction == {"echo": "a"}


async def test_a_pool_that_ends_lets_nobody_wait(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        batches = [pool.run(texts("sleep 60")), pool.run(texts("a"))]
        await pool.close(grace_seconds=0)
        batches.append(pool.run(texts("b")))
        await asyncio.wait(batches, timeout=10)
        assert all(batch.cancelled() for batch in batches)


@pytest.mark.parametrize(("engines", "cores", "threads"), [(1, 2, 2), (1, 64, 8), (4, 6, 1)])
def test_engines_share_the_cores_and_take_eight_at_most(
    monkeypatch: pytest.MonkeyPatch, engines: int, cores: int, threads: int
) -> None:
    monkeypatch.setattr("slipway_core.engines.cores.available_cores", lambda: cores)
    assert EnginePool(ServiceSettings(engines=engines)).options.threads == threads


async def test_several_engines_compute_at_once(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package, engines=2) as pool:
        batches = await asyncio.gather(*(pool.run(texts(f"{'x' * n}")) for n in range(1, 9)))
        assert [answers(batch) for batch in batches] == [[n] for n in range(1, 9)]
        assert len(engine_processes()) == 2


@pytest.fixture(scope="module")
def encoder_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a package of a small encoder. The bert runtime has a lane for each thread."""
    package = write_bert_package(tmp_path_factory.mktemp("encoder"), make_tensors())
    (package / "slipway.yaml").write_text(
        "name: encoder\nversion: '1'\ntask: text-embedding\nruntime: bert\n"
    )
    return package


async def test_a_model_with_lanes_computes_on_each_and_on_all_cores_alike(
    encoder_package: Path,
) -> None:
    async with pool_of(encoder_package, threads=2) as pool:
        assert pool.info.lanes == 2
        batches = await asyncio.gather(
            *(pool.run(texts("hello world"), all_cores=number % 3 == 0) for number in range(9))
        )
        first, *others = [outcome.vector() for (outcome,) in batches]
        assert len(first)
        for other in others:
            assert other == pytest.approx(first, abs=1e-6)


@needs_two_cores
async def test_threads_that_compute_have_a_core_each(encoder_package: Path) -> None:
    cores: set[int] = os.sched_getaffinity(0)
    async with pool_of(encoder_package, threads=len(cores)) as pool:
        await pool.run(texts("hello world"), all_cores=True)
        await asyncio.gather(*(pool.run(texts("hello world")) for _ in cores))
        threads = engine_processes()[0].threads()
        own = [places for thread in threads if len(places := os.sched_getaffinity(thread.id)) == 1]
    # One thread for each lane, and the team of the main thread; of more than two the first is free.
    together = cores if len(cores) == 2 else cores - {min(cores)}
    assert sorted(core for places in own for core in places) == sorted([*cores, *together])


async def test_a_killed_engine_costs_no_lane_its_answer(encoder_package: Path) -> None:
    async with pool_of(encoder_package, threads=2) as pool:
        running = [pool.run(texts(f"text {n}")) for n in range(8)]
        await asyncio.sleep(0)
        os.kill(engine_processes()[0].pid, signal.SIGKILL)
        for task in running:
            (outcome,) = await task
            assert outcome.failure is None
        assert pool.alive == 1


async def test_the_engine_is_given_no_secret_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_DATABASE_URL", "postgresql://user:hidden@localhost/slipway")
    monkeypatch.setenv("SLIPWAY_SECRETS_DIR", "/run/secrets")
    source = """
        import os
        from slipway_core.runtime import Model

        class Environment(Model):
            def predict(self, batch):
                return [{"names": sorted(os.environ)} for _ in batch]
    """
    package = write_python_package(tmp_path, source, entrypoint="Environment")
    async with pool_of(package) as pool:
        (outcome,) = await pool.run(texts("a"))
        assert not {"SLIPWAY_DATABASE_URL", "SLIPWAY_SECRETS_DIR"} & set(
            outcome.prediction["names"]
        )


async def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    package = write_python_package(
        tmp_path, "import a_module_that_is_not_installed", entrypoint="Echo"
    )
    with pytest.raises(ModelLoadFailed, match="a_module_that_is_not_installed"):
        async with pool_of(package):
            pass
    assert engine_processes() == []


async def test_a_package_with_another_digest_is_not_loaded(echo_package: Path) -> None:
    settings = ServiceSettings(
        model_uri=f"file://{echo_package}", model_sha256="0" * 64, log_level="error"
    )
    with pytest.raises(ModelIntegrityError, match="0" * 64):
        await EnginePool.start(settings)
    assert engine_processes() == []


async def test_a_model_may_put_things_in_order_at_the_end(tmp_path: Path) -> None:
    source = """
        import atexit
        from slipway_core.runtime import Model

        class Tidy(Model):
            def load(self):
                atexit.register((self.folder / "tidied").touch)

            def predict(self, batch):
                return [{} for _ in batch]
    """
    package = write_python_package(tmp_path, source, entrypoint="Tidy")
    async with pool_of(package):
        assert not (package / "tidied").exists()
    assert (package / "tidied").exists()


async def test_engines_end_with_the_pool(echo_package: Path) -> None:
    async with pool_of(echo_package, engines=2):
        started = engine_processes()
    assert [process for process in started if process.is_running()] == []
