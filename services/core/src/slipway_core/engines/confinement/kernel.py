"""Calls of the Linux kernel that Python has no functions for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import cache
from typing import Any

# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call_kernel(number: int, *arguments: Any) -> int:
    """Make a call by its number. Raises OSError."""
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    function = _libc().syscall
    function.restype = ctypes.c_long
    return _checked(function(ctypes.c_long(number), *wide))


def set_process_control(option: int, *arguments: Any) -> None:
    """Call prctl(2). Raises OSError."""
    wide = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    wide += [ctypes.c_ulong(0)] * (4 - len(wide))
    _checked(_libc().prctl(option, *wide))


def give_up_new_privileges() -> None:
    """Make sure that no program started by this process gets more rights than it has."""
    set_process_control(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """Have this process killed when the process that started it ends."""
    set_process_control(_PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_from_inspection() -> None:
    """Close this process to others of the same user: its memory, environment, descriptors, folder.

    There are no core dumps either, and only root may attach a debugger or a profiler.
    """
    if sys.platform == "linux":
        set_process_control(_PR_SET_DUMPABLE, 0)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySet(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def drop_capabilities() -> None:
    """Give up what sets root apart, but for reading files of other users.

    Which files are in reach is bounded otherwise. A process that is not root has none to give up.
    """
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    sets = (_CapabilitySet * 2)()
    libc = _libc()
    _checked(libc.capget(ctypes.byref(header), ctypes.byref(sets)))
    kept = sets[0].permitted & (1 << _CAP_DAC_OVERRIDE)
    remaining = (_CapabilitySet * 2)(_CapabilitySet(kept, kept, 0), _CapabilitySet(0, 0, 0))
    _checked(libc.capset(ctypes.byref(header), ctypes.byref(remaining)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
