"""Describe the machine on which a benchmark ran."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from slipway_core.engines.cores import available_cores

CPU_INFO = Path("/proc/cpuinfo")
FLAG_NAMES = {
    "amx_tile": "AMX",
    "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
    "avx512_bf16": "AVX512-BF16",
    "avx512_vnni": "AVX512-VNNI",
    "avx512f": "AVX512",
    "avx2": "AVX2",
}


def describe_machine() -> str:
    """Return the date, commit, CPU with its matrix instructions, cores and versions in a line."""
    cpu_info = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    model, flags = parse_cpu_info(cpu_info)
    cpu = f"{available_cores()} cores of {model or platform.processor() or 'an unknown CPU'}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "uvicorn"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {_commit()}, {cpu} ({', '.join(flags) or 'no AVX'}),"
        f" Linux {platform.release()}, Python {platform.python_version()}, {versions}"
    )


def parse_cpu_info(cpu_info: str) -> tuple[str, list[str]]:
    """Return the model name and the names of the relevant flags, from /proc/cpuinfo."""
    model, present = "", set[str]()
    for line in cpu_info.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and not model:
            model = value.strip()
        elif key.strip() == "flags" and not present:
            present = set(value.split())
    return model, [name for flag, name in FLAG_NAMES.items() if flag in present]


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+changes"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"
