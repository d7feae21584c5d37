"""Which Secrets and claims a ModelDeployment may name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from slipway_operator.api.v1alpha1.labels import CREDENTIALS_LABEL, PART_OF_LABEL, PRODUCT
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.configuration import Platform
from slipway_operator.policy.refusal import Refusal

RETRY_SECONDS = 15.0
"""Time until a refused reference is checked again. No watch reports a changed label."""

SECRET_FIELDS = frozenset({"nodePublishSecretRef", "secret", "secretKeyRef", "secretRef"})
"""Fields of a PodSpec whose object names a Secret that the pod can read."""


@dataclass(frozen=True)
class Reference:
    """A Secret or claim that the spec of a ModelDeployment names."""

    path: str
    kind: Literal["Secret", "PersistentVolumeClaim"]
    name: str


def find_references(md: ModelDeployment) -> list[Reference]:
    """Return the Secrets and claims that the pods of a ModelDeployment would read."""
    return list(_references(md))


def judge(
    reference: Reference, namespace: str, labels: dict[str, str] | None, platform: Platform
) -> Refusal | None:
    """Return the refusal of a reference to an object with these labels, None if it may be used.

    `labels` is None when the object does not exist. Pods must not wait for a Secret: the one that
    is created later may not be meant for them. A missing claim is left to the scheduler.
    """
    if reference.kind == "PersistentVolumeClaim":
        is_platforms = labels is not None and _is_of_platform(labels, platform)
        return _platforms(reference) if is_platforms else None
    if labels is None:
        fact = f"`{reference.path}` names the Secret `{reference.name}`, which does not exist"
        return Refusal(Reason.SECRET_NOT_FOUND, fact, RETRY_SECONDS)
    if reference.name in platform.secret_names or _is_of_platform(labels, platform):
        return _platforms(reference)
    if labels.get(CREDENTIALS_LABEL) == "true":
        return None
    return _refused(
        f"`{reference.path}` names the Secret `{reference.name}`, which is not labelled for "
        f"ModelDeployments. If they may read it, run `kubectl -n {namespace} label secret "
        f"{reference.name} {CREDENTIALS_LABEL}=true`"
    )


def _platforms(reference: Reference) -> Refusal:
    return _refused(f"`{reference.path}` names {reference.kind} `{reference.name}` of the platform")


def _refused(fact: str) -> Refusal:
    return Refusal(Reason.REFERENCE_REFUSED, fact, RETRY_SECONDS)


def _is_of_platform(labels: dict[str, str], platform: Platform) -> bool:
    selector = platform.platform_labels
    is_selected = bool(selector) and selector.items() <= labels.items()
    return is_selected or labels.get(PART_OF_LABEL) == PRODUCT


def _references(md: ModelDeployment) -> Iterator[Reference]:
    model = md.spec.model
    if model.credentials_secret_ref:
        path = "spec.model.credentialsSecretRef"
        yield Reference(path, "Secret", model.credentials_secret_ref.name)
    if model.cache.claim_name:
        path = "spec.model.cache.claimName"
        yield Reference(path, "PersistentVolumeClaim", model.cache.claim_name)
    if claim := model.claim:
        yield Reference("spec.model.uri", "PersistentVolumeClaim", claim)
    if md.spec.pod_template:
        yield from _references_in(md.spec.pod_template.spec, "spec.podTemplate.spec")
    if md.spec.batch and md.spec.batch.pod_template:
        yield from _references_in(md.spec.batch.pod_template.spec, "spec.batch.podTemplate.spec")


def _references_in(value: Any, path: str) -> Iterator[Reference]:
    """Yield the references anywhere in a part of a PodSpec, including fields of future versions."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            name = item.get("name", index) if isinstance(item, dict) else index
            yield from _references_in(item, f"{path}[{name}]")
        return
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        where = f"{path}.{key}"
        if key == "secretName" and isinstance(inner, str):
            yield Reference(where, "Secret", inner)
        elif key == "claimName" and isinstance(inner, str):
            yield Reference(where, "PersistentVolumeClaim", inner)
        elif (
            key in SECRET_FIELDS and isinstance(inner, dict) and isinstance(inner.get("name"), str)
        ):
            yield Reference(where, "Secret", inner["name"])
        yield from _references_in(inner, where)
