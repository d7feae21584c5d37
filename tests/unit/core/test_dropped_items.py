"""Engines skip what nobody waits for any more, also after it was sent to them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextvars import copy_context
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.fixtures.exported_models import PackageMaker, load_package, tensors
from tests.fixtures.local_platform import wait_until
from tests.fixtures.models import write_python_package
from tests.unit.core.test_batcher import Engines, compute_for, settle
from tests.unit.core.test_engines import engine_processes, pool_of, texts

from slipway_core.batching.batcher import Batcher
from slipway_core.engines.pool import EnginePool
from slipway_core.errors import DeadlineExceeded, QueueFull
from slipway_core.inputs.dropped_items import DROPPED, register_dropped_items
from slipway_core.inputs.items import Item, Outcome

RECORDING = """
    import time
    from slipway_core.runtime import Model

    class Recording(Model):
        def note(self, name, value):
            with (self.folder / name).open("a") as file:
                file.write(f"{value} ")

        def preprocess(self, value, parameters):
            self.note("prepared", value)
            while value == "wait" and not (self.folder / "open").exists():
                time.sleep(0.001)
            return value

        def predict(self, batch):
            if "bad" in batch:
                raise RuntimeError("the first half is not to blame")
            return batch

        def postprocess(self, output):
            self.note("predicted", output)
            return {"output": output}
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Write a package that records what it prepares, and waits for the file `open` at `wait`."""
    return write_python_package(tmp_path / "package", RECORDING, entrypoint="Recording")


@pytest.fixture
async def pool(package: Path) -> AsyncIterator[EnginePool]:
    async with pool_of(package, sandbox_write=str(package)) as running:
        yield running


def batcher_of(pool: EnginePool) -> Batcher:
    return Batcher(
        pool.run,
        engines=pool.size,
        lanes=pool.info.lanes,
        max_batch_tokens=2048,
        max_queue_tokens=65_536,
        drop=pool.drop,
    )


def recorded(package: Path, name: str = "prepared") -> list[str]:
    file = package / name
    return file.read_text().split() if file.exists() else []


async def until_recorded(package: Path, value: str) -> None:
    await asyncio.to_thread(wait_until, lambda: value in recorded(package), f"{value} is prepared")


def submit(
    batcher: Batcher, *values: str, timeout_seconds: float = 60
) -> asyncio.Future[list[Outcome]]:
    return batcher.submit(texts(*values), [1] * len(values), timeout_seconds=timeout_seconds)


@pytest.mark.parametrize("reason", ["they leave", "their deadlines pass"])
async def test_a_batch_of_gone_clients_ends_with_the_item_that_is_being_prepared(
    pool: EnginePool, package: Path, reason: str
) -> None:
    batcher = batcher_of(pool)
    timeout_seconds = 60 if reason == "they leave" else 0.2
    running = submit(batcher, "wait", *["gone"] * 1000, timeout_seconds=timeout_seconds)
    await until_recorded(package, "wait")
    queued = [submit(batcher, "gone", timeout_seconds=timeout_seconds) for _ in range(100)]
    if reason == "they leave":
        for future in (running, *queued):
            future.cancel()
    ended = await asyncio.gather(running, *queued, return_exceptions=True)
    expected = asyncio.CancelledError if reason == "they leave" else DeadlineExceeded
    assert {type(one) for one in ended} == {expected}

    honest = submit(batcher, "honest")
    (package / "open").touch()
    assert (await honest)[0].prediction == {"output": "honest"}
    assert recorded(package) == ["wait", "honest"]


async def test_only_dropped_items_of_a_batch_are_skipped(pool: EnginePool, package: Path) -> None:
    sent = pool.run(texts("wait", "a", "gone", "b", "bad", "gone"))
    await until_recorded(package, "wait")
    pool.drop(sent, [2])
    pool.drop(sent, [5])
    (package / "open").touch()
    outcomes = await sent
    assert [one.failure.code if one.failure else one.prediction["output"] for one in outcomes] == [
        *("wait", "a", "DeadlineExceeded", "b", "PredictionFailed", "DeadlineExceeded")
    ]
    assert "gone" not in recorded(package)


async def test_items_that_are_dropped_too_late_concern_no_other_batch(
    pool: EnginePool, package: Path
) -> None:
    (engine,) = engine_processes()
    done = pool.run(texts("done"))
    # This blocks the event loop, which has therefore not read the reply yet.
    wait_until(lambda: recorded(package, "predicted") == ["done"], "the prediction")
    pool.drop(done, [0])
    (outcome,) = await pool.run(texts("next"))
    assert outcome.prediction == {"output": "next"}
    assert (await done)[0].prediction == {"output": "done"}
    assert engine_processes() == [engine]


class DroppingEngines(Engines):
    """Engines that skip what is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[list[int]] = []

    def drop(self, _: asyncio.Future[list[Outcome]], indices: Sequence[int]) -> None:
        self.dropped.append(list(indices))

    async def _compute(self, gate: asyncio.Event, items: Sequence[Item]) -> list[Outcome]:
        outcomes = await super()._compute(gate, items)
        skipped = {index for indices in self.dropped for index in indices}
        return [Outcome(failure=DROPPED) if i in skipped else o for i, o in enumerate(outcomes)]


