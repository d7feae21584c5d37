"""Which fields of a `podTemplate` are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.pod_template import PodTemplate
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.configuration import Platform
from slipway_operator.policy import required_sandbox
from slipway_operator.policy.pod_fields import NEVER_REMOVED, POD, Check, Fields
from slipway_operator.policy.refusal import Refusal, RefusedField

APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
"""Prefix of annotations that choose a profile of a container, as the older form of a field."""
MAX_VALUE_LENGTH = 60
"""Maximum number of characters quoted from a refused value."""


def find_refusal(md: ModelDeployment, platform: Platform) -> Refusal | None:
    """Return the refusal of the pods, None when they stay within the standard and the sandbox."""
    allowed = set(platform.pod_template_allowed_fields)
    refused = [*_refused_fields(md, allowed)]
    if platform.sandbox == "required":
        refused += required_sandbox.find_fields(md, allowed)
    if not refused:
        return None
    first, more = refused[0], len(refused) - 1
    others = f" (and {more} more)" if more else ""
    return Refusal(
        Reason.POD_TEMPLATE_REFUSED,
        f"`{first.path}`{first.problem}{others}; the running pods stay as they are. The platform "
        f"can allow the field as `{first.name}`",
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
            yield _beyond_standard(f"{path}[{key}]", "annotations", value)


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
        yield _beyond_standard(path, name, value)
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
        yield _beyond_standard(*place, value)
    elif value is None:
        if key in NEVER_REMOVED:
            yield _beyond_standard(*place, value)
    elif callable(rule):
        if not rule(value):
            yield _beyond_standard(*place, value)
    else:
        yield from _refused_in(value, rule, *place, allowed)


def _beyond_standard(path: str, name: str, value: Any) -> RefusedField:
    shown = json.dumps(value, default=str)
    if len(shown) > MAX_VALUE_LENGTH:
        shown = shown[: MAX_VALUE_LENGTH - 1] + "…"
    return RefusedField(path, name, f": {shown} is not within the Pod Security Standard restricted")
