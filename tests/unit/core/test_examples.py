"""Each example can be served as it is in the repository, and rebuilt by its script."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway_core.inputs.parsing import parse_input, parse_rows
from slipway_core.models.loading import load_model
from slipway_core.models.model import LoadOptions, Model
from slipway_core.package.resolve import resolve_package

EXAMPLES = Path(__file__).parents[3] / "examples"
MAX_FILE_BYTES = 200_000


def load(folder: Path) -> Model:
    package = resolve_package(str(folder), cache=folder / "cache")
    return load_model(package.folder, package.manifest, LoadOptions())


def predict(model: Model, modality: str, *inputs: Any) -> list[dict[str, Any]]:
    items = [parse_input(model.manifest, modality, raw, field="input") for raw in inputs]
    return [outcome.prediction for outcome in model.run(items)]


def check_iris(model: Model) -> None:
    rows = parse_rows(
        model.manifest,
        {
            "sepal_length": [5.1, 6.0, 6.3],
            "sepal_width": [3.5, 2.9, 3.3],
            "petal_length": [1.4, 4.5, 6.0],
            "petal_width": [0.2, 1.5, 2.5],
        },
        field="inputs",
    )
    predictions = [outcome.prediction for outcome in model.run(rows)]
    assert [prediction["label"] for prediction in predictions] == [
        "setosa",
        "versicolor",
        "virginica",
    ]
    for prediction in predictions:
        assert prediction["score"] > 0.8
        assert sum(prediction["species"]) == pytest.approx(1, abs=1e-5)


def check_sentiment(model: Model) -> None:
    good, bad = predict(model, "text", "What a great day", "The soup was awful and cold.")
    assert good["label"] == "positive"
    assert bad["label"] == "negative"
    assert min(good["score"], bad["score"]) > 0.8


def test_iris_mlp() -> None:
    check_iris(load(EXAMPLES / "iris-mlp"))


def test_iris_mlp_classifies_its_own_data() -> None:
    model = load(EXAMPLES / "iris-mlp")
    _, *lines = (EXAMPLES / "iris-mlp" / "iris.csv").read_text().splitlines()
    flowers = [line.split(",") for line in lines]
    predictions = predict(model, "tabular", *([float(n) for n in flower[:4]] for flower in flowers))
    right = sum(
        prediction["label"] == flower[4]
        for prediction, flower in zip(predictions, flowers, strict=True)
    )
    assert right >= 145


def test_tiny_sentiment() -> None:
    check_sentiment(load(EXAMPLES / "tiny-sentiment"))


def test_word_count() -> None:
    # In a process of its own, as in an engine: loading a python model changes sys.path.
    script = (
        "import sys; from tests.unit.core.test_examples import *\n"
        "print(predict(load(EXAMPLES / 'word-count'), 'text', 'the cat and the hat'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "'words': 5, 'different': 4" in done.stdout
    assert "{'word': 'the', 'count': 2}" in done.stdout


@pytest.mark.parametrize(
    ("name", "check"), [("iris-mlp", check_iris), ("tiny-sentiment", check_sentiment)]
)
def test_the_script_builds_the_package(tmp_path: Path, name: str, check: Any) -> None:
    built = tmp_path / name
    shutil.copytree(EXAMPLES / name, built)
    for made in ("model.pt", "model.pt2", "tokenizer.json"):
        (built / made).unlink(missing_ok=True)
    subprocess.run([sys.executable, built / "make_package.py"], check=True, timeout=100)
    check(load(built))


def test_examples_are_small_and_describe_how_to_serve_them() -> None:
    folders = [folder for folder in EXAMPLES.iterdir() if folder.is_dir()]
    assert {folder.name for folder in folders} >= {"iris-mlp", "tiny-sentiment", "word-count"}
    for folder in folders:
        assert all(path.stat().st_size < MAX_FILE_BYTES for path in folder.iterdir())
        readme = (folder / "README.md").read_text()
        assert f"slipway local --model examples/{folder.name}" in readme
        assert "curl" in readme
