"""`slipway predict`: one realtime prediction."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from slipway_cli import exit_codes
from slipway_cli.client import SlipwayClient
from slipway_cli.console import Output, errors_in_words, tell, write_json, write_pairs
from slipway_cli.shared_options import DEFAULT_URL, Format, Url

_SHOWN_NUMBERS = 6


def predict(
    text: Annotated[str, typer.Argument(help="The text; - reads it from standard input.")],
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", "-l", help="Classify: labels, separated by commas or repeated."),
    ] = None,
    output: Format = Output.TABLE,
    url: Url = DEFAULT_URL,
) -> None:
    """Predict one text: its embedding, or with --labels the nearest label.

    Rows of a table and pictures go to the HTTP API: /predict/tabular and /predict/image.
    """
    content = _read_text(text)
    with errors_in_words(), SlipwayClient(url, say=tell) as client:
        answer = client.predict_text(content, labels=split_labels(labels))
    if output is Output.JSON:
        write_json(answer)
    else:
        write_pairs(_summarise(answer))


def split_labels(given: list[str] | None) -> list[str]:
    """The labels of options that may hold several, separated by commas."""
    return [label.strip() for one in given or [] for label in one.split(",") if label.strip()]


def _read_text(given: str) -> str:
    try:
        # Standard input as bytes: text of it would be decoded as the locale says.
        content = sys.stdin.buffer.read() if given == "-" else given.encode()
        return content.decode()
    except UnicodeError:
        tell("TEXT is not UTF-8: convert it, for example with iconv")
        raise typer.Exit(exit_codes.USAGE) from None


def _summarise(answer: dict[str, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = [("model", f"{answer['model']} {answer['version']}")]
    for name, value in answer["prediction"].items():
        pairs.append((name, _shorten(value)))
    return [*pairs, ("latency", f"{answer['latency_ms']:.1f} ms"), ("id", answer["id"])]


def _shorten(value: Any) -> str:
    if isinstance(value, list) and len(value) > _SHOWN_NUMBERS:
        first = ", ".join(_shorten(one) for one in value[:_SHOWN_NUMBERS])
        return f"[{first}, ...] ({len(value)} numbers; --output json shows all)"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shorten(one)}" for name, one in value.items())
    return f"{value:.4f}" if isinstance(value, float) else str(value)
