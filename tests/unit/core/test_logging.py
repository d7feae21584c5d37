"""Log lines are JSON objects, those of libraries included."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from slipway_core.observability.logging import configure_logging
from slipway_core.observability.request_lines import (
    bind_request,
    flush_request_lines,
    read_trace_id,
    request_fields,
    write_request_line,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(autouse=True)
def _configured() -> Iterator[None]:
    flush_request_lines()  # lines of applications that earlier tests ran in this process
    configure_logging("info")
    yield
    structlog.contextvars.clear_contextvars()


def _lines(captured: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.readouterr().err.splitlines()]


def test_a_line_has_the_request_and_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    bind_request(request_fields("r-1", f"00-{TRACE}-00f067aa0ba902b7-01"))
    structlog.get_logger("slipway.test").warning("two\nlines", code="QueueFull")
    (line,) = _lines(capsys)
    assert line.pop("timestamp")
    assert line == {
        "level": "warning",
        "event": "two\nlines",
        "logger": "slipway.test",
        "code": "QueueFull",
        "request_id": "r-1",
        "trace_id": TRACE,
    }


def test_lines_of_libraries_have_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")  # uses the captured standard error
    bind_request(request_fields("r-2"))
    logging.getLogger("uvicorn.error").info("Started %d", 3)
    logging.getLogger("some.library").debug("not wanted")
    (line,) = _lines(capsys)
    assert (line["event"], line["logger"]) == ("Started 3", "uvicorn.error")
    assert line["request_id"] == "r-2"


def test_an_exception_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        structlog.get_logger("slipway.test").exception("failed")
    (line,) = _lines(capsys)
    assert "ValueError: wrong" in str(line["exception"])


def test_passwords_in_addresses_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger("slipway.test")
    log.info("connecting", url="postgresql://user:secret@host/db")
    log.info("connecting", url="redis://:secret@host:6379/0")
    assert "secret" not in capsys.readouterr().err


def test_no_value_makes_logging_fail(capsys: pytest.CaptureFixture[str]) -> None:
    circular: list[object] = []
    circular.append(circular)
    for value in ("\ud800", object(), {1, 2}, circular, float("nan"), b"\xff"):
        structlog.get_logger("slipway.test").info("odd", value=value)
    assert len(_lines(capsys)) == 6


@pytest.mark.parametrize(
    "header", [None, "", "garbage", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}"]
)
def test_an_invalid_traceparent_is_ignored(header: str | None) -> None:
    assert read_trace_id(header) is None


def test_a_closed_log_does_not_stop_the_process() -> None:
    code = (
        "import structlog; from slipway_core.observability.logging import configure_logging\n"
        "configure_logging('info')\n"
        "structlog.get_logger('slipway.test').info('draining')\n"
        "print('drained')"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer, check=False
    )
    os.close(writer)
    assert done.stdout == b"drained\n"


async def test_request_lines_are_written_together_and_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    begun = asyncio.Event()

    def write(text: str) -> None:
        written.append(text)
        begun.set()

    monkeypatch.setattr(sys.stderr, "write", write)
    for number in range(100):
        fields = {"path": "/ü" * 20, **request_fields(f"r-{number}")}
        write_request_line(logging.INFO, "slipway.access", "request", fields)
    assert written == []
    await asyncio.wait_for(begun.wait(), 5)
    lines = "".join(written).splitlines()
    assert [json.loads(line)["request_id"] for line in lines] == [f"r-{n}" for n in range(100)]
    assert len(written) < 20
    assert max(len(text.encode()) for text in written) <= 4096, (
        "longer writes to a pipe are not atomic"
    )


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("structlog.get_logger('slipway.test').info('next')", ["request", "next"]),
        ("flush_request_lines()", ["request"]),
    ],
)
def test_a_request_line_is_written_before_later_lines_and_before_the_exit(
    then: str, expected: list[str]
) -> None:
    code = (
        "import asyncio, logging, structlog\n"
        "from slipway_core.observability.logging import configure_logging\n"
        "from slipway_core.observability.request_lines import flush_request_lines\n"
        "from slipway_core.observability.request_lines import write_request_line\n"
        "async def main():\n"
        "    write_request_line(logging.INFO, 'slipway.access', 'request', {})\n"
        "configure_logging('info')\n"
        "asyncio.run(main())\n"
        f"{then}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == expected
