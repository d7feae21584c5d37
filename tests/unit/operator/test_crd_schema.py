"""The CRD is generated and structural, and describes every field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from slipway_operator.generate import crd, pod_template_rules, rbac
from slipway_operator.generate.crd import build_crd, build_schema
from slipway_operator.generate.plain_yaml import to_yaml
from slipway_operator.generate.reference import build_reference

ROOT = Path(__file__).parents[3]


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _fields(schema[key], f"{path}[]")


def _all_fields() -> list[tuple[str, dict[str, Any]]]:
    version = build_crd()["spec"]["versions"][0]
    return list(_fields(version["schema"]["openAPIV3Schema"]))


@pytest.mark.parametrize(
    ("file", "make"),
    [
        ("manifests/crds/modeldeployments.serving.slipway.dev.yaml", build_crd),
        ("manifests/rbac/operator.yaml", rbac.build_cluster_role),
        ("charts/slipway/files/pod-template-rules.yaml", pod_template_rules.build_rules),
    ],
)
def test_the_committed_manifest_is_up_to_date(file: str, make: Any) -> None:
    text = (ROOT / file).read_text().split("\n", 1)[1]
    assert text == to_yaml(make()), "run `make generate`"


def test_the_committed_reference_is_up_to_date() -> None:
    text = (ROOT / "docs/model-deployment.md").read_text()
    assert text == build_reference(), "run `make generate`"


def test_every_field_has_a_description() -> None:
    silent = [
        path
        for path, schema in _all_fields()
        if "description" not in schema and path not in (".metadata",) and not path.endswith("[]")
    ]
    assert silent == []


def test_times_and_sizes_name_their_unit() -> None:
    words = ("timeout", "delay", "interval", "period", "duration", "cooldown", "memory", "bytes")
    units = ("Seconds", "Milliseconds", "Mebibytes", "Percentage")
    nameless = [
        path
        for path, schema in _all_fields()
        if schema.get("type") == "integer"
        and any(word in path.rpartition(".")[2].lower() for word in words)
        and not path.endswith(units)
    ]
    assert nameless == []


def test_there_are_no_floats_references_or_nulls() -> None:
    for path, schema in _all_fields():
        assert schema.get("type") != "number", path
        assert "$ref" not in schema, path
        assert schema.get("default", 0) is not None, path


def test_numbers_and_texts_of_the_spec_are_bounded() -> None:
    unbounded = [
        path
        for path, schema in _all_fields()
        if path.startswith(".spec")
        and (
            (schema.get("type") == "integer" and not {"minimum", "maximum"} <= schema.keys())
            or (
                schema.get("type") == "string"
                and not ({"maxLength", "enum"} & schema.keys())
                and "etadata." not in path
            )
        )
    ]
    assert [path for path in unbounded if "podTemplate" not in path] == []


def test_conditions_are_merged_by_type() -> None:
    conditions = dict(_all_fields())[".status.conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_pod_template_keeps_fields_that_the_schema_does_not_know() -> None:
    template = dict(_all_fields())[".spec.podTemplate.spec"]
    assert template["x-kubernetes-preserve-unknown-fields"] is True


def test_a_choice_of_types_is_rejected_by_the_generator() -> None:
    class Unclear(BaseModel):
        value: int | bool

    with pytest.raises(ValueError, match="cannot choose between types"):
        build_schema(Unclear)


def test_prints_the_crd(capsys: pytest.CaptureFixture[str]) -> None:
    crd.main()
    assert "kind: CustomResourceDefinition" in capsys.readouterr().out
