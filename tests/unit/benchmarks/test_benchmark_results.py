"""Parsing and rendering of benchmark results."""

from __future__ import annotations

import math

import pytest
from tests.benchmarks.limit import InProcess
from tests.benchmarks.load import BenchmarkFailed, LoadResult, parse_output, percentile
from tests.benchmarks.machine import parse_cpu_info
from tests.benchmarks.memory import MemoryWatch, Sample
from tests.benchmarks.peer_servers import FOLDER, PEERS, PeerResult
from tests.benchmarks.points import POINTS, Measured, Point
from tests.benchmarks.report import Spread, make_table, replace_section
from tests.benchmarks.serving import OpenLoop, Overload, SlipwayResult
from tests.benchmarks.serving_tables import peers_section, serving_section

PLAIN = (
    "Running 2s test @ http://127.0.0.1:1/\n"
    'RESULT {"microseconds": 2000000, "requests": 100, "bad_status": 3, "broken": 2, '
    '"p50": 1500, "p99": 9000, "other_statuses": {}, "latencies": []}\n'
)
TIMED = (
    'RESULT {"microseconds": 1000000, "requests": 7, "bad_status": 3, "broken": 0, '
    '"p50": 1, "p99": 1, "other_statuses": {"429": 2, "504": 1}, '
    '"latencies": [1000, 2000, 3000, 4000]}\n'
)


def load(rate: float, p99: float = 20.0) -> LoadResult:
    return LoadResult(100.0, round(100 * rate), 0, 0, 10.0, p99, (5.0, 10.0, 15.0))


def measured(rate: float, limit: float = 200.0, p99: float = 20.0) -> list[Measured]:
    return [
        Measured(point, [load(rate / point.texts_per_request, p99)], [InProcess(limit, limit / 2)])
        for point in POINTS
    ]


def slipway_result(points: list[Measured]) -> SlipwayResult:
    overloads = [Overload(0, load(100), 0.1), Overload(500, load(90), 0.25)]
    return SlipwayResult("1 engine", points, overloads, OpenLoop(70.0, load(70)), 512.0)


def test_a_closed_loop_counts_bad_statuses_and_broken_connections_as_failed() -> None:
    result = parse_output(PLAIN, timed=False)
    assert result.requests_per_second == 48.5
    assert (result.failed, result.rejected) == (5, 0)
    assert (result.p50_ms, result.p99_ms) == (1.5, 9.0)


def test_a_timed_load_counts_successful_rejected_and_failed_requests() -> None:
    result = parse_output(TIMED, timed=True)
    assert (result.succeeded, result.rejected, result.failed) == (4, 2, 1)
    assert result.rejected_share == pytest.approx(1 / 3)
    assert result.latencies_ms == (1.0, 2.0, 3.0, 4.0)
    assert result.p50_ms == 2.0
    assert result.drift == 4.0


def test_output_without_a_result_is_shown_to_the_user() -> None:
    with pytest.raises(BenchmarkFailed, match="unable to connect"):
        parse_output("unable to connect to 127.0.0.1:1 Connection refused", timed=False)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 1), (50, 5), (90, 9), (99, 10), (100, 10)],
)
def test_percentile_is_one_of_the_values(percent: int, expected: int) -> None:
    assert percentile(range(10, 0, -1), percent) == expected


def test_percentile_without_values_is_zero() -> None:
    assert percentile([], 99) == 0


def test_a_spread_shows_minimum_and_maximum_only_if_they_differ() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).show() == "2 (1 to 3)"
    assert Spread.of([2.04, 2.01]).show(1) == "2.0"


def test_only_the_text_between_the_markers_of_a_section_is_replaced() -> None:
    page = (
        "before\n<!-- measured: soak -->\nold\n<!-- end of soak -->\n"
        "<!-- measured: batch -->\nkept\n<!-- end of batch -->\nafter\n"
    )
    replaced = replace_section(page, "soak", r"new \1 text")
    assert "<!-- measured: soak -->\n\nnew \\1 text\n\n<!-- end of soak -->" in replaced
    assert "old" not in replaced
    assert "\nkept\n" in replaced
    assert replace_section(replaced, "soak", r"new \1 text") == replaced


