"""Volumes and mounts of model pods: the model, its cache, and secrets as files."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.names import (
    CACHE_FOLDER,
    CLAIMS_FOLDER,
    CREDENTIALS_FOLDER,
    SECRETS_FOLDER,
)
from slipway_operator.kubernetes.objects import Object

READ_BY_GROUP = 0o440


def build_volumes(md: ModelDeployment, platform: Platform) -> list[Object]:
    """Return the volumes of a pod."""
    result: list[Object] = [{"name": "tmp", "emptyDir": {}}, _cache(md)]
    if claim := md.spec.model.claim:
        result.append(
            {"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        )
    if sources := _secret_sources(platform):
        projected = {"sources": sources, "defaultMode": READ_BY_GROUP}
        result.append({"name": "secrets", "projected": projected})
    if reference := md.spec.model.credentials_secret_ref:
        secret = {"secretName": reference.name, "defaultMode": READ_BY_GROUP}
        result.append({"name": "credentials", "secret": secret})
    return result


def build_server_mounts(md: ModelDeployment, platform: Platform) -> list[Object]:
    """Return the mounts of a server or worker: all but the credentials, the cache read-only."""
    result = _model_mounts(md, is_cache_writable=False)
    if _secret_sources(platform):
        result.append({"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True})
    return result


def build_download_mounts(md: ModelDeployment) -> list[Object]:
    """Return the mounts of the download container: all but the platform's secrets."""
    result = _model_mounts(md, is_cache_writable=True)
    if md.spec.model.credentials_secret_ref:
        result.append({"name": "credentials", "mountPath": CREDENTIALS_FOLDER, "readOnly": True})
    return result


def _model_mounts(md: ModelDeployment, *, is_cache_writable: bool) -> list[Object]:
    # A model must not change the packages of others in a shared cache, nor its own after the check.
    cache_access = {} if is_cache_writable else {"readOnly": True}
    result: list[Object] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        {"name": "cache", "mountPath": CACHE_FOLDER, **cache_access},
    ]
    if claim := md.spec.model.claim:
        result.append({"name": "model", "mountPath": f"{CLAIMS_FOLDER}/{claim}", "readOnly": True})
    return result


def _cache(md: ModelDeployment) -> Object:
    cache = md.spec.model.cache
    if cache.claim_name:
        return {"name": "cache", "persistentVolumeClaim": {"claimName": cache.claim_name}}
    empty = {"sizeLimit": cache.size_limit} if cache.size_limit else {}
    return {"name": "cache", "emptyDir": empty}


def _secret_sources(platform: Platform) -> list[Object]:
    secrets = (
        (platform.database_secret, platform.database_secret_key, "slipway_database_url"),
        (platform.redis_secret, platform.redis_secret_key, "slipway_redis_url"),
        (platform.webhook_secret, platform.webhook_secret_key, "slipway_webhook_secret"),
    )
    return [
        {"secret": {"name": secret, "items": [{"key": key, "path": path}]}}
        for secret, key, path in secrets
        if secret
    ]
