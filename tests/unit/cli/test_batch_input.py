"""Files of inputs are read as NDJSON lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_cli.batch_input import BatchInput, LineFormat, UnreadableInput


@pytest.mark.parametrize(
    ("content", "line_format", "expected"),
    [
        ("one\ntwo\n", LineFormat.AUTO, ['"one"', '"two"']),
        ("one\r\n\n  two  ", LineFormat.AUTO, ['"one"', '"two"']),
        ('"one"\n"two"', LineFormat.AUTO, ['"one"', '"two"']),
        ('{"input_text": "one"}\n', LineFormat.AUTO, ['{"input_text": "one"}']),
        ("\n[1, 2]\n[3, 4]\n", LineFormat.AUTO, ["[1, 2]", "[3, 4]"]),
        ('"Stop!" he cried.\n', LineFormat.AUTO, ['"\\"Stop!\\" he cried."']),
        ('"one"\n', LineFormat.LINES, ['"\\"one\\""']),
        ("\ufeffgrüß dich\n", LineFormat.LINES, ['"grüß dich"']),
        ("a\u2028b\u2029c\x85d\ne\n", LineFormat.LINES, ['"a\u2028b\u2029c\x85d"', '"e"']),
        ('"a\u2028b\u2029c\x85d"\n"e"', LineFormat.AUTO, ['"a\u2028b\u2029c\x85d"', '"e"']),
    ],
)
def test_files_are_converted_to_lines(
    tmp_path: Path, content: str, line_format: LineFormat, expected: list[str]
) -> None:
    file = tmp_path / "inputs"
    file.write_bytes(content.encode())
    inputs = BatchInput(file, line_format)
    lines = [line.decode().removesuffix("\n") for line in inputs.lines()]
    assert lines == expected
    assert [line.decode().removesuffix("\n") for line in inputs.lines()] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no line with an input"),
        (b"\n  \n", "no line with an input"),
        (b"fine\n\xff\xfe\n", "line 2 is not UTF-8"),
        (b"x" * (8 * 1024 * 1024 + 1), "line 1 has more than"),
    ],
)
def test_unreadable_content_is_rejected(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "inputs"
    file.write_bytes(content)
    with pytest.raises(UnreadableInput, match=message):
        list(BatchInput(file, LineFormat.AUTO).lines())


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="cannot be read: No such file"):
        BatchInput(tmp_path / "nowhere", LineFormat.AUTO)
