"""Options that several commands have, under one name and with one meaning."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from slipway_cli.console import Output

Url = Annotated[
    str,
    typer.Option(envvar="SLIPWAY_URL", help="Address of the service.", show_default=True),
]
Format = Annotated[
    Output, typer.Option("--output", "-o", help="table for people, json for programs.")
]


class Modality(StrEnum):
    """The kinds of inputs that models take, by their names in the API's paths."""

    TEXT = "text"
    TABULAR = "tabular"
    IMAGE = "image"


DEFAULT_URL = "http://127.0.0.1:8000"
