"""Writes the reference of the ModelDeployment from its schema.

`python -m slipway_operator.generate.reference` prints it. docs/model-deployment.md is its output;
a test compares the two.
"""

from __future__ import annotations

import json
import sys
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

`{API_VERSION}`, kind `{KIND}`, short name `md`. There are [samples](../manifests/samples).
`kubectl explain md.spec` shows the same text. A field with a default may be left out.
"""

CONDITIONS = """\
## Conditions

| condition | holds when |
|---|---|
| `Ready` | the declared model serves and nothing below is wrong: the one to wait for |
| `Reconciled` | every object is as declared |
| `Available` | as many replicas answer as are needed; an earlier version counts |
| `Progressing` | all pods run what the spec declares; False with the reason when they cannot |
| `RouteReady` | the ingress controller or gateway has the route |
| `AutoscalingReady` | the autoscalers have their figures |
| `BatchReady` | batch workers run, or none is needed |
"""

REASONS = """\
## Reasons

The same words stand in conditions, events and the operator's metrics.

| reason | meaning | what to do |
|---|---|---|
"""


def build_reference() -> str:
    """The whole page."""
    spec, status = build_schema(ModelDeploymentSpec), build_schema(ModelDeploymentStatus)
    rules = [f"- {message[0].upper()}{message[1:]}." for _, message in NAME_RULES]
    return "\n".join(
        [
            INTRODUCTION,
            "## Name\n",
            *rules,
            "\n## Spec\n",
            _table(spec, "spec"),
            "## Rules\n",
            "The API server refuses what breaks one of these, with these words.\n",
            *sorted(f"- `{path}`: {message}" for path, message in _rules(spec, "spec")),
            "\n## Status\n",
            _table(status, "status"),
            CONDITIONS,
            REASONS + "".join(_reason_rows()),
        ]
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
