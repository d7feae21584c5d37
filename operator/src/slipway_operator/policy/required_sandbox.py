"""What a ModelDeployment must leave as it is where the platform requires the sandbox of models.

The server confines its engines. Whoever replaces it, or loads code into it, decides otherwise. Both
rules are lists of what is allowed, since there are many ways for a program to load code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.policy.refusal import RefusedField

PROGRAM_FIELDS = (
    "args", "command", "envFrom", "image", "terminationMessagePath", "workingDir",
)  # fmt: skip
"""Fields of a container that choose the program, its variables, or where a file is put over it."""

LIBRARY_PREFIXES = (
    "ATEN_", "BLIS_", "CUBLAS_", "CUDA_", "CUDNN_", "DNNL_", "GLIBC_", "GOMP_", "HIP_", "HSA_",
    "KMP_", "LC_", "MALLOC_", "MKL_", "MODEL_", "NCCL_", "NUMEXPR_", "NVIDIA_", "OMP_", "ONEDNN_",
    "OPENBLAS_", "PYTORCH_", "RAYON_", "ROCM_", "ROCR_", "TOKENIZERS_", "TORCH", "TRITON_",
)  # fmt: skip
"""Variables that servers hand to engines, where libraries read them inside the sandbox."""
OTHER_VARIABLES = (
    "HF_[A-Z_]+", "LANG", "LANGUAGE", "OTEL_[A-Z_]+", "PYTHONFAULTHANDLER", "PYTHONHASHSEED",
    "SSL_CERT_(DIR|FILE)", "TZ", "(ALL|HTTP|HTTPS|NO)_PROXY", "(all|http|https|no)_proxy",
)  # fmt: skip
"""Patterns of further variables that load no code."""
PLATFORM_VARIABLES = (
    "ALLOW_PICKLE", "DATABASE_URL", "DEPLOYMENT", "MODEL_[A-Z0-9_]+", "NAMESPACE",
    "PAYLOAD_LOGGING", "REDIS_URL", "RETENTION_DAYS", "SANDBOX[A-Z_]*", "SECRETS_DIR",
    "WEBHOOK_[A-Z_]+",
)  # fmt: skip
"""Patterns of settings that say what is served, by whom, and what the platform decides."""

# Settings are read whatever the case of their variables: one in small letters must not pass.
ALLOWED_VARIABLE = "|".join(
    (
        f"({'|'.join(LIBRARY_PREFIXES)})[A-Za-z0-9_]*",
        *OTHER_VARIABLES,
        "SLIPWAY_[A-Z0-9_]+",
    )
)
REFUSED_VARIABLE = f"SLIPWAY_({'|'.join(PLATFORM_VARIABLES)})"
ALLOWED_FOLDER = "/(data|dev/shm|media|mnt|models|pvc|srv|tmp)(/.*)?"
"""Folders in which the image has no code, and the platform no secrets."""
SECRETS_VOLUME = "secrets"

LOADS_CODE = " could run code outside the sandbox, which this platform requires"
OWN_PROGRAM = " replaces what confines the model, and this platform requires its sandbox"
OPENS_PLATFORM = (
    " is not where volumes of models are, and could open the platform's secrets to them"
)
PLATFORMS = " is set by the platform, or by a field of the spec"


def find_fields(md: ModelDeployment, allowed: Collection[str]) -> Iterator[RefusedField]:
    """Yield what could bypass the sandbox, but for the names in `allowed`."""
    batch = md.spec.batch
    for path, image in (
        ("spec.runtime.image", md.spec.runtime.image),
        ("spec.batch.image", batch.image if batch else None),
    ):
        if image and not _is_allowed("containers.image", allowed):
            yield RefusedField(path, "containers.image", OWN_PROGRAM)
    for name, folders in (
        ("sandbox.readPaths", md.spec.runtime.sandbox.read_paths),
        ("sandbox.writePaths", md.spec.runtime.sandbox.write_paths),
    ):
        for folder in folders:
            if not _is_mountable(folder) and not _is_allowed(name, allowed):
                yield RefusedField(f"spec.runtime.{name}[{folder}]", name, OPENS_PLATFORM)
    templates = (
        ("spec.podTemplate.spec", "server", md.spec.pod_template),
        ("spec.batch.podTemplate.spec", "worker", batch.pod_template if batch else None),
    )
    for path, container, template in templates:
        for field in _fields_of(template.spec if template else {}, container, path):
            if not _is_allowed(field.name, allowed):
                yield field


def _is_allowed(name: str, allowed: Collection[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:count]) in allowed for count in range(1, len(parts) + 1))


def _fields_of(spec: dict[str, Any], container: str, path: str) -> Iterator[RefusedField]:
    for volume in _objects(spec.get("volumes")):
        if volume.get("name") == SECRETS_VOLUME:
            yield RefusedField(f"{path}.volumes[{SECRETS_VOLUME}]", "volumes.secrets", PLATFORMS)
    for each in _objects(spec.get("containers")):
        if each.get("name") == container:
            yield from _fields_of_container(each, f"{path}.containers[{container}]")


def _fields_of_container(container: dict[str, Any], path: str) -> Iterator[RefusedField]:
    for key in PROGRAM_FIELDS:
        if key in container:
            yield RefusedField(f"{path}.{key}", f"containers.{key}", OWN_PROGRAM)
    if "env" in container and not isinstance(container["env"], list):
        yield RefusedField(f"{path}.env", "containers.env", PLATFORMS)
    for variable in _objects(container.get("env")):
        name = str(variable.get("name", ""))
        if problem := _problem_of_variable(name):
            yield RefusedField(f"{path}.env[{name}]", f"containers.env.{name}", problem)
    for mount in _objects(container.get("volumeMounts")):
        folder = str(mount.get("mountPath", ""))
        if not _is_mountable(folder):
            where = f"{path}.volumeMounts[{folder}]"
            yield RefusedField(where, "containers.volumeMounts", LOADS_CODE)


def _problem_of_variable(name: str) -> str:
    if re.fullmatch(REFUSED_VARIABLE, name.upper()):
        return PLATFORMS
    return "" if re.fullmatch(ALLOWED_VARIABLE, name) else LOADS_CODE


def _is_mountable(folder: str) -> bool:
    return ".." not in folder and re.fullmatch(ALLOWED_FOLDER, folder) is not None


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, which the API server has not checked."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
