"""Generate charts/slipway/values.schema.json from the comments of values.yaml and from the CRD.

    python charts/values_schema.py            print the schema
    python charts/values_schema.py --write    write the file

The type of a key is the type of its default. Its description is the comment that begins with
"# --", which helm-docs puts into README.md as well. A line "# @schema {...}" above the key holds
JSON Schema that is merged over both. Maps are closed, so that Helm rejects a misspelt key by name.
The specs under `models` are validated by the schema of the ModelDeployment, so that mistakes in
them are reported before anything is installed.
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
    """Return the contiguous comment lines above line `number`, without their `#`."""
    first = number
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return [line.lstrip().removeprefix("#").strip() for line in lines[first:number]]


def comment_schema(comments: list[str]) -> Schema:
    """Return the description and the explicit schema in the comments of a key."""
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


def node_schema(node: yaml.Node, comments: list[str], lines: list[str]) -> Schema:
    """Return the schema of a value, including nested values."""
    explicit = comment_schema(comments)
    if isinstance(node, yaml.MappingNode):
        implied: Schema = {"type": "object", "additionalProperties": False}
        if "additionalProperties" not in explicit:
            implied["properties"] = {
                key.value: node_schema(value, comments_above(lines, key.start_mark.line), lines)
                for key, value in node.value
            }
    elif isinstance(node, yaml.SequenceNode):
        implied = {"type": "array"}
    else:
        implied = {"type": TYPES[node.tag]}
    return implied | explicit


def close_schema(schema: Schema) -> Schema:
    """Convert the structural schema of a CRD to JSON Schema that rejects unknown keys.

    The API server's strict validation rejects them as well.
    """
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        kept["type"] = ["integer", "string"]
    if "properties" in kept:
        kept["properties"] = {key: close_schema(value) for key, value in kept["properties"].items()}
        kept["additionalProperties"] = False
    elif isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = close_schema(kept["additionalProperties"])
    if "items" in kept:
        kept["items"] = close_schema(kept["items"])
    kept.pop("default", None)
    return kept


def model_spec(crd: dict[str, Any]) -> Schema:
    """Return the schema of a ModelDeployment's `spec`, or null, which removes a default model."""
    version = crd["spec"]["versions"][0]
    spec = close_schema(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    return spec | {"type": ["object", "null"]}


def values_schema(values: str, crd: dict[str, Any]) -> Schema:
    """Return the schema of the values."""
    root = yaml.compose(values)
    if root is None:
        raise SystemExit("values.yaml is empty: it must contain every value of the chart")
    schema = node_schema(root, [], values.splitlines())
    # Helm passes `global` to every chart, and parent charts may set any key in it.
    schema["properties"]["global"] = {"type": "object"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the slipway chart",
        **schema,
        "$defs": {"modelDeploymentSpec": model_spec(crd)},
    }


def render() -> str:
    """Return the contents of values.schema.json."""
    values = (CHART / "values.yaml").read_text()
    crd = yaml.safe_load(CRD.read_text())
    return json.dumps(values_schema(values, crd), indent=2) + "\n"


def main() -> None:
    """Print the schema, or write it to the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write values.schema.json")
    if parser.parse_args().write:
        (CHART / "values.schema.json").write_text(render())
    else:
        sys.stdout.write(render())


if __name__ == "__main__":
    main()
