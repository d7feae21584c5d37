"""Commands to begin with, fit for the model that is served."""

from __future__ import annotations

import json
from collections.abc import Sequence

_POST = "-H 'Content-Type: application/json' -d"


def first_commands(url: str, modalities: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Shell commands: a prediction, a batch job, its status.

    `columns` are the names of the numbers of a tabular row, or none.
    """
    status = f"curl -s {url}/predict/status/TASK_ID   # the task_id that the second one answered"
    if "text" in modalities or not modalities:
        return [
            f'curl -s {url}/predict/text {_POST} \'{{"input_text": "A ship at sea."}}\'',
            f'curl -s {url}/predict/text/batch {_POST} \'{{"inputs": ["one text", "another"]}}\'',
            status,
        ]
    if "tabular" in modalities:
        body = _quoted({"inputs": [{name: 1.0 for name in columns} or [1.0, 2.0, 3.0]]})
        # Without names nobody here knows how long a row is.
        remark = "" if columns else "   # with rows as long as the model's"
        return [
            f"curl -s {url}/predict/tabular {_POST} {body}{remark}",
            f"curl -s {url}/predict/tabular/batch {_POST} {body}{remark}",
            status,
        ]
    return [
        f"curl -s {url}/predict/image -F file=@picture.png   # a picture of yours",
        f"base64 < picture.png | tr -d '\\n' | slipway batch submit - --url {url}",
        f"slipway batch status TASK_ID --url {url}",
    ]


def _quoted(body: object) -> str:
    """JSON as one word of a shell."""
    return "'" + json.dumps(body).replace("'", "'\\''") + "'"
