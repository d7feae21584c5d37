"""The commands that `slipway local` shows fit the model."""

from __future__ import annotations

import json
import shlex

import pytest

from slipway_cli.local.first_commands import first_commands

URL = "http://127.0.0.1:8000"


def test_a_text_model_is_shown_commands_with_texts() -> None:
    first, second, third = first_commands(URL, ["text", "tabular"], [])
    assert f"{URL}/predict/text " in first
    assert f"{URL}/predict/text/batch " in second
    assert f"{URL}/predict/status/TASK_ID " in third


@pytest.mark.parametrize("columns", [["length", "it's wide"], []])
def test_a_tabular_model_is_shown_commands_with_rows(columns: list[str]) -> None:
    for command, path in zip(
        first_commands(URL, ["tabular"], columns), ("tabular", "tabular/batch"), strict=False
    ):
        words = shlex.split(command, comments=True)
        assert f"{URL}/predict/{path}" in words
        (row,) = json.loads(words[-1])["inputs"]
        assert list(row) == columns or not columns


def test_an_image_model_is_shown_commands_with_images() -> None:
    assert f"{URL}/predict/image " in first_commands(URL, ["image"], [])[0]