def fake_batcher_of(engines: DroppingEngines) -> Batcher:
    return Batcher(
        engines.run,
        engines=1,
        lanes=1,
        max_batch_tokens=2048,
        max_queue_tokens=65_536,
        drop=engines.drop,
    )


async def test_the_items_of_one_request_leave_the_batch_that_others_share() -> None:
    engines = DroppingEngines()
    batcher = fake_batcher_of(engines)
    submit(batcher, "first")
    stays, leaves, also_stays = (submit(batcher, *names) for names in ("a", "bc", "d"))
    await engines.finish(0)
    leaves.cancel()
    await settle()
    assert engines.batches[1] == ["a", "b", "c", "d"]
    assert engines.dropped == [[1, 2]]
    await engines.finish(1)
    assert [(await stays)[0].prediction, (await also_stays)[0].prediction] == [
        {"echo": "a"},
        {"echo": "d"},
    ]
    also_stays.cancel()
    await settle()
    assert engines.dropped == [[1, 2]], "nothing is dropped from a batch that is done"


async def test_skipped_work_does_not_count_as_fast_work() -> None:
    engines = DroppingEngines()
    batcher = fake_batcher_of(engines)
    batcher.submit(texts("slow"), [10])
    await compute_for(0.2)  # the measured speed: 50 tokens a second at most
    await engines.finish(0)
    batcher.submit(texts(*["dropped"] * 4), [500] * 4).cancel()
    await compute_for(0.01)
    await engines.finish(1)
    batcher.submit(texts("running"), [10])
    with pytest.raises(QueueFull):
        batcher.submit(texts("late"), [100], timeout_seconds=1)


def test_a_dropped_image_is_not_decoded(
    script_package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slipway_core.models.exported import images

    class MeanColour(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3))

    manifest = tensors([-1, 3, 8, 8], image={}) | {"outputs": [{"name": "y", "shape": [-1, 3]}]}
    model = load_package(script_package(MeanColour(), manifest))
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    items = [Item("image", content.getvalue()) for _ in range(5)]
    decoded: list[bytes] = []
    decode = images.decode_image

    def record(value: bytes, *rest: object) -> Image.Image:
        decoded.append(value)
        return decode(value, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "decode_image", record)

    def run() -> list[Outcome]:
        register_dropped_items(lambda item: item is not items[3] and len(decoded) > 0)
        return model.run(items)

    outcomes = copy_context().run(run)
    codes = [one.failure.code if one.failure else "" for one in outcomes]
    assert codes == ["", "DeadlineExceeded", "DeadlineExceeded", "", "DeadlineExceeded"]
    assert len(decoded) == 2
