"""A filter of kernel calls for what Landlock does not cover on today's kernels.

Sockets that are neither Unix nor TCP, connections to Unix sockets by their path, io_uring, which
passes filters by; System V memory, keyrings, limits, priorities and signals, which processes of one
user share; modes and owners of files, which Landlock lets anyone change.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from slipway_core.engines.confinement.kernel import set_process_control

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000  # linux/seccomp.h; the error number is in the low half
_LOAD, _MASK, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # linux/bpf_common.h
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data, little-endian
_X32_CALLS = 0x40000000
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE_MASK = 1, 5, 0xF
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type into the terminal of whoever started the server
_F_SETOWN, _F_SETOWN_EX = 8, 15  # have signals sent to another process
_EVERY_PROCESS = 0xFFFFFFFF  # -1

_CALLS = {  # the numbers on x86_64 and aarch64; None where the call does not exist
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chmod": (90, None),
    "chown": (92, None),
    "connect": (42, 203),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fcntl": (72, 25),
    "fremovexattr": (199, 16),
    "fsetxattr": (190, 7),
    "ioprio_set": (251, 30),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "lchown": (94, None),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "mq_open": (240, 180),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "pidfd_send_signal": (424, 424),
    "prlimit64": (302, 261),
    "removexattr": (197, 14),
    "removexattrat": (466, 466),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "setxattr": (188, 5),
    "setxattrat": (463, 463),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "truncate": (76, 45),
    "unshare": (272, 97),
}
_REFUSED = (
    # reach around Landlock, or widen what can be attacked
    "bpf io_uring_enter io_uring_register io_uring_setup open_by_handle_at perf_event_open setns",
    "unshare",
    # shared by all processes of the user
    "add_key keyctl request_key mq_open msgctl msgget msgrcv msgsnd semctl semget semop semtimedop",
    "shmat shmctl shmget",
    # change owners and attributes of files, which Landlock lets anyone do
    "chown fchown fchownat lchown fremovexattr fsetxattr lremovexattr lsetxattr removexattr",
    "removexattrat setxattr setxattrat",
)
# A failure would break copying files. Without effect, all that is lost is that a file which the
# model has made cannot become a program.
_WITHOUT_EFFECT = ("chmod", "fchmod", "fchmodat", "fchmodat2")


class Test(NamedTuple):
    """A test of the low 32 bits of an argument, masked."""

    argument: int
    value: int
    equal: bool = True
    mask: int = 0xFFFFFFFF


class Rule(NamedTuple):
    """Answers a call with an error number (0: done, without effect) when all tests hold."""

    call: str
    error: int
    tests: tuple[Test, ...] = ()


def install_filter(rules: list[Rule]) -> bool:
    """Apply the rules to the calling thread and what it starts; return whether that is possible.

    PR_SET_NO_NEW_PRIVS must be set.
    """
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        return False
    program = build_program(rules, machine)
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    described = Program(len(program) // 8, ctypes.addressof(instructions))
    try:
        set_process_control(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(described))
    except OSError:  # a kernel without seccomp
        return False
    return True


def filter_rules(abi: int, *, network: bool, server_pid: int) -> list[Rule]:
    """Return the rules that complete Landlock of this ABI."""
    rules = [Rule(call, errno.EPERM) for line in _REFUSED for call in line.split()]
    rules += [Rule(call, 0) for call in _WITHOUT_EFFECT]
    rules += [Rule("ioctl", errno.EPERM, (Test(1, code),)) for code in (_TIOCSTI, _TIOCLINUX)]
    rules += _limits_of_others(server_pid)
    families = (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK) if network else (_AF_UNIX,)
    other_family = tuple(Test(0, family, equal=False) for family in families)
    rules.append(Rule("socket", errno.EACCES, other_family))
    if not network and abi < 9:
        # Paths of Unix sockets are in memory, where a filter cannot see them.
        rules.append(Rule("connect", errno.EACCES))
        datagrams = tuple(
            Test(1, kind, equal=False, mask=_SOCK_TYPE_MASK)
            for kind in (_SOCK_STREAM, _SOCK_SEQPACKET)
        )
        rules += [
            Rule(call, errno.EACCES, (Test(0, _AF_UNIX), *datagrams))
            for call in ("socket", "socketpair")
        ]
    if abi < 6:
        rules += _signals_to(server_pid)
    if abi < 3:
        rules.append(Rule("truncate", errno.EACCES))
    return rules


def _limits_of_others(server_pid: int) -> list[Rule]:
    """Return rules that keep limits and priorities of other processes as they are.

    Threads are addressed like processes, so affinities are refused for the server's main thread.
    """
    own_process = (("setpriority", 0), ("ioprio_set", 1))
    rules = [Rule("prlimit64", errno.EPERM, (Test(0, 0, equal=False),))]
    for call, process in own_process:
        rules.append(Rule(call, errno.EPERM, (Test(0, process, equal=False),)))
        rules.append(Rule(call, errno.EPERM, (Test(1, 0, equal=False),)))
    calls = ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
    return [*rules, *(Rule(call, errno.EPERM, (Test(0, server_pid),)) for call in calls)]


def _signals_to(server_pid: int) -> list[Rule]:
    targets = (server_pid, _EVERY_PROCESS, 0, os.getpgid(0) * -1 & 0xFFFFFFFF)
    rules = [Rule("kill", errno.EPERM, (Test(0, target),)) for target in targets]
    rules += [
        Rule(call, errno.EPERM, (Test(0, server_pid),))
        for call in ("tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
    ]
    rules += [
        Rule("fcntl", errno.EPERM, (Test(1, command),)) for command in (_F_SETOWN, _F_SETOWN_EX)
    ]
    return [*rules, Rule("pidfd_send_signal", errno.EPERM)]


def build_program(rules: list[Rule], machine: str) -> bytes:
    """Return the filter as instructions of classic BPF, 8 bytes each."""
    refuse = _instruction(_RETURN, _FAIL | errno.ENOSYS)
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_EQUAL, _ARCHITECTURES[machine], if_true=1),
        refuse,
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        program += [_instruction(_AT_LEAST, _X32_CALLS, if_false=1), refuse]
    column = list(_ARCHITECTURES).index(machine)
    for rule in rules:
        number = _CALLS[rule.call][column]
        if number is not None:
            program += _rule_instructions(number, rule)
    program.append(_instruction(_RETURN, _ALLOW))
    return b"".join(program)


def _rule_instructions(number: int, rule: Rule) -> list[bytes]:
    """Return instructions that expect the number of the call in the register, and leave it there.

    Each test that fails jumps to the load of the number, behind the return.
    """
    tests: list[bytes] = []
    total = sum(3 if test.mask != 0xFFFFFFFF else 2 for test in rule.tests)
    for test in rule.tests:
        tests.append(_instruction(_LOAD, _ARGUMENTS_AT + 8 * test.argument))
        if test.mask != 0xFFFFFFFF:
            tests.append(_instruction(_MASK, test.mask))
        over = total - len(tests)  # the remaining tests and the return
        yes, no = (0, over) if test.equal else (over, 0)
        tests.append(_instruction(_EQUAL, test.value, yes, no))
    body = [*tests, _instruction(_RETURN, _FAIL | rule.error)]
    if rule.tests:
        body.append(_instruction(_LOAD, _NUMBER_AT))
    return [_instruction(_EQUAL, number, if_false=len(body)), *body]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
