"""A manifest is read as written, and each mistake is reported with its key and its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_core.errors import ModelInvalid
from slipway_core.package.manifest import MANIFEST_NAME
from slipway_core.package.manifest_file import read_manifest

TENSOR: dict[str, Any] = {
    "name": "mine",
    "task": "tensor",
    "runtime": "torchscript",
    "inputs": [{"name": "x", "shape": [-1, 2], "columns": ["age", "height"]}],
    "outputs": [{"name": "y", "shape": [-1, 1]}],
}
IMAGE: dict[str, Any] = {
    "name": "mine",
    "task": "tensor",
    "runtime": "torchscript",
    "inputs": [{"name": "x", "shape": [-1, 3, 8, 8], "image": {}}],
    "outputs": [{"name": "y"}],
}
TEXT: dict[str, Any] = {
    "name": "mine",
    "task": "text-classification",
    "runtime": "torchscript",
    "labels": ["bad", "good"],
}
PYTHON: dict[str, Any] = {"name": "mine", "task": "python", "runtime": "python"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a package folder with all files that the manifests of these tests name."""
    for name in ("model.pt", "model.py", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write(folder: Path, content: Any) -> None:
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def edited(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a deep copy with the value at a path such as `inputs.0.shape` replaced."""
    copy: dict[str, Any] = yaml.safe_load(yaml.safe_dump(manifest))
    place: Any = copy
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    place[int(last) if last.isdigit() else last] = value
    return copy


@pytest.mark.parametrize(
    ("manifest", "modality"),
    [(TENSOR, "tabular"), (IMAGE, "image"), (TEXT, "text"), (PYTHON, "text")],
)
def test_each_kind_of_model_has_its_modality(
    folder: Path, manifest: dict[str, Any], modality: str
) -> None:
    write(folder, manifest)

    read = read_manifest(folder)

    assert read.name == "mine"
    assert read.version == "1"
    assert read.served_modalities() == [modality]


def test_a_python_model_may_serve_several_modalities(folder: Path) -> None:
    write(folder, PYTHON | {"modalities": ["text", "tabular"]})
    assert read_manifest(folder).served_modalities() == ["text", "tabular"]


@pytest.mark.parametrize(
    ("manifest", "path", "value", "message"),
    [
        (TENSOR, "names", "x", "`names` is not a key; the keys are name, version, task"),
        (TENSOR, "inputs.0.shapes", [1], "`inputs.0.shapes` is not a key; the keys are name, dat"),
        (
            IMAGE,
            "inputs.0.image.men",
            [1],
            "`inputs.0.image.men` is not a key; the keys are mean",
        ),
        (TENSOR, "runtime", "onnx", "`runtime` is wrong: .*it may be bert, torch-export"),
        (TENSOR, "task", "chat", "`task` is wrong: .*it may be text-embedding"),
        (
            TENSOR,
            "inputs.0.datatype",
            "FLOAT",
            "`inputs.0.datatype` is wrong: .*may be BOOL, UINT8",
        ),
        (TENSOR, "outputs.0.activation", "relu", "`outputs.0.activation`.*may be none, softmax"),
        (TENSOR, "version", 1.0, "`version` is wrong: .*write it in quotes"),
        (TEXT, "labels", [False, True], "`labels.0` is wrong: .*write it in quotes"),
        (TENSOR, "name", "My Model", "`name` must be at most 63 lower-case"),
        (TENSOR, "inputs.0.shape", "x", "`inputs.0.shape` is wrong"),
        (TENSOR, "inputs.0.shape", [-1, 0], "`inputs.0.shape` must hold sizes of at least 1"),
        (TENSOR, "inputs.0.shape", [-1, 3], "`inputs.0.columns` has 2 names"),
        (TENSOR, "inputs.0.columns", ["age", "age"], "must not name anything twice"),
        (TENSOR, "inputs.0.shape", [], "`inputs.0.shape` must be given"),
        (TENSOR, "inputs", [], "`inputs` must describe the tensors"),
        (TENSOR, "outputs", [], "`outputs` must name the tensors"),
        (TENSOR, "inputs.0.datatype", "BYTES", "BYTES is not for torch"),
        (TENSOR, "modalities", ["text"], "`modalities` must be"),
        (TENSOR, "digest", "0" * 64, "`digest` is computed"),
        (
            TENSOR,
            "files.weights",
            "other.pt",
            "`files.weights` names other.pt, which the package do",
        ),
        (TENSOR, "files.weights", "../model.pt", "`files.weights` must be a path inside"),
        (TENSOR, "files.weights", "/model.pt", "`files.weights` must be a path inside"),
        (IMAGE, "inputs.0.shape", [-1, 2, 8, 8], "must be \\[-1, 1 or 3, height, width\\]"),
        (IMAGE, "inputs.0.datatype", "INT64", "of an image must be"),
        (IMAGE, "inputs.0.image.std", [1, 0, 1], "must be greater than 0"),
        (IMAGE, "inputs.0.image.mean", [0.5], "must have 3 numbers"),
        (TEXT, "labels", ["one"], "`labels` must name at least two classes"),
        (TEXT, "inputs", [{"name": "ids"}], "`inputs.0.name` must be one of input_ids"),
        (TEXT, "files.tokenizer", "none.json", "`files.tokenizer` names none.json"),
        (PYTHON, "files.entrypoint", "a.b", "`files.entrypoint` must be the name of a class"),
        (PYTHON, "runtime", "bert", "`task` is python, which the runtime bert does not support"),
    ],
)
def test_an_error_is_reported_with_its_key(
    folder: Path, manifest: dict[str, Any], path: str, value: Any, message: str
) -> None:
    write(folder, edited(manifest, path, value))
    with pytest.raises(ModelInvalid, match=message):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a mapping"),
        ("- a\n- b\n", "must be a mapping"),
        ("name: [unclosed", "is not YAML"),
        ("name: \x01", "is not YAML"),
        ("name: a\nname: b\n", "`name` is given twice"),
        ("1: a\n", "the key 1 must be text"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("[" * 5000, "is not YAML"),
        ("name: mine\n", "`task` is missing; it may be text-embedding"),
        ("a: !!python/object/apply:os.system ['true']\n", "is not YAML"),
    ],
)
def test_text_that_is_not_a_manifest_is_reported(folder: Path, text: str, message: str) -> None:
    write(folder, text)
    with pytest.raises(ModelInvalid, match=message):
        read_manifest(folder)


def test_a_manifest_that_is_too_large_is_not_read(folder: Path) -> None:
    write(folder, "#" * (2 * 1024 * 1024))
    with pytest.raises(ModelInvalid, match="is larger than"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(f"k{n}: 1" for n in range(20_000)), "`k0` is not a key"),
        (f"sample: {{{', '.join(f'k{n}: 1' for n in range(60_000))}}}", "more than 50000 keys"),
        (f"sample: [{'1,' * 200_000}]", "more than 50000 keys and values"),
        (f"sample: {'[' * 100_000}", "is not YAML: maximum recursion"),
        ("sample: " + "9" * 5_000, r"999\.\.\. in line 1 is no number that 64 bits can hold"),
        ("sample: 0x" + "f" * 5_000, "no number that 64 bits can hold"),
        ("sample: 1" + ":59" * 5_000, "no number that 64 bits can hold"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
        (f"{{{'x' * 900}: 1}}", r"`x{60}\.\.\.` is not a key"),
        ("sample: !!binary AAAA", "is not YAML: could not determine a constructor"),
        ("sample: !!timestamp 2024-99-99", "is not YAML: could not determine a constructor"),
    ],
    ids=lambda value: value[:20],
)
@pytest.mark.timeout(100)
def test_a_manifest_that_is_large_to_read_is_rejected_in_one_sentence(
    folder: Path, text: str, message: str
) -> None:
    write(folder, text)
    with pytest.raises(ModelInvalid, match=message) as caught:
        read_manifest(folder)
    assert len(caught.value.message) < 500


def test_a_date_is_text_as_it_is_written(folder: Path) -> None:
    write(folder, "{name: mine, task: python, runtime: python, version: 2024-13-45}")
    assert read_manifest(folder).version == "2024-13-45"


@pytest.mark.parametrize("key", ["module", "weights"])
@pytest.mark.parametrize(
    "name",
    [
        ".cache/model.py", "lib/.git/model.py", "__pycache__/model.py", "..data/model.py",
        ".CACHE/model.py", "lib/..x", "C:model.py",
    ],
)  # fmt: skip
def test_files_that_the_digest_leaves_out_are_rejected(folder: Path, key: str, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    write(folder, edited(PYTHON, f"files.{key}", name))
    with pytest.raises(ModelInvalid, match=rf"`files\.{key}` must"):
        read_manifest(folder)
