"""The pod template of inference pods and batch workers."""

from __future__ import annotations

from dataclasses import dataclass

from slipway_operator.api.v1alpha1.labels import VERSION_ANNOTATION, build_labels, build_selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.model_runtime import Resources
from slipway_operator.api.v1alpha1.pod_template import PodTemplate
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import (
    Environment,
    build_download_environment,
    is_fetched,
)
from slipway_operator.desired.merge import merge
from slipway_operator.desired.names import FETCH_CONTAINER
from slipway_operator.desired.resources import (
    build_gpu_tolerations,
    resolve_resources,
    without_devices,
)
from slipway_operator.desired.security import build_container_security, build_pod_security
from slipway_operator.desired.volumes import (
    build_download_mounts,
    build_server_mounts,
    build_volumes,
)
from slipway_operator.kubernetes.objects import Object

FETCH_COMMAND = ["python", "-m", "slipway_core.package", "fetch"]
"""Command that downloads SLIPWAY_MODEL_URI into SLIPWAY_MODEL_CACHE and verifies it."""

DOWNLOAD_DEADLINE_SECONDS = 1800
"""Maximum time for the download of a package."""

TERMINATION_MESSAGE_POLICY = "FallbackToLogsOnError"
"""Makes the end of a container's log its termination message, which conditions quote."""


@dataclass(frozen=True)
class ComponentSpec:
    """The properties in which the pods of inference servers and batch workers differ."""

    name: str
    container: str
    image: str
    environment: Environment
    ports: dict[str, int]
    """Ports of the container by name."""
    probes: Object
    resources: Resources
    grace_seconds: int
    pod_template: PodTemplate | None


def build_pod_template(md: ModelDeployment, platform: Platform, component: ComponentSpec) -> Object:
    """Return `spec.template` of a Deployment, with the user's `podTemplate` merged into it."""
    template = {
        "metadata": {
            "labels": build_labels(md, component.name),
            "annotations": {VERSION_ANNOTATION: md.declared_version},
        },
        "spec": _pod_spec(md, platform, component),
    }
    if component.pod_template is None:
        return template
    patch = {
        "metadata": component.pod_template.metadata.model_dump(by_alias=True),
        "spec": component.pod_template.spec,
    }
    result: Object = merge(template, patch)
    # The user must not override the labels by which the Deployment selects its pods.
    fixed = {**result["metadata"]["labels"], **build_labels(md, component.name)}
    return {
        "metadata": {**result["metadata"], "labels": fixed},
        "spec": _secure_added_containers(result["spec"]),
    }


def _secure_added_containers(spec: Object) -> Object:
    """Return the spec with the security context of every container within the standard.

    Containers of the user may write to their root file system, which many images need.
    """
    base = {k: v for k, v in build_container_security().items() if k != "readOnlyRootFilesystem"}
    return {
        **spec,
        **{
            field: [
                {**each, "securityContext": merge(base, each.get("securityContext", {}))}
                for each in spec[field]
            ]
            for field in ("containers", "initContainers")
            if field in spec
        },
    }


def progress_deadline_seconds(md: ModelDeployment) -> int:
    """Return the time after which a rollout without progress counts as stuck."""
    return md.spec.runtime.startup_timeout_seconds + DOWNLOAD_DEADLINE_SECONDS


def _pod_spec(md: ModelDeployment, platform: Platform, component: ComponentSpec) -> Object:
    spec: Object = {
        "serviceAccountName": md.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": build_pod_security(),
        "terminationGracePeriodSeconds": component.grace_seconds,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": build_selector(md, component.name)},
            }
        ],
        "containers": [_main_container(md, platform, component)],
        "volumes": build_volumes(md, platform),
    }
    if is_fetched(md):
        spec["initContainers"] = [_fetch_container(md, platform, component)]
    if tolerations := build_gpu_tolerations(component.resources):
        spec["tolerations"] = tolerations
    return spec


def _main_container(md: ModelDeployment, platform: Platform, component: ComponentSpec) -> Object:
    return {
        "name": component.container,
        "image": component.image,
        "imagePullPolicy": platform.image_pull_policy,
        "env": _variables(component.environment),
        "ports": [{"name": name, "containerPort": port} for name, port in component.ports.items()],
        "resources": resolve_resources(component.resources),
        "securityContext": build_container_security(),
        "terminationMessagePolicy": TERMINATION_MESSAGE_POLICY,
        "volumeMounts": build_server_mounts(md, platform),
        **component.probes,
    }


def _fetch_container(md: ModelDeployment, platform: Platform, component: ComponentSpec) -> Object:
    return {
        "name": FETCH_CONTAINER,
        "image": component.image,
        "imagePullPolicy": platform.image_pull_policy,
        "command": FETCH_COMMAND,
        "env": _variables(build_download_environment(md, platform)),
        "resources": without_devices(resolve_resources(component.resources)),
        "securityContext": build_container_security(),
        "terminationMessagePolicy": TERMINATION_MESSAGE_POLICY,
        "volumeMounts": build_download_mounts(md),
    }


def _variables(environment: Environment) -> list[dict[str, str]]:
    # The API server drops empty values, which are the default of every setting.
    return [{"name": name, "value": value} for name, value in sorted(environment.items()) if value]
