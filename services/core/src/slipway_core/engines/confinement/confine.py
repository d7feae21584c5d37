"""Confines the calling process, which must have one thread, by its Policy."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator

from slipway_core.engines.confinement.kernel import drop_capabilities, give_up_new_privileges
from slipway_core.engines.confinement.landlock import (
    CHANGE,
    DEVICE,
    READ,
    WRITE,
    FileRight,
    landlock_abi,
    restrict_self,
)
from slipway_core.engines.confinement.policy import (
    DEVICES,
    GPU_DEVICES,
    KERNEL_FILES,
    NETWORK_FILES,
    OWN_THREADS,
    SYSTEM_FILES,
    Confined,
    Policy,
    interpreter_folders,
)
from slipway_core.engines.confinement.seccomp import filter_rules, install_filter


def confine(policy: Policy) -> Confined:
    """Give up for good what the policy does not grant. Whatever happens is in the reply."""
    if not policy.enforced:
        return Confined()
    abi = landlock_abi()
    if abi == 0:
        return Confined(problem=NO_LANDLOCK if policy.required else "")
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return Confined(problem=f"a library has started {threads - 1} threads before the sandbox")
    try:
        give_up_new_privileges()
        drop_capabilities()
        restrict_self(abi, _rules(policy), network=policy.network)
    except OSError as error:
        return Confined(problem=f"the kernel refuses the sandbox ({error})")
    rules = filter_rules(abi, network=policy.network, server_pid=policy.server_pid)
    has_filter = install_filter(rules)
    if policy.required and not has_filter:
        return Confined(problem="this kernel cannot filter calls (seccomp)")
    return Confined(abi, has_filter, policy.network)


NO_LANDLOCK = (
    "this kernel has no Landlock, which needs Linux 5.13 or later with `landlock` among its "
    "security modules, and a container runtime that lets it be used"
    if sys.platform == "linux"
    else "only Linux has Landlock"
)


def _rules(policy: Policy) -> Iterator[tuple[str, FileRight]]:
    """Yield paths and rights to them and to what is below."""
    readable = [*SYSTEM_FILES, *KERNEL_FILES, *interpreter_folders(), *policy.read]
    for path in [*readable, *(NETWORK_FILES if policy.network else ())]:
        yield path, READ
    yield OWN_THREADS, CHANGE
    for path in policy.write:
        yield path, WRITE
    for path in device_files():
        yield path, DEVICE


def device_files(folder: str = "/dev") -> list[str]:
    """Return the files of devices that an engine may use, those of GPUs among them."""
    patterns = (*DEVICES, *GPU_DEVICES)
    return sorted(path for pattern in patterns for path in glob.glob(f"{folder}/{pattern}"))
