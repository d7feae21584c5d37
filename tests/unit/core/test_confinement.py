"""The parts of the sandbox that do not depend on this machine's kernel."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest
from tests.fixtures.models import ECHO, write_python_package

from slipway_core.engines.confinement.confine import device_files
from slipway_core.engines.confinement.landlock import FileRight, handled_rights
from slipway_core.engines.confinement.policy import package_folders
from slipway_core.engines.confinement.seccomp import Rule, build_program, filter_rules
from slipway_core.engines.environment import engine_environment
from slipway_core.errors import ModelInvalid
from slipway_core.package.manifest_file import read_manifest

ALLOWED = 0x7FFF0000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def evaluate(program: bytes, number: int, *arguments: int, machine: str = "x86_64") -> int:
    """Return what the kernel's interpreter would: ALLOWED, or an error number."""
    data = struct.pack(
        "<iIQ6Q", number, ARCHITECTURES[machine], 0, *arguments, *[0] * (6 - len(arguments))
    )
    instructions = list(struct.iter_unpack("=HBBI", program))
    register = position = 0
    while True:
        code, if_true, if_false, value = instructions[position]
        position += 1
        match code:
            case 0x20:
                (register,) = struct.unpack_from("<I", data, value)
            case 0x54:
                register &= value
            case 0x15:
                position += if_true if register == value else if_false
            case 0x35:
                position += if_true if register >= value else if_false
            case 0x06:
                return int(value if value == ALLOWED else value & 0xFFFF)


@pytest.mark.parametrize("abi", [1, 4, 6, 7, 9])
def test_without_network_only_connected_unix_sockets_remain(abi: int) -> None:
    program = build_program(filter_rules(abi, network=False, server_pid=7), "x86_64")
    for family in (2, 10, 16, 17, 40):
        assert evaluate(program, 41, family, 1) == errno.EACCES
    assert evaluate(program, 41, 1, 1 | 0o2000000) == ALLOWED  # SOCK_STREAM | SOCK_CLOEXEC
    assert evaluate(program, 53, 1, 1) == ALLOWED
    assert evaluate(program, 42) == (ALLOWED if abi >= 9 else errno.EACCES)
    assert evaluate(program, 53, 1, 2) == (ALLOWED if abi >= 9 else errno.EACCES)


def test_with_network_there_are_no_raw_devices_and_no_virtual_machines() -> None:
    program = build_program(filter_rules(7, network=True, server_pid=7), "x86_64")
    assert [evaluate(program, 41, family, 1) for family in (1, 2, 10, 16)] == [ALLOWED] * 4
    assert [evaluate(program, 41, family, 1) for family in (17, 38, 40)] == [errno.EACCES] * 3
    assert evaluate(program, 42) == ALLOWED


def test_kernels_before_6_12_protect_the_server_from_signals_too() -> None:
    old = build_program(filter_rules(5, network=False, server_pid=700), "x86_64")
    assert evaluate(old, 62, 700, 9) == errno.EPERM
    assert evaluate(old, 62, 0xFFFFFFFF, 9) == errno.EPERM
    assert evaluate(old, 234, 700, 701, 9) == errno.EPERM
    assert evaluate(old, 62, 800, 9) == ALLOWED
    recent = build_program(filter_rules(6, network=False, server_pid=700), "x86_64")
    assert evaluate(recent, 62, 700, 9) == ALLOWED  # Landlock's


def test_other_calls_pass_and_other_architectures_do_not() -> None:
    rules = filter_rules(7, network=False, server_pid=7)
    for machine, read, ring in (("x86_64", 0, 425), ("aarch64", 63, 425)):
        program = build_program(rules, machine)
        assert evaluate(program, read, machine=machine) == ALLOWED
        assert evaluate(program, ring, machine=machine) == errno.EPERM
        other = "aarch64" if machine == "x86_64" else "x86_64"
        assert evaluate(program, read, machine=other) == errno.ENOSYS
    x86 = build_program(rules, "x86_64")
    assert evaluate(x86, 0x40000000 | 41, 2, 1) == errno.ENOSYS
    assert evaluate(x86, 302, 0, 7) == ALLOWED  # prlimit64 of this process
    assert evaluate(x86, 302, 7, 7) == errno.EPERM
    assert evaluate(x86, 90) == 0  # chmod


def test_a_program_of_one_rule_without_tests_is_short() -> None:
    assert len(build_program([Rule("bpf", errno.EPERM)], "aarch64")) == 8 * 7


def test_rights_follow_the_version_of_the_kernel() -> None:
    assert handled_rights(1) == FileRight((1 << 13) - 1)
    assert not handled_rights(2) & FileRight.TRUNCATE
    assert handled_rights(3) & FileRight.TRUNCATE
    assert handled_rights(7) == FileRight((1 << 16) - 1)
    assert handled_rights(12) == FileRight((1 << 17) - 1)


def test_engines_may_use_the_devices_of_gpus_and_no_others(tmp_path: Path) -> None:
    gpus = ["dri", "kfd", "nvidia-uvm", "nvidia0", "nvidiactl"]
    for name in (*gpus, "null", "urandom", "mem", "sda", "tty", "kvm"):
        (tmp_path / name).touch()
    found = [Path(path).name for path in device_files(str(tmp_path))]
    assert found == sorted([*gpus, "null", "urandom"])


def test_engines_get_what_libraries_read_and_nothing_else(tmp_path: Path) -> None:
    given = {
        "PATH": "/usr/bin",
        "PYTHONPATH": ":/src",
        "OMP_NUM_THREADS": "64",
        "CUDA_VISIBLE_DEVICES": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "MODEL_THRESHOLD": "0.5",
        "MODEL_API_KEY": "secret",
        "NVIDIA_API_KEY": "secret",
        "HF_TOKEN": "secret",
        "AWS_SESSION_TOKEN": "secret",
        "SLIPWAY_MODEL_URI": "https://me:secret@models.example.com/a.zip",
        "DATABASE_URL": "secret",
        "HTTPS_PROXY": "http://me:secret@proxy",
        "HOME": "/home/me",
    }
    environment = engine_environment(given, 2, tmp_path)
    assert "secret" not in str(environment)
    assert environment["PYTHONPATH"] == "/src"
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["HOME"] == environment["TMPDIR"] == str(tmp_path)
    passed = {"CUDA_VISIBLE_DEVICES", "TOKENIZERS_PARALLELISM", "MODEL_THRESHOLD"}
    assert passed <= {*environment}
    assert "HTTPS_PROXY" in engine_environment(given, 2, tmp_path, network=True)


def test_a_snapshot_in_a_cache_of_the_hub_may_be_followed_to_its_blobs(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    snapshot = tmp_path / "snapshots" / "0f3a"
    assert package_folders(snapshot) == [str(snapshot), str(tmp_path / "blobs")]
    assert package_folders(tmp_path / "model") == [str(tmp_path / "model")]


@pytest.mark.parametrize("path", ["data", "/data/../etc", "~/data"])
def test_paths_that_a_package_asks_for_are_absolute(tmp_path: Path, path: str) -> None:
    package = write_python_package(tmp_path, ECHO, entrypoint="Echo")
    with (package / "slipway.yaml").open("a") as file:
        file.write(f"sandbox: {{read: ['{path}']}}\n")
    with pytest.raises(ModelInvalid, match=r"`sandbox\.read` must hold absolute paths"):
        read_manifest(package)