def test_a_page_without_markers_is_rejected() -> None:
    with pytest.raises(BenchmarkFailed, match="measured: soak"):
        replace_section("nothing here", "soak", "new")


def test_table_rows_have_equal_widths() -> None:
    lines = make_table(("a", "b"), [("long cell", "1")]).splitlines()
    assert lines == ["| a         | b |", "| --------- | - |", "| long cell | 1 |"]


def test_cpu_info_contains_model_and_relevant_instructions() -> None:
    cpu_info = (
        "model name\t: Some CPU\nflags\t\t: fpu avx2 amx_bf16 avx512_vnni\nmodel name\t: Other\n"
    )
    assert parse_cpu_info(cpu_info) == ("Some CPU", ["AMX-BF16", "AVX512-VNNI", "AVX2"])
    assert parse_cpu_info("") == ("", [])


def test_percentages_compare_each_load_with_the_limit_before_it() -> None:
    in_process = [InProcess(limit=100, one_process=50), InProcess(limit=100, one_process=90)]
    result = Measured(Point(8), [load(50), load(90)], in_process)
    assert result.percent_of_limit == Spread(70.0, 50.0, 90.0)
    assert result.percent_of_one_process == Spread(100.0, 100.0, 100.0)


def test_the_rate_counts_texts_rather_than_requests() -> None:
    result = Measured(Point(4, texts_per_request=32), [load(3)])
    assert result.rate.median == 96


def test_the_serving_section_has_all_points_and_describes_overload() -> None:
    section = serving_section(slipway_result(measured(100)), "a machine")
    assert section.count("\n| ") == len(POINTS) + 2  # with the header and its separator
    assert section.startswith("a machine. Slipway: 1 engine.")
    assert "deadline of 500 ms: 90 responses/s" in section
    assert "70 requests/s at random times (70 % of the capacity)" in section


def test_the_peers_section_compares_with_the_best_and_separates_the_forward_pass() -> None:
    peers = [
        PeerResult("mlserver", measured(20, p99=80), 900, 1.0),
        PeerResult("mlserver_forward", measured(50), 600, 0.5),
        PeerResult("kserve", measured(25, p99=40)[:-1], 700, math.inf),
        PeerResult("ray", problem="not installed: no such wheel"),
    ]
    section = peers_section(slipway_result(measured(100)), peers, "a machine")
    ratios = next(line for line in section.splitlines() if "best of the others" in line)
    assert [cell.strip() for cell in ratios.split("|")[2:-1]] == ["4.0"] * 5 + ["5.0"]
    times = next(line for line in section.splitlines() if "lowest of the others" in line)
    assert [cell.strip() for cell in times.split("|")[2:-1]] == ["0.50"] * 5 + ["0.25"]
    server = next(line for line in section.splitlines() if "/ MLServer with" in line)
    assert server.split("|")[2].strip() == "2.0"
    assert "over 60" in section
    assert "Ray Serve 2.60.0 was not measured: not installed: no such wheel." in section


@pytest.mark.parametrize("name", sorted(PEERS))
def test_every_server_pins_its_packages_and_torch(name: str) -> None:
    lines = (FOLDER / name / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines if not line.startswith("#"))
    assert lines[-1].startswith("torch==")


def test_memory_is_read_at_the_nearest_sample() -> None:
    watch = MemoryWatch({}, seconds=1)
    watch.samples["tree"] = [Sample(0, 100), Sample(5, 300), Sample(10, 200)]
    assert watch.at("tree", 6) == 300
    assert watch.at("tree", 60) == 200
    assert watch.peak("tree") == 300
