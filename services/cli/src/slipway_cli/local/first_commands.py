"""Example commands for the served model, shown when the platform is ready."""

from __future__ import annotations

import json
from collections.abc import Sequence

_POST = "-H 'Content-Type: application/json' -d"


def first_commands(url: str, modalities: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return three shell commands: a prediction, a batch job, and the status of the job.

    columns: names of the columns of a tabular row; empty if they have none.
    """
    status = f"curl -s {url}/predict/status/TASK_ID   # the task_id from the second response"
    if "text" in modalities or not modalities:
        return [
            f'curl -s {url}/predict/text {_POST} \'{{"input_text": "A ship at sea."}}\'',
            f'curl -s {url}/predict/text/batch {_POST} \'{{"inputs": ["one text", "another"]}}\'',
            status,
        ]
    if "tabular" in modalities:
        body = _quoted({"inputs": [{name: 1.0 for name in columns} or [1.0, 2.0, 3.0]]})
        # The length of a row is unknown when its columns have no names.
        remark = "" if columns else "   # use rows as long as those of the model"
        return [
            f"curl -s {url}/predict/tabular {_POST} {body}{remark}",
            f"curl -s {url}/predict/tabular/batch {_POST} {body}{remark}",
            status,
        ]
    return [
        f"curl -s {url}/predict/image -F file=@image.png   # use an image of your own",
        f"base64 < image.png | tr -d '\\n' | slipway batch submit - --url {url}",
        f"slipway batch status TASK_ID --url {url}",
    ]


def _quoted(body: object) -> str:
    """Return JSON as one word of a shell command."""
    return "'" + json.dumps(body).replace("'", "'\\''") + "'"
