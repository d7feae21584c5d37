"""The demo detects wrong results."""

from __future__ import annotations

from importlib.resources import files

import pytest

from slipway_cli.demo.checks import DemoFailed, check_results, cosine, metric_value

METRICS = """# HELP prediction_requests_total Requests
# TYPE prediction_requests_total counter
prediction_requests_total{code="",modality="text",status="ok"} 6.0
prediction_requests_total{code="InvalidInput",modality="text",status="error"} 2.0
prediction_requests_total_other{code="",modality="text",status="ok"} 9.0
up 1.0
"""


def test_metric_value_returns_the_value_of_a_series() -> None:
    labels = {"code": "", "modality": "text", "status": "ok"}
    assert metric_value(METRICS, "prediction_requests_total", labels) == 6
    assert metric_value(METRICS, "up", {}) == 1
    assert metric_value(METRICS, "prediction_requests_total", {"modality": "image"}) == 0
    assert metric_value(METRICS, "missing", {}) == 0


def test_cosine_of_parallel_and_orthogonal_vectors() -> None:
    assert cosine([1, 0], [3, 0]) == pytest.approx(1)
    assert cosine([1, 0], [0, 2]) == pytest.approx(0)


@pytest.mark.parametrize(
    ("indexes", "message"),
    [([0, 1], "1 inputs have no result"), ([0, 1, 2, 2], "3 inputs have 4 results")],
)
def test_lost_and_duplicate_results_are_reported(indexes: list[int], message: str) -> None:
    results = [{"index": index, "prediction": {}} for index in indexes]
    with pytest.raises(DemoFailed, match=message):
        check_results(results, 3)


def test_failed_results_are_reported() -> None:
    results = [{"index": 0, "prediction": {}}, {"index": 1, "error": {"code": "X"}}]
    with pytest.raises(DemoFailed, match="1 inputs failed"):
        check_results(results, 2)


def test_the_demo_has_a_thousand_different_sentences() -> None:
    sentences = (files("slipway_cli") / "data" / "sentences.txt").read_text().splitlines()
    assert len(sentences) == len(set(sentences)) == 1000
    assert all(len(sentence.split()) >= 6 for sentence in sentences)
