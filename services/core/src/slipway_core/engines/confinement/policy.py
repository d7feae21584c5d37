"""What an engine may do: made by its server, from settings and slipway.yaml."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

SYSTEM_FILES = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/fonts",
    "/etc/OpenCL",
    "/etc/vulkan",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
)
"""Programs, shared libraries and what they read when they start: open to every user, no secrets."""

KERNEL_FILES = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/devices",
    "/proc/driver",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/modules",
    "/proc/stat",
    "/proc/sys/kernel",
    "/proc/sys/vm",
    "/proc/uptime",
    "/proc/version",
    "/sys/bus",
    "/sys/class",
    "/sys/dev",
    "/sys/devices",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/sys/module",
)
"""What torch, its libraries and drivers of GPUs ask the kernel, and this process about itself."""

OWN_THREADS = "/proc/self/task"
"""Threads are named by writing to a file here. CUDA does not start when that fails."""

NETWORK_FILES = (
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/run/systemd/resolve",
)
"""Names of hosts and certificates of authorities, for engines with network."""

DEVICES = ("null", "zero", "full", "random", "urandom")
GPU_DEVICES = ("nvidia*", "dri", "kfd", "dxg", "nvhost*", "nvmap")
"""Files in /dev, as patterns: NVIDIA, DRM, AMD, WSL, Jetson."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - not a temporary file
"""Semaphores and blocks of multiprocessing have no other place. Python models alone get it."""


class Policy(msgspec.Struct, frozen=True):
    """What an engine may do. All paths are absolute.

    With `enforced` false nothing is confined. With `required` an engine that cannot be confined
    refuses to go on; without, it says so and goes on.
    """

    enforced: bool
    required: bool
    server_pid: int
    read: list[str]
    write: list[str]
    network: bool = False


class Confined(msgspec.Struct, frozen=True, tag=True):
    """The engine's reply to its Policy, sent before any code of a model runs.

    `landlock_abi` is 0 where nothing is confined. `has_filter`: calls of the kernel are filtered.
    A `problem` says why the engine does not go on.
    """

    landlock_abi: int = 0
    has_filter: bool = False
    network: bool = True
    problem: str = ""

    @property
    def active(self) -> bool:
        """Whether files, network and other processes are out of reach."""
        return self.landlock_abi > 0


def interpreter_folders() -> list[str]:
    """Return what Python and its packages are loaded from, without the current folder."""
    prefixes = (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    # An entry of PYTHONPATH that is empty stands for the current folder.
    folders = [entry for entry in sys.path if entry and entry != os.getcwd()]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    found = [*prefixes, *folders, *filter(None, libraries), *_preloaded()]
    return list(dict.fromkeys(os.path.abspath(path) for path in found))


def _preloaded() -> Sequence[str]:
    return os.environ.get("LD_PRELOAD", "").replace(":", " ").split()


def package_folders(folder: Path) -> list[str]:
    """Return the package's folder, and for one in a cache of the hub what its links lead to."""
    blobs = folder.parent.parent / "blobs"
    is_snapshot = folder.parent.name == "snapshots" and blobs.is_dir()
    return [str(folder.absolute()), *([str(blobs.absolute())] if is_snapshot else [])]
