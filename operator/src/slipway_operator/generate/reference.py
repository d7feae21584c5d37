"""The reference page of the ModelDeployment, generated from its schema.

`python -m slipway_operator.generate.reference` prints it, `make generate` writes it to
docs/model-deployment.md, and a test compares the two.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from slipway_operator.api.v1alpha1 import API_VERSION, KIND
from slipway_operator.api.v1alpha1.model_deployment import (
    NAME_RULES,
    ModelDeploymentSpec,
    ModelDeploymentStatus,
)
from slipway_operator.api.v1alpha1.reasons import EXPLANATIONS
from slipway_operator.generate.crd import Schema, build_schema

INTRODUCTION = f"""\
<!-- Made by `make generate` from slipway_operator/api: do not edit. -->
# ModelDeployment

`{API_VERSION}`, kind `{KIND}`, short name `md`. `kubectl explain md.spec`
shows the same text. Fields with a default are optional. See also the
[samples](../manifests/samples).
"""

CONDITIONS = """\
## Conditions

| condition | holds when |
|---|---|
| `Ready` | the declared model serves and no condition below reports a fault |
| `Reconciled` | every object is as declared |
| `Available` | enough replicas are ready, whether of the current or a previous version |
| `Progressing` | all pods run what the spec declares; False with the reason when they cannot |
| `RouteReady` | the ingress controller or gateway has the route |
| `AutoscalingReady` | the autoscalers have their metrics |
| `BatchReady` | batch workers run, or the queue is empty |
"""

REASONS = """\
## Reasons

Conditions, events and the operator's metrics use the same reasons.

| reason | meaning | what to do |
|---|---|---|
"""


def build_reference() -> str:
    """Return the page as Markdown."""
    spec, status = build_schema(ModelDeploymentSpec), build_schema(ModelDeploymentStatus)
    rules = [_item(f"{message[0].upper()}{message[1:]}.") for _, message in NAME_RULES]
    return "\n".join(
        [
            INTRODUCTION,
            "## Name\n",
            *rules,
            "\n## Spec\n",
            _table(spec, "spec"),
            "## Rules\n",
            "The API server rejects an object that breaks a rule, with the message below.\n",
            *sorted(_item(f"`{path}`: {message}") for path, message in _rules(spec, "spec")),
            "\n## Status\n",
            _table(status, "status"),
            CONDITIONS,
            REASONS + "".join(_reason_rows()),
        ]
    )


def _item(text: str) -> str:
    return textwrap.fill(
        text,
        100,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(schema: Schema, path: str) -> str:
    rows = "".join(
        f"| `{field}` | {_kind(inner)} | {_default(inner, required)} | {_cell(inner)} |\n"
        for field, inner, required in _fields(schema, path)
    )
    return f"| field | type | default | what it is |\n|---|---|---|---|\n{rows}"


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}", inner, name in schema.get("required", [])
        yield from _fields(inner, f"{path}.{name}")
        yield from _fields(inner.get("items", {}), f"{path}.{name}[]")


def _kind(schema: Schema) -> str:
    if "enum" in schema:
        return " \\| ".join(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    kind = str(schema["type"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{kind}, {low} to {high}"
    return kind


def _default(schema: Schema, required: bool) -> str:
    if required:
        return "required"
    default: Any = schema.get("default")
    return "" if default in (None, {}, [], "") else f"`{json.dumps(default).strip(chr(34))}`"


def _cell(schema: Schema) -> str:
    return str(schema.get("description", "")).replace("|", "\\|")


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield path, rule["message"]
    for name, inner in schema.get("properties", {}).items():
        yield from _rules(inner, f"{path}.{name}")


def _reason_rows() -> Iterator[str]:
    for reason, explanation in EXPLANATIONS.items():
        yield f"| `{reason}` | {explanation.meaning} | {explanation.remedy} |\n"


def main() -> None:
    """Print the page."""
    sys.stdout.write(build_reference())


if __name__ == "__main__":
    main()
