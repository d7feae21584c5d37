"""The CustomResourceDefinition, generated from the pydantic models of the API.

`python -m slipway_operator.generate.crd` prints it, `make generate` writes it to manifests/crds,
and a test compares the two. The API server accepts only structural schemas, which have no `$ref`,
no null and no `anyOf` around types. The functions here convert pydantic's JSON Schema.
"""

from __future__ import annotations

import sys
from typing import Any

from pydantic import BaseModel

from slipway_operator import __version__
from slipway_operator.api.v1alpha1 import API_VERSION, GROUP, KIND, PLURAL, VERSION
from slipway_operator.api.v1alpha1.model_deployment import (
    NAME_RULES,
    ModelDeployment,
    ModelDeploymentSpec,
    ModelDeploymentStatus,
)
from slipway_operator.generate.plain_yaml import to_yaml
from slipway_operator.kubernetes.kinds import MODEL_DEPLOYMENT

Schema = dict[str, Any]

CRD_VERSION_ANNOTATION = f"{GROUP}/crd-version"
"""Version of the operator that generated the CRD. An older operator does not replace it."""

COLUMNS = (
    ("Model", "string", ".spec.model.uri", 0),
    ("Version", "string", ".status.modelVersion", 0),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("Replicas", "integer", ".status.readyReplicas", 0),
    ("URL", "string", ".status.url", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Sandbox", "string", ".status.sandbox", 1),
    ("Message", "string", '.status.conditions[?(@.type=="Ready")].message', 1),
)

_KEPT = (
    "type", "description", "enum", "default", "format", "pattern", "minimum", "maximum",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip


def build_crd() -> Schema:
    """Return the CRD."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": MODEL_DEPLOYMENT.crd_name,
            "annotations": {CRD_VERSION_ANNOTATION: __version__},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["md"],
                "categories": ["slipway"],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root_schema()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "priority": priority}
            for name, kind, path, priority in COLUMNS
        ],
    }


def _root_schema() -> Schema:
    return {
        "type": "object",
        "description": ModelDeployment.__doc__,
        "required": ["spec"],
        "x-kubernetes-validations": [
            {"rule": rule, "message": message} for rule, message in NAME_RULES
        ],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always {API_VERSION}."},
            "kind": {"type": "string", "description": f"Always {KIND}."},
            "metadata": {"type": "object"},
            "spec": build_schema(ModelDeploymentSpec),
            "status": build_schema(ModelDeploymentStatus),
        },
    }


def build_schema(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model.

    Raises ValueError when Kubernetes cannot express it.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(schema, schema.get("$defs", {}), model.__name__)


def _structural(schema: Schema, definitions: Schema, path: str) -> Schema:
    schema = _resolved(schema, definitions)
    result = {key: schema[key] for key in _KEPT if key in schema}
    result |= {key: value for key, value in schema.items() if key.startswith("x-kubernetes-")}
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    _set_type(result, path)
    _set_default(result)
    if "properties" in schema:
        result["properties"] = {
            name: _structural(inner, definitions, f"{path}.{name}")
            for name, inner in schema["properties"].items()
        }
    elif isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(
            schema["additionalProperties"], definitions, f"{path}.*"
        )
    if "items" in schema:
        result["items"] = _structural(schema["items"], definitions, f"{path}[]")
    return result


def _set_type(result: Schema, path: str) -> None:
    if result.get("x-kubernetes-int-or-string"):
        # A structural schema leaves out the type here. A pattern applies to strings only.
        del result["type"]
        result["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    elif "type" not in result:
        raise ValueError(f"{path}: a structural schema needs a type")
    elif result["type"] == "integer":
        result["format"] = "int64" if path.endswith("Generation") else "int32"


def _set_default(result: Schema) -> None:
    if isinstance(result.get("default"), dict):
        # The fields of the object have defaults of their own.
        result["default"] = {}
    if "default" in result and result["default"] is None:
        del result["default"]


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """Return the schema with its references inlined, and without the null of optional fields."""
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        if len(choices) != 1:
            raise ValueError(f"a structural schema cannot choose between types: {schema}")
        outer = {key: value for key, value in schema.items() if key != "anyOf"}
        return _resolved(choices[0], definitions) | outer
    if "$ref" in schema:
        outer = {key: value for key, value in schema.items() if key != "$ref"}
        target = _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return _with_both_rules(target, outer)
    return schema


def _with_both_rules(inner: Schema, outer: Schema) -> Schema:
    key = "x-kubernetes-validations"
    rules = inner.get(key, []) + outer.get(key, [])
    return inner | outer | ({key: rules} if rules else {})


def main() -> None:
    """Print the CRD as YAML."""
    sys.stdout.write("# Made by `make generate` from slipway_operator/api: do not edit.\n")
    sys.stdout.write(to_yaml(build_crd()))


if __name__ == "__main__":
    main()
