"""Make charts/slipway/values.schema.json from the comments of values.yaml and from the CRD.

    python charts/values_schema.py            print it
    python charts/values_schema.py --write    write it

A key's type is that of its default, its description the comment that begins with "# --" (the one
README.md is made from). A line "# @schema {...}" above it is JSON Schema, merged over that. Maps
are closed: a misspelt key is refused with its name. The specs under `models` are checked against
the ModelDeployment's own schema, so that they fail before anything is installed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "slipway"
CRD = Path(__file__).parents[1] / "manifests/crds/modeldeployments.serving.slipway.dev.yaml"

Schema = dict[str, Any]

TYPES = {
    "tag:yaml.org,2002:str": "string",
    "tag:yaml.org,2002:int": "integer",
    "tag:yaml.org,2002:bool": "boolean",
    "tag:yaml.org,2002:float": "number",
}


def comments_above(lines: list[str], number: int) -> list[str]:
    """The unbroken block of comment lines above line `number`, without their marks."""
    first = number
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return [line.lstrip().removeprefix("#").strip() for line in lines[first:number]]


def described(comments: list[str]) -> Schema:
    """What the comments of a key say: its description, and the schema they add."""
    schema: Schema = {}
    description: list[str] = []
    for comment in comments:
        if comment.startswith("@schema "):
            schema.update(json.loads(comment.removeprefix("@schema ")))
        elif comment.startswith("-- "):
            description = [comment.removeprefix("-- ")]
        elif description and not comment.startswith("@"):
            description.append(comment)
    if description:
        schema["description"] = " ".join(description)
    return schema


def of_node(node: yaml.Node, comments: list[str], lines: list[str]) -> Schema:
    """Schema of a value and of what is in it."""
    given = described(comments)
    if isinstance(node, yaml.MappingNode):
        implied: Schema = {"type": "object", "additionalProperties": False}
        if "additionalProperties" not in given:
            implied["properties"] = {
                key.value: of_node(value, comments_above(lines, key.start_mark.line), lines)
                for key, value in node.value
            }
    elif isinstance(node, yaml.SequenceNode):
        implied = {"type": "array"}
    else:
        implied = {"type": TYPES[node.tag]}
    return implied | given


def closed(schema: Schema) -> Schema:
    """A CRD's structural schema as JSON Schema that refuses unknown keys, as the API server's
    strict validation does.
    """
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        kept["type"] = ["integer", "string"]
    if "properties" in kept:
        kept["properties"] = {key: closed(value) for key, value in kept["properties"].items()}
        kept["additionalProperties"] = False
    elif isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = closed(kept["additionalProperties"])
    if "items" in kept:
        kept["items"] = closed(kept["items"])
    kept.pop("default", None)
    return kept


def model_spec(crd: dict[str, Any]) -> Schema:
    """Schema of a ModelDeployment's `spec`; null removes a model that the defaults have."""
    version = crd["spec"]["versions"][0]
    spec = closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    return spec | {"type": ["object", "null"]}


def values_schema(values: str, crd: dict[str, Any]) -> Schema:
    """The whole schema."""
    root = yaml.compose(values)
    if root is None:
        raise SystemExit("values.yaml is empty: it must hold every value of the chart")
    schema = of_node(root, [], values.splitlines())
    # Helm passes `global` to every chart, and a parent chart sets what it likes.
    schema["properties"]["global"] = {"type": "object"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the slipway chart",
        **schema,
        "$defs": {"modelDeploymentSpec": model_spec(crd)},
    }


def render() -> str:
    """values.schema.json as text."""
    values = (CHART / "values.yaml").read_text()
    crd = yaml.safe_load(CRD.read_text())
    return json.dumps(values_schema(values, crd), indent=2) + "\n"


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write values.schema.json")
    if parser.parse_args().write:
        (CHART / "values.schema.json").write_text(render())
    else:
        sys.stdout.write(render())


if __name__ == "__main__":
    main()
