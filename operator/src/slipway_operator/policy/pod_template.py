"""Which fields of a `podTemplate` are refused."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.pod_template import PodTemplate
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.policy.pod_fields import NEVER_REMOVED, POD, Check, Fields
from slipway_operator.policy.refusal import Refusal

APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
"""Prefix of annotations that choose a profile of a container, as the older form of a field."""
MAX_VALUE_LENGTH = 60
"""Maximum number of characters quoted from a refused value."""


@dataclass(frozen=True)
class RefusedField:
    """A field of a pod template that would lift a restriction."""

    path: str
    """Where it is, such as `spec.podTemplate.spec.containers[server].ports[0].hostPort`."""
    name: str
    """Name by which the platform can allow it: the path below the pod's spec, without items."""
    value: Any


def find_refusal(md: ModelDeployment, allowed: Collection[str]) -> Refusal | None:
    """Return the refusal of the pod templates, None when pods stay within the standard.

    `allowed` are the names of further fields that the platform allows.
    """
    refused = [*_refused_fields(md, set(allowed))]
    if not refused:
        return None
    first, more = refused[0], len(refused) - 1
    value = json.dumps(first.value, default=str)
    if len(value) > MAX_VALUE_LENGTH:
        value = value[: MAX_VALUE_LENGTH - 1] + "…"
    others = f" (and {more} more)" if more else ""
    return Refusal(
        Reason.POD_TEMPLATE_REFUSED,
        f"`{first.path}`: {value} is not within the Pod Security Standard restricted{others}; the "
        f"running pods stay as they are. The platform can allow the field as `{first.name}`",
    )


def _refused_fields(md: ModelDeployment, allowed: set[str]) -> Iterator[RefusedField]:
    batch = md.spec.batch
    templates = {
        "spec.podTemplate": md.spec.pod_template,
        "spec.batch.podTemplate": batch.pod_template if batch else None,
    }
    for path, template in templates.items():
        if template is not None:
            yield from _refused_annotations(template, f"{path}.metadata.annotations", allowed)
            yield from _refused_in(template.spec, POD, f"{path}.spec", "", allowed)


def _refused_annotations(
    template: PodTemplate, path: str, allowed: set[str]
) -> Iterator[RefusedField]:
    for key, value in template.metadata.annotations.items():
        is_profile = key.startswith(APPARMOR_ANNOTATION)
        is_confined = value == "runtime/default" or value.startswith("localhost/")
        if is_profile and not is_confined and "annotations" not in allowed:
            yield RefusedField(f"{path}[{key}]", "annotations", value)


def _refused_in(
    value: Any, fields: Fields, path: str, name: str, allowed: set[str]
) -> Iterator[RefusedField]:
    """Yield the refused fields of an object, or of the objects of a list."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            shown = item.get("name", index) if isinstance(item, dict) else index
            yield from _refused_in(item, fields, f"{path}[{shown}]", name, allowed)
        return
    if not isinstance(value, dict):
        yield RefusedField(path, name, value)
        return
    for key, inner in value.items():
        where, called = f"{path}.{key}", f"{name}.{key}".removeprefix(".")
        if called in allowed:
            continue
        yield from _refused_field(inner, fields.get(key), key, (where, called), allowed)


def _refused_field(
    value: Any, rule: Check | Fields | None, key: str, place: tuple[str, str], allowed: set[str]
) -> Iterator[RefusedField]:
    if rule is None:
        yield RefusedField(*place, value)
    elif value is None:
        if key in NEVER_REMOVED:
            yield RefusedField(*place, value)
    elif callable(rule):
        if not rule(value):
            yield RefusedField(*place, value)
    else:
        yield from _refused_in(value, rule, *place, allowed)
