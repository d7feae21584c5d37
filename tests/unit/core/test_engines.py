"""Engine processes whose models succeed, fail, crash and hang."""

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
from tests.fixtures.imports import imported_with
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


def results(outcomes: list[Outcome]) -> list[object]:
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


STARTS_PROCESSES = """
import multiprocessing, signal, subprocess, sys, time
from slipway_core.runtime import Model

class StartsProcesses(Model):
    def predict(self, batch):
        program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        program.terminate()
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        process.join(20)
        return [{"program": program.wait(20), "process": process.exitcode} for _ in batch]
"""


async def test_processes_of_a_model_can_be_terminated(tmp_path: Path) -> None:
    package = write_python_package(tmp_path / "p", STARTS_PROCESSES, entrypoint="StartsProcesses")
    async with pool_of(package) as pool:
        (outcome,) = await pool.run(texts("a"))
    assert outcome.prediction == {"program": -15, "process": -15}


async def test_only_the_failing_input_fails(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        outcomes = await pool.run(texts("a", "raise", "bb", "refused", "ccc"))
        assert results(outcomes) == [1, "PredictionFailed", 2, "InvalidInput", 3]
        assert outcomes[3].failure is not None
        assert outcomes[3].failure.message == "this text is refused"


async def test_only_an_input_that_kills_the_engine_fails_and_the_engine_restarts(
    misbehaving_package: Path,
) -> None:
    async with pool_of(misbehaving_package) as pool:
        assert results(await pool.run(texts("a", "bb", "crash"))) == [1, 2, "EngineCrashed"]
        assert results(await pool.run(texts("dddd"))) == [4]


async def test_requests_survive_an_engine_that_is_killed(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        running = pool.run(texts("sleep 0.2", "a"))
        await asyncio.sleep(0)
        os.kill(engine_processes()[0].pid, signal.SIGKILL)
        assert results(await running) == [len("sleep 0.2"), 1]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_requests_survive_an_engine_that_died_while_idle(
    misbehaving_package: Path, loop: str
) -> None:
    async def use() -> None:
        async with pool_of(misbehaving_package) as pool:
            (engine,) = engine_processes()
            engine.kill()
            wait_until(lambda: has_ended(engine), "the end of the engine")
            assert results(await pool.run(texts("dddd"))) == [4]

    runner = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=runner) as running:
        running.run(use())


async def test_an_engine_counts_as_alive_only_with_its_model_loaded(echo_package: Path) -> None:
    async with pool_of(echo_package) as pool:
        assert pool.alive == 1
        os.kill(engine_processes()[0].pid, signal.SIGKILL)
        request = pool.run(texts("a"))
        alive_counts = {pool.alive}
        while not request.done():
            await asyncio.sleep(0.001)
            alive_counts.add(pool.alive)
        assert alive_counts == {0, 1}
        assert pool.alive == 1
        assert (await request)[0].prediction == {"echo": "a"}


async def test_an_unreadable_package_is_reported(tmp_path: Path) -> None:
    package = write_python_package(tmp_path / "package", "", entrypoint="Echo")
    (package / "weights").symlink_to(package / "weights")
    with pytest.raises(ModelError):
        async with pool_of(package):
            pass


async def test_an_engine_that_exceeds_its_timeout_is_replaced(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package, engine_timeout_seconds=0.5) as pool:
        assert results(await pool.run(texts("sleep 60"))) == ["EngineCrashed"]
        assert results(await pool.run(texts("a"))) == [1]


async def test_the_engine_is_usable_after_a_cancelled_request(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        (engine,) = engine_processes()
        computing, waiting = pool.run(texts("sleep 0.1")), pool.run(texts("crash"))
        computing.cancel()
        waiting.cancel()
        assert results(await pool.run(texts("a", "bb"))) == [1, 2]
        assert engine_processes() == [engine], "cancelled requests were not computed"


async def test_a_cancelled_batch_is_not_retried(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        (engine,) = engine_processes()
        pool.run(texts("sleep 60", "sleep 60")).cancel()
        engine.kill()
        assert results(await pool.run(texts("a"))) == [1]


async def test_a_batch_that_is_no_longer_wanted_is_not_retried(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        (engine,) = engine_processes()
        is_wanted = True
        batch = pool.run(texts("sleep 60", "sleep 60"), is_wanted=lambda: is_wanted)
        is_wanted = False
        engine.kill()
        assert results(await pool.run(texts("a"))) == [1]
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
        granted = {"sandbox_write": str(package)}
        async with pool_of(package, engine_timeout_seconds=0.5, **granted) as pool:
            children.append(int((package / "child").read_text()))
            async with asyncio.timeout(30):
                assert results(await pool.run(texts(fault))) == ["EngineCrashed"]
                assert results(await pool.run(texts("a"))) == [1]
    finally:
        children.append(int((package / "child").read_text()))
        for child in set(children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


async def test_a_value_that_cannot_be_sent_fails_its_own_request(echo_package: Path) -> None:
    async with pool_of(echo_package) as pool:
        with pytest.raises(OverflowError):
            await pool.run([Item("text", 2**64)])
        assert (await pool.run(texts("a")))[0].prediction == {"echo": "a"}


async def test_closing_the_pool_ends_waiting_requests(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package) as pool:
        batches = [pool.run(texts("sleep 60")), pool.run(texts("a"))]
        await pool.close(grace_seconds=0)
        batches.append(pool.run(texts("b")))
        await asyncio.wait(batches, timeout=10)
        assert all(batch.cancelled() for batch in batches)


@pytest.mark.parametrize(("engines", "cores", "threads"), [(1, 2, 2), (1, 64, 8), (4, 6, 1)])
def test_engines_share_the_cores_and_use_at_most_eight_each(
    monkeypatch: pytest.MonkeyPatch, engines: int, cores: int, threads: int
) -> None:
    monkeypatch.setattr("slipway_core.engines.cores.available_cores", lambda: cores)
    assert EnginePool(ServiceSettings(engines=engines)).options.threads == threads


async def test_several_engines_compute_concurrently(misbehaving_package: Path) -> None:
    async with pool_of(misbehaving_package, engines=2) as pool:
        batches = await asyncio.gather(*(pool.run(texts(f"{'x' * n}")) for n in range(1, 9)))
        assert [results(batch) for batch in batches] == [[n] for n in range(1, 9)]
        assert len(engine_processes()) == 2


@pytest.fixture(scope="module")
def encoder_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a package of a small encoder, for which the bert runtime has a lane for each thread."""
    package = write_bert_package(tmp_path_factory.mktemp("encoder"), make_tensors())
    (package / "slipway.yaml").write_text(
        "name: encoder\nversion: '1'\ntask: text-embedding\nruntime: bert\n"
    )
    return package


async def test_a_lane_and_all_cores_compute_the_same_result(
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
async def test_each_computing_thread_has_its_own_core(encoder_package: Path) -> None:
    cores: set[int] = os.sched_getaffinity(0)
    async with pool_of(encoder_package, threads=len(cores)) as pool:
        await pool.run(texts("hello world"), all_cores=True)
        await asyncio.gather(*(pool.run(texts("hello world")) for _ in cores))
        threads = engine_processes()[0].threads()
        own = [places for thread in threads if len(places := os.sched_getaffinity(thread.id)) == 1]
    # A thread per lane, and the team of the main thread. Its first thread is free if cores > 2.
    together = cores if len(cores) == 2 else cores - {min(cores)}
    assert sorted(core for places in own for core in places) == sorted([*cores, *together])


async def test_requests_of_all_lanes_survive_a_killed_engine(encoder_package: Path) -> None:
    async with pool_of(encoder_package, threads=2) as pool:
        running = [pool.run(texts(f"text {n}")) for n in range(8)]
        await asyncio.sleep(0)
        os.kill(engine_processes()[0].pid, signal.SIGKILL)
        for task in running:
            (outcome,) = await task
            assert outcome.failure is None
        assert pool.alive == 1


async def test_engines_have_no_secrets_of_the_server(
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


async def test_a_model_that_cannot_be_loaded_is_reported_with_the_reason(tmp_path: Path) -> None:
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


async def test_a_model_may_clean_up_at_the_end(tmp_path: Path) -> None:
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
    async with pool_of(package, sandbox_write=str(package)):
        assert not (package / "tidied").exists()
    assert (package / "tidied").exists()


async def test_engines_end_with_the_pool(echo_package: Path) -> None:
    async with pool_of(echo_package, engines=2):
        started = engine_processes()
    assert [process for process in started if process.is_running()] == []


def test_an_engine_starts_without_what_only_servers_need() -> None:
    heavy = ("torch", "pydantic", "httpx2", "fastapi", "psycopg")
    assert imported_with("slipway_core.engines.serving", *heavy) == set()


HOSTILE_OUTPUTS = """
    import os
    from slipway_core.runtime import Model

    class Unspeakable(Exception):
        def __str__(self):
            raise SystemExit

    class Hostile(Model):
        def predict(self, batch):
            (value,) = batch if len(batch) == 1 else ("fine",)
            if value == "integer":
                return [2**70]
            if value == "surrogate":
                return ["\\ud800"]
            if value == "cyclic":
                cycle = []
                cycle.append(cycle)
                return [cycle]
            if value == "unspeakable":
                raise Unspeakable
            if value == "exit":
                raise SystemExit(0)
            if value == "interrupt":
                raise KeyboardInterrupt
            if value == "large":
                return ["x" * 300 * 2**20]
            return [{"pid": os.getpid()} for _ in batch]
"""


async def test_outputs_and_errors_that_cannot_be_sent_leave_the_engine_alive(
    tmp_path: Path,
) -> None:
    package = write_python_package(tmp_path, HOSTILE_OUTPUTS, entrypoint="Hostile")
    async with pool_of(package) as pool:
        (engine,) = engine_processes()
        for text in ("integer", "surrogate", "cyclic", "unspeakable", "exit", "interrupt", "large"):
            (outcome,) = await pool.run(texts(text))
            assert outcome.failure, text
            assert outcome.failure.code == "PredictionFailed", text
        assert (await pool.run(texts("pid")))[0].prediction == {"pid": engine.pid}


async def test_an_engine_that_sends_too_much_or_too_deep_is_replaced(tmp_path: Path) -> None:
    source = """
        import socket, sys
        from slipway_core.runtime import Model

        class Forging(Model):
            def predict(self, batch):
                number = next(a for a in sys.argv if a.startswith("--fd=")).partition("=")[2]
                server = socket.fromfd(int(number), socket.AF_UNIX, socket.SOCK_STREAM)
                if batch == ["long"]:
                    server.sendall(b"\\xff" * 2**20)
                if batch == ["deep"]:
                    server.sendall((2**20).to_bytes(4, "big") + b"\\x91" * 2**20)
                return [{} for _ in batch]
    """
    package = write_python_package(tmp_path, source, entrypoint="Forging")
    async with pool_of(package) as pool:
        for text in ("long", "deep"):
            (outcome,) = await pool.run(texts(text))
            assert outcome.failure is not None
            assert outcome.failure.code == "EngineCrashed"
        assert (await pool.run(texts("fine")))[0].failure is None


async def test_a_model_that_exits_while_it_loads_is_reported(tmp_path: Path) -> None:
    package = write_python_package(tmp_path, "raise SystemExit(3)", entrypoint="Echo")
    with pytest.raises(ModelLoadFailed, match="SystemExit: 3"):
        async with pool_of(package):
            pass
