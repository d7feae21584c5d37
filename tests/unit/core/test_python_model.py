"""Models written in Python are loaded from their folder; errors name the file and line."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

SERVE = """
import sys
from pathlib import Path
from slipway_core.errors import SlipwayError
from slipway_core.package.resolve import resolve_package
from slipway_core.inputs.parsing import parse_input
from slipway_core.models.loading import load_model
from slipway_core.models.model import LoadOptions

folder = Path(sys.argv[1])
try:
    package = resolve_package(str(folder), cache=folder / "cache")
    model = load_model(package.folder, package.manifest, LoadOptions())
    items = [parse_input(package.manifest, "text", text, field="input") for text in sys.argv[2:]]
    for outcome in model.run(items):
        print(outcome.failure.message if outcome.failure else outcome.prediction)
except SlipwayError as error:
    print(f"{error.code}: {error.message}")
"""
WORKS = """
from helper import shout
from slipway_core.runtime import Model

class Mine(Model):
    def load(self):
        self.tail = (self.folder / "tail.txt").read_text()

    def preprocess(self, value, parameters):
        if value == "silence":
            raise ValueError("there is nothing to shout")
        return value

    def predict(self, batch):
        return [shout(text) + self.tail for text in batch]

    def postprocess(self, output):
        return {"shouted": output}
"""


def serve(
    folder: Path, module: str, *texts: str, sample: str = "", entrypoint: str = "Mine"
) -> str:
    """Return the output of a fresh process, as loading a model changes sys.path."""
    (folder / "model.py").write_text(module)
    (folder / "slipway.yaml").write_text(
        f"{{name: mine, task: python, runtime: python, files: {{entrypoint: {entrypoint}}}"
        + (f", sample: {sample}" if sample else "")
        + "}"
    )
    command = [sys.executable, "-c", SERVE, str(folder), *texts]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_a_model_predicts_each_text(tmp_path: Path) -> None:
    helper = tmp_path / "helper"
    helper.mkdir()
    (helper / "__init__.py").write_text("from helper.voice import shout\n")
    (helper / "voice.py").write_text("def shout(text):\n    return text.upper()\n")
    (tmp_path / "tail.txt").write_text("!")

    lines = serve(tmp_path, WORKS, "hi", "silence", "ho").splitlines()

    assert lines == ["{'shouted': 'HI!'}", "there is nothing to shout", "{'shouted': 'HO!'}"]
    assert not list(tmp_path.rglob("__pycache__"))


def test_compiled_files_of_a_package_are_not_trusted(tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("def shout(text):\n    return 'evil'\n")
    os.utime(helper, (0, 0))
    py_compile.compile(str(helper))
    assert list(tmp_path.rglob("*.pyc"))
    helper.write_text("def shout(text):\n    return 'good'\n")
    os.utime(helper, (0, 0))  # with the same size and time, the compiled file looks up to date
    (tmp_path / "tail.txt").write_text("")

    assert serve(tmp_path, WORKS, "hi") == "{'shouted': 'good'}"


HEAD = "from slipway_core.runtime import Model\n"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("import nothing_of_this_name\n", "model.py:1: ModuleNotFoundError"),
        (HEAD + "x = [1, 2\n", "model.py:2: SyntaxError"),
        (HEAD + "def f():\n    return 1 / 0\nf()\n", "model.py:3: ZeroDivisionError"),
        (HEAD, "ModelInvalid: slipway.yaml: `files.entrypoint` must name a subclass"),
        (HEAD + "class Mine:\n    pass\n", "is not a class that subclasses it"),
        (
            HEAD + "class Mine(Model):\n    def __init__(self):\n        self.x = y\n",
            "model.py:4: NameError",
        ),
        (
            HEAD + "class Mine(Model):\n    def load(self):\n        open('/no/such/file')\n",
            "model.py:4: FileNotFoundError",
        ),
    ],
)
def test_errors_are_reported_with_file_and_line(tmp_path: Path, module: str, message: str) -> None:
    output = serve(tmp_path, module)
    assert output.startswith(("ModelLoadFailed: ", "ModelInvalid: "))
    assert message in output


def test_the_imported_base_class_is_no_entrypoint(tmp_path: Path) -> None:
    module = HEAD + "class Mine(Model):\n    def predict(self, batch):\n        return batch\n"
    assert serve(tmp_path, module, "hi", entrypoint="Model") == (
        "ModelInvalid: slipway.yaml: `files.entrypoint` must name your subclass of "
        "slipway_core.runtime.Model in model.py, such as Shout"
    )


@pytest.mark.parametrize("outputs", ["[]", "[1, 2]", "batch * 2"])
def test_more_or_fewer_outputs_than_inputs_are_reported(tmp_path: Path, outputs: str) -> None:
    module = HEAD + f"class Mine(Model):\n    def predict(self, batch):\n        return {outputs}\n"
    assert "outputs for 1 inputs" in serve(tmp_path, module, sample="hello")


def test_the_sample_is_predicted_when_the_model_is_loaded(tmp_path: Path) -> None:
    module = HEAD + "class Mine(Model):\n    def predict(self, batch):\n        return [1 / 0]\n"
    assert serve(tmp_path, module) == ""
    output = serve(tmp_path, module, sample="hello")
    assert "fails on a batch of 1 of the sample" in output
    assert "model.py:4: ZeroDivisionError" in output


def test_nothing_is_imported_from_folders_that_the_digest_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "evil.py").write_text("print('evil')")
    (tmp_path / "evil.py").write_text("print('evil')")
    py_compile.compile(str(tmp_path / "evil.py"), str(tmp_path / "__pycache__" / "late.pyc"))
    (tmp_path / "evil.py").unlink()
    for name in ("evil", "late"):
        output = serve(tmp_path, f"import __pycache__.{name}")
        assert f"No module named '__pycache__.{name}'" in output
