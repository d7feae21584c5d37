"""`slipway predict`: make one realtime prediction."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from slipway_cli import exit_codes
from slipway_cli.client import SlipwayClient
from slipway_cli.console import (
    Output,
    exit_on_request_error,
    write_json,
    write_message,
    write_pairs,
)
from slipway_cli.shared_options import DEFAULT_URL, Format, Labels, Url, split_labels

_SHOWN_NUMBERS = 6


def predict(
    text: Annotated[str, typer.Argument(help="The text; - reads it from standard input.")],
    labels: Labels = None,
    output: Format = Output.TABLE,
    url: Url = DEFAULT_URL,
) -> None:
    """Predict one text: its embedding, or with --labels the nearest label.

    For rows and images use the HTTP API: /predict/tabular and /predict/image.
    """
    content = _read_text(text)
    with exit_on_request_error(), SlipwayClient(url, on_retry=write_message) as client:
        response = client.predict_text(content, labels=split_labels(labels))
    if output is Output.JSON:
        write_json(response)
    else:
        write_pairs(_summarise(response))


def _read_text(argument: str) -> str:
    try:
        # Read as bytes: the encoding of text mode depends on the locale.
        content = sys.stdin.buffer.read() if argument == "-" else argument.encode()
        return content.decode()
    except UnicodeError:
        write_message("TEXT is not UTF-8: convert it, for example with iconv")
        raise typer.Exit(exit_codes.USAGE) from None


def _summarise(response: dict[str, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = [("model", f"{response['model']} {response['version']}")]
    for name, value in response["prediction"].items():
        pairs.append((name, _shorten(value)))
    return [*pairs, ("latency", f"{response['latency_ms']:.1f} ms"), ("id", response["id"])]


def _shorten(value: Any) -> str:
    if isinstance(value, list) and len(value) > _SHOWN_NUMBERS:
        first = ", ".join(_shorten(number) for number in value[:_SHOWN_NUMBERS])
        return f"[{first}, ...] ({len(value)} numbers; --output json shows all)"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shorten(member)}" for name, member in value.items())
    return f"{value:.4f}" if isinstance(value, float) else str(value)
