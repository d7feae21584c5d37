"""Resolves a model URI to a verified package on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from slipway_core.errors import ModelInvalid, ModelNotFound, PickleRefused
from slipway_core.package.address import Address, parse_address
from slipway_core.package.cache import PackageCache, verify
from slipway_core.package.digest import folder_digest
from slipway_core.package.file_names import is_left_out
from slipway_core.package.inferred_manifest import infer_manifest
from slipway_core.package.limits import Limits
from slipway_core.package.manifest import MANIFEST_NAME, NAME_PATTERN, Manifest
from slipway_core.package.manifest_file import read_manifest
from slipway_core.package.sources.installed import find_installed
from slipway_core.package.sources.source import Source
from slipway_core.settings import ServiceSettings

PICKLE_SUFFIXES = frozenset({".bin", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"})


@dataclass(frozen=True)
class Package:
    """A verified model package on this machine; `manifest.digest` is its sha256."""

    folder: Path
    manifest: Manifest


def resolve_configured(settings: ServiceSettings, *, offline: bool) -> Package:
    """Resolve the package of the settings, with their cache. Raises like `resolve_package`."""
    return resolve_package(
        settings.model_uri,
        sha256=settings.model_sha256,
        cache=settings.model_cache.expanduser(),
        name=settings.model_name,
        version=settings.model_version,
        allow_pickle=settings.allow_pickle,
        offline=offline,
    )


def resolve_package(
    uri: str,
    *,
    sha256: str = "",
    cache: Path,
    name: str = "",
    version: str = "",
    allow_pickle: bool = False,
    offline: bool = False,
    limits: Limits | None = None,
) -> Package:
    """Find, fetch and verify the package at `uri`. Blocks, so call it in a thread.

    An empty `sha256` accepts any package. `name` and `version` override those in the package. With
    `offline` remote packages come from the cache only.

    Raises ModelAddressInvalid, ModelNotFound, ModelAccessDenied, ModelDownloadFailed (retryable),
    ModelIntegrityError, ModelInvalid or PickleRefused, all of them ModelErrors.
    """
    address = parse_address(uri)
    folder, digest, own_version = _locate(
        address, sha256, PackageCache(cache, limits or Limits()), offline=offline
    )
    folder = _package_root(folder)
    if (folder / MANIFEST_NAME).exists():
        manifest = read_manifest(folder)
    else:
        manifest = infer_manifest(folder, name=address.suggested_name(), version=own_version or "1")
    suffix = Path(manifest.files.weights).suffix.lower()
    if suffix in PICKLE_SUFFIXES and not allow_pickle:
        raise PickleRefused(
            f"the weights {manifest.files.weights} are pickled, and loading them runs code "
            "from the package: convert them to safetensors, or set SLIPWAY_ALLOW_PICKLE=true "
            "if you trust them"
        )
    return Package(folder, _complete(manifest, name, version, digest))


def _locate(
    address: Address, sha256: str, packages: PackageCache, *, offline: bool
) -> tuple[Path, str, str]:
    """Return the folder, its digest, and the version according to its source (may be empty)."""
    if address.scheme in _SOURCES:
        if offline:
            return *packages.get_offline(address.uri, address.shown, sha256), ""
        source = _SOURCES[address.scheme](address, packages.limits)
        return *packages.fetch(source, sha256), ""
    version = ""
    if address.scheme == "package":
        path, version = find_installed(address.rest)
    else:
        path = address.local_path()
    if path.is_file():
        return *packages.unpack_local(path, sha256), ""
    if not path.is_dir():
        raise ModelNotFound(f"{address.shown} does not exist: there is no {path}")
    digest = folder_digest(path)
    verify(sha256, digest, address.shown)
    return path, digest, version


def _http(address: Address, limits: Limits) -> Source:
    from slipway_core.package.sources.http import HttpSource

    return HttpSource(address, limits)


def _s3(address: Address, limits: Limits) -> Source:
    from slipway_core.package.sources.s3 import S3Source

    return S3Source(address, limits)


def _hub(address: Address, limits: Limits) -> Source:
    from slipway_core.package.sources.hub import HubSource

    return HubSource(address, limits)


# Imported on first use: each needs a client library that is slow to import.
_SOURCES: dict[str, Callable[[Address, Limits], Source]] = {
    "http": _http,
    "https": _http,
    "s3": _s3,
    "hf": _hub,
}


def _package_root(folder: Path) -> Path:
    """Return the folder, or the single folder in it when an archive was made of that one."""
    if (folder / MANIFEST_NAME).exists() or (folder / "config.json").exists():
        return folder
    inner = [
        path
        for path in folder.iterdir()
        if not path.name.startswith((".", "__MACOSX")) and not is_left_out(path.name)
    ]
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else folder


def _complete(manifest: Manifest, name: str, version: str, digest: str) -> Manifest:
    """Set the digest, and override the name and the version unless they are empty."""
    if name and not re.match(NAME_PATTERN, name):
        raise ModelInvalid(
            f"SLIPWAY_MODEL_NAME is {name!r}: it must be at most 63 lower-case letters, digits, "
            "`.`, `_` and `-`"
        )
    if len(version) > 64:
        raise ModelInvalid("SLIPWAY_MODEL_VERSION must have at most 64 characters")
    return msgspec.structs.replace(
        manifest, name=name or manifest.name, version=version or manifest.version, digest=digest
    )
