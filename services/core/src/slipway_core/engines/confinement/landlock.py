"""Landlock of the Linux kernel: a process gives up access to files, TCP ports and signals for good.

Rights of later kernels are asked for by the version of the kernel's interface (ABI). See
https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable
from enum import IntFlag

from slipway_core.engines.confinement.kernel import call_kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1, 2


class FileRight(IntFlag):
    """Rights to files and folders, as bits of `linux/landlock.h`."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15
    RESOLVE_UNIX = 1 << 16


_RIGHTS_BY_ABI = {
    2: FileRight.REFER,
    3: FileRight.TRUNCATE,
    5: FileRight.IOCTL_DEV,
    9: FileRight.RESOLVE_UNIX,
}
_FIRST_RIGHTS = FileRight((1 << 13) - 1)
_RIGHTS_OF_FILES = (
    FileRight.EXECUTE
    | FileRight.WRITE_FILE
    | FileRight.READ_FILE
    | FileRight.TRUNCATE
    | FileRight.IOCTL_DEV
    | FileRight.RESOLVE_UNIX
)
READ = FileRight.EXECUTE | FileRight.READ_FILE | FileRight.READ_DIR
WRITE = (
    READ
    | FileRight.WRITE_FILE
    | FileRight.REMOVE_DIR
    | FileRight.REMOVE_FILE
    | FileRight.MAKE_DIR
    | FileRight.MAKE_REG
    | FileRight.MAKE_SOCK
    | FileRight.MAKE_FIFO
    | FileRight.MAKE_SYM
    | FileRight.REFER
    | FileRight.TRUNCATE
    | FileRight.RESOLVE_UNIX
)
CHANGE = FileRight.READ_FILE | FileRight.READ_DIR | FileRight.WRITE_FILE | FileRight.TRUNCATE
DEVICE = FileRight.READ_FILE | FileRight.READ_DIR | FileRight.WRITE_FILE | FileRight.IOCTL_DEV


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttributes(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def landlock_abi() -> int:
    """Return the version of the kernel's interface; 0 where there is no Landlock."""
    if sys.platform != "linux":
        return 0
    try:
        return call_kernel(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    except OSError:  # not built in, not enabled at boot, or refused by a filter of the container
        return 0


def handled_rights(abi: int) -> FileRight:
    """Return all rights to files that a kernel with this ABI can withhold."""
    rights = _FIRST_RIGHTS
    for since, right in _RIGHTS_BY_ABI.items():
        if abi >= since:
            rights |= right
    return rights


def restrict_self(abi: int, rules: Iterable[tuple[str, FileRight]], *, network: bool) -> None:
    """Leave the calling thread the given rights to the paths and what is below, and no others.

    Without `network` it may neither bind nor connect TCP sockets (from ABI 4). It cannot reach
    abstract Unix sockets of others, nor signal them (from ABI 6). Paths that do not exist are
    skipped. PR_SET_NO_NEW_PRIVS must be set. Raises OSError.
    """
    handled = handled_rights(abi)
    attributes = _RulesetAttributes(
        handled_access_fs=handled,
        handled_access_net=0 if network or abi < 4 else _BIND_TCP | _CONNECT_TCP,
        scoped=0 if abi < 6 else _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL,
    )
    size = ctypes.sizeof(attributes)
    ruleset = call_kernel(_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        for path, rights in rules:
            _add_rule(ruleset, path, rights & handled)
        call_kernel(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _add_rule(ruleset: int, path: str, rights: FileRight) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it does not exist, or this process may not reach it in any case
        return
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _RIGHTS_OF_FILES
    attributes = _PathBeneathAttributes(allowed_access=rights, parent_fd=descriptor)
    call_kernel(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(attributes), 0)
    # A rule belongs to an inode. /proc makes a new one when memory is short, unless it is in use.
    if not path.startswith("/proc/"):
        os.close(descriptor)
