"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from slipway_cli.console import Output

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[
    str,
    typer.Option(envvar="SLIPWAY_URL", help="Address of the service.", show_default=True),
]
Format = Annotated[
    Output, typer.Option("--output", "-o", help="table for people, json for programs.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--labels", "-l", help="Labels to classify by, comma-separated or repeated."),
]
HomeFolder = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Data folder of `slipway local` (SLIPWAY_HOME).", show_default=False
    ),
]


class Modality(StrEnum):
    """Kinds of model inputs, by their names in the paths of the API."""

    TEXT = "text"
    TABULAR = "tabular"
    IMAGE = "image"


def split_labels(options: list[str] | None) -> list[str]:
    """Return the labels of repeated options, each of which may hold several."""
    return [
        label.strip() for option in options or [] for label in option.split(",") if label.strip()
    ]
