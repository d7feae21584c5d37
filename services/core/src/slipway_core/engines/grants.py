"""Decides what an engine may do: what its package asks for, within what the settings grant."""

from __future__ import annotations

from collections.abc import Sequence
from os import getpid
from pathlib import Path

from slipway_core.engines.confinement.policy import (
    SHARED_MEMORY,
    Confined,
    Policy,
    package_folders,
)
from slipway_core.errors import ModelLoadFailed, SandboxRefused
from slipway_core.package.digest import package_files
from slipway_core.package.manifest import MANIFEST_NAME, Manifest
from slipway_core.package.resolve import Package, resolve_configured
from slipway_core.settings import ServiceSettings
from slipway_core.tasks import run_in_daemon_thread


async def resolve_granted(settings: ServiceSettings) -> tuple[Package, Policy]:
    """Return the verified package, and what it may do.

    Raises a ModelError also for errors of the file system.
    """

    def resolve() -> tuple[Package, Policy]:
        package = resolve_configured(settings, offline=settings.model_offline)
        return package, make_policy(package, settings)

    try:
        # A download takes minutes and cannot be cancelled: it must not delay the server's shutdown.
        return await run_in_daemon_thread(resolve)
    except OSError as error:
        raise ModelLoadFailed(
            f"the model package or its cache cannot be read or written: {error}"
        ) from error


def make_policy(package: Package, settings: ServiceSettings) -> Policy:
    """Return the policy of each engine of a server. Reads the package's folder.

    Raises SandboxRefused for a package that asks for more than the settings grant, or that has
    links to files which the model may not read.
    """
    read, write = settings.sandbox_read_paths, settings.sandbox_write_paths
    enforced = settings.sandbox != "off"
    policy = Policy(
        enforced=enforced,
        required=settings.sandbox == "required" or (enforced and runs_code(package.manifest)),
        server_pid=getpid(),
        read=[*package_folders(package.folder), *read],
        write=[*write, *([SHARED_MEMORY] if package.manifest.runtime == "python" else [])],
        network=settings.sandbox_network,
    )
    if enforced:
        _check_demands(package.manifest, settings, read, write)
        _check_links(package.folder, [*policy.read, *write])
    return policy


def runs_code(manifest: Manifest) -> bool:
    """Return whether loading or running the package executes code that came with it."""
    return manifest.runtime != "bert"


def check_confined(confined: Confined, policy: Policy, package: Package, mode: str) -> None:
    """Raise SandboxRefused when an engine is not confined although it must be."""
    if confined.active or not policy.required:
        return
    if mode == "required":
        remedy = "run it on a machine that can, or set SLIPWAY_SANDBOX=auto"
    else:
        remedy = (
            f"packages of the runtime {package.manifest.runtime} are programs: set "
            "SLIPWAY_SANDBOX=off if you trust this one as much as an image"
        )
    raise SandboxRefused(f"the model cannot be sandboxed: {confined.problem}; {remedy}")


def _check_demands(
    manifest: Manifest, settings: ServiceSettings, read: Sequence[str], write: Sequence[str]
) -> None:
    demands = manifest.sandbox
    if demands.network and not settings.sandbox_network:
        raise _refused("network", "is true, but the network is", "network", "NETWORK=true")
    for path in demands.read:
        if not _is_below(path, [*read, *write]):
            raise _refused("read", f"names {path}, which is", "readPaths", f"READ={path}")
    for path in demands.write:
        if not _is_below(path, write):
            raise _refused("write", f"names {path}, which is", "writePaths", f"WRITE={path}")


def _refused(key: str, problem: str, field: str, setting: str) -> SandboxRefused:
    return SandboxRefused(
        f"{MANIFEST_NAME}: `sandbox.{key}` {problem} not granted to models here: set "
        f"SLIPWAY_SANDBOX_{setting} (in a ModelDeployment `spec.runtime.sandbox.{field}`) if you "
        "trust the package with it"
    )


def _check_links(folder: Path, readable: Sequence[str]) -> None:
    allowed = [str(Path(path).resolve()) for path in readable]
    for name in package_files(folder):
        path = folder / name
        if path.is_symlink() and not _is_below(target := str(path.resolve()), allowed):
            raise SandboxRefused(
                f"{name} in the package is a link to {target}, which the model may not read: put "
                f"the file itself there, or set SLIPWAY_SANDBOX_READ={target}"
            )


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)
