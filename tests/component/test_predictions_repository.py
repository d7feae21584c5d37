"""The prediction log: records are read unchanged, newest first, by filter and in pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import psycopg
import pytest
from tests.fixtures.batch import Batch
from tests.fixtures.partitions import Month
from tests.fixtures.postgres import as_owner

from slipway_core.store.identifiers import uuid7
from slipway_core.store.postgres.page import MAX_PAGE_BYTES
from slipway_core.store.predictions import PredictionRepository, page_query
from slipway_core.store.records import PredictionFilter, PredictionRecord

pytestmark = pytest.mark.component

# Without a fraction of a second, since IDs have a resolution of milliseconds.
NOW = datetime.now(UTC).replace(microsecond=0)


def record(seconds_ago: float = 0, **changed: object) -> PredictionRecord:
    created = NOW - timedelta(seconds=seconds_ago)
    default = PredictionRecord(
        id=uuid7(created),
        created_at=created,
        request_id="request-1",
        model="minilm",
        version="1.0",
        model_digest="ab" * 32,
        modality="text",
        status="ok",
        input="a text with ünïcode",
        prediction={"scores": [0.5, 1e-9], "label": "x"},
        embedding=np.arange(384, dtype="<f4").tobytes(),
        latency_ms=7.125,
        tokens=5,
    )
    return msgspec.structs.replace(default, **changed)


@pytest.fixture
def predictions(batch: Batch) -> PredictionRepository:
    return PredictionRepository(batch.database, "test/first")


async def test_records_are_read_unchanged(predictions: PredictionRepository) -> None:
    written = [
        record(0),
        record(1, input=None, prediction=None, embedding=b"", status="QueueFull"),
        record(2, input={"a": [1, 2.5, None]}),
    ]
    await predictions.insert(written)
    assert await predictions.page(PredictionFilter(), None, 10) == written


async def test_no_statistics_are_collected_of_payloads(
    batch: Batch, predictions: PredictionRepository
) -> None:
    await predictions.insert([record(seconds) for seconds in range(10)])
    url = as_owner(batch.settings.database_url.get_secret_value())
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("ANALYZE predictions")
        cursor = await connection.execute(
            "SELECT DISTINCT attname FROM pg_stats WHERE tablename LIKE 'predictions_%'"
        )
        columns = {name for (name,) in await cursor.fetchall()}
    assert {"id", "created_at", "model", "status"} <= columns
    assert not columns & {"input", "prediction", "embedding"}


async def test_an_empty_list_of_records_is_accepted(predictions: PredictionRepository) -> None:
    await predictions.insert([])
    assert await predictions.page(PredictionFilter(), None, 10) == []


async def test_values_that_jsonb_rejects_are_replaced(predictions: PredictionRepository) -> None:
    await predictions.insert(
        [record(input="a\0b\ud800", prediction={"x": float("inf")}, request_id="\0")]
    )
    (read,) = await predictions.page(PredictionFilter(), None, 10)
    assert (read.input, read.prediction, read.request_id) == ("a\ufffdb?", {"x": None}, "\ufffd")


async def test_pages_contain_every_record_once(predictions: PredictionRepository) -> None:
    written = [record(seconds) for seconds in range(25)]
    await predictions.insert(list(reversed(written)))
    read: list[PredictionRecord] = []
    while page := await predictions.page(PredictionFilter(), read[-1].id if read else None, 10):
        read += page
    assert read == written


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (PredictionFilter(model="minilm"), [0, 1, 3]),
        (PredictionFilter(model="other"), [2]),
        (PredictionFilter(version="2"), [1]),
        (PredictionFilter(status="ok"), [0, 1, 2]),
        (PredictionFilter(status="QueueFull"), [3]),
        (PredictionFilter(since=NOW - timedelta(seconds=10)), [0, 1]),
        (PredictionFilter(until=NOW - timedelta(seconds=10)), [2, 3]),
        (PredictionFilter(since=NOW - timedelta(seconds=20), until=NOW), [1, 2]),
        (PredictionFilter(model="nobody"), []),
    ],
)
async def test_records_are_filtered(
    predictions: PredictionRepository, condition: PredictionFilter, expected: list[int]
) -> None:
    written = [
        record(0),
        record(10, version="2"),
        record(20, model="other"),
        record(30, status="QueueFull"),
    ]
    await predictions.insert(written)
    assert await predictions.page(condition, None, 10) == [written[index] for index in expected]


async def test_the_records_of_other_deployments_are_not_read(batch: Batch) -> None:
    first, second = (PredictionRepository(batch.database, f"test/{n}") for n in ("a", "b"))
    written = {first: record(1), second: record(2)}
    for repository, row in written.items():
        await repository.insert([row])
    for repository, row in written.items():
        assert await repository.page(PredictionFilter(), None, 10) == [row]
        assert await repository.count() == 1


async def test_the_records_of_a_quiet_deployment_are_found_by_an_index(
    predictions: PredictionRepository, batch: Batch
) -> None:
    await predictions.insert([record(seconds) for seconds in range(3_000)])
    quiet = PredictionRepository(batch.database, "test/quiet")
    await quiet.insert([record(5_000)])
    async with batch.database.transaction() as connection:
        await connection.execute("ANALYZE predictions")
        query, values = page_query("test/quiet", PredictionFilter(), None, 10)
        cursor = await connection.execute("EXPLAIN " + query.as_string(connection), values)
        plan = "\n".join(line for (line,) in await cursor.fetchall())
    assert f"predictions{Month.of(NOW).suffix}_deployment_id_idx on" in plan


async def test_failures_of_any_status_are_found_by_their_index(
    predictions: PredictionRepository, batch: Batch
) -> None:
    failed = record(0, status="EngineCrashed", prediction=None, embedding=b"")
    await predictions.insert([failed, *(record(seconds) for seconds in range(1, 3_000))])
    condition = PredictionFilter(status="EngineCrashed")
    assert await predictions.page(condition, None, 10) == [failed]
    async with batch.database.transaction() as connection:
        await connection.execute("ANALYZE predictions")
        query, values = page_query("test/first", condition, None, 10)
        unbound = query.as_string(connection)
        for number in range(1, len(values) + 1):
            unbound = unbound.replace("%s", f"${number}", 1)
        cursor = await connection.execute(b"EXPLAIN (GENERIC_PLAN) " + unbound.encode())
        plan = "\n".join(line for (line,) in await cursor.fetchall())
    partition = "predictions" + Month.of(NOW).suffix
    assert f"using {partition}_deployment_id_idx1 on {partition}" in plan


async def test_records_of_other_months_are_stored_in_other_partitions(
    predictions: PredictionRepository, batch: Batch
) -> None:
    later = NOW + timedelta(days=75)
    await predictions.insert([record(), record(created_at=later, id=uuid7(later))])
    assert len(await predictions.page(PredictionFilter(), None, 10)) == 2
    url = batch.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute("SELECT count(DISTINCT tableoid) FROM predictions")
        assert await rows.fetchone() == (2,)


async def test_ten_thousand_records_can_be_inserted_at_once(
    predictions: PredictionRepository,
) -> None:
    await predictions.insert([record(index / 100) for index in range(10_000)])
    assert len(await predictions.page(PredictionFilter(), None, 1_000)) == 1_000
    assert await predictions.count() == 10_000


async def test_the_bytes_of_its_rows_end_a_page(predictions: PredictionRepository) -> None:
    written = [record(index, input="x" * (MAX_PAGE_BYTES // 4)) for index in range(10)]
    await predictions.insert(written)
    read: list[PredictionRecord] = []
    while page := await predictions.page(PredictionFilter(), read[-1].id if read else None, 1_000):
        assert page.size <= MAX_PAGE_BYTES
        assert page.is_cut == (len(read) + len(page) < len(written))
        read += page
    assert read == written


async def test_a_row_larger_than_a_page_is_a_page(predictions: PredictionRepository) -> None:
    large = record(0, input="x" * (MAX_PAGE_BYTES + 1))
    await predictions.insert([large, record(1)])
    assert await predictions.page(PredictionFilter(), None, 10) == [large]
