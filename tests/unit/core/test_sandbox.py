"""What a hostile model reaches from inside an engine: nothing but its own package."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.exported_models import PackageMaker, tensors
from tests.fixtures.hostile_models import HOSTILE, ON_LOAD
from tests.fixtures.models import ECHO, write_python_package
from tests.unit.core.test_engines import pool_of, texts

from slipway_core.engines.confinement.confine import confine
from slipway_core.engines.confinement.landlock import landlock_abi
from slipway_core.engines.grants import check_confined, make_policy
from slipway_core.engines.scratch import PREFIX, ScratchFolder, remove_abandoned_folders
from slipway_core.errors import ModelLoadFailed, SandboxRefused
from slipway_core.inputs.items import Item
from slipway_core.package.manifest import Manifest
from slipway_core.package.manifest_file import read_manifest
from slipway_core.package.resolve import Package
from slipway_core.settings import ServiceSettings

pytestmark = pytest.mark.skipif(landlock_abi() < 6, reason="the kernel has no Landlock of ABI 6")


@pytest.fixture
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Set up what a hostile model looks for: secrets, listeners, processes."""
    tmp_path = tmp_path_factory.mktemp("targets")
    secret = tmp_path / "secrets" / "slipway_database_url"
    secret.parent.mkdir()
    secret.write_text("postgresql://user:hidden@localhost/slipway")
    secret.chmod(0o600)
    other = write_python_package(tmp_path / "other", ECHO, entrypoint="Echo")
    sibling = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    abstract = f"\0slipway-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as by_path,
        socket.socket(socket.AF_UNIX) as by_name,
    ):
        by_path.bind(str(tmp_path / "socket"))
        by_path.listen()
        by_name.bind(abstract)
        by_name.listen()
        yield {
            "secret": str(secret),
            "other_package": str(other / "model.py"),
            "outside": str(tmp_path / "outside"),
            "home": os.path.expanduser("~"),
            "port": tcp.getsockname()[1],
            "unix": str(tmp_path / "socket"),
            "abstract": abstract,
            "sibling": sibling.pid,
        }
    assert sibling.poll() is None
    sibling.communicate(b"\n")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text() == "postgresql://user:hidden@localhost/slipway"


async def test_a_hostile_python_model_reaches_nothing(
    tmp_path: Path, targets: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_VARIABLE_OF_THE_SERVER", "secret")
    monkeypatch.setenv("SLIPWAY_SECRETS_DIR", "/run/secrets")
    monkeypatch.setenv("NVIDIA_API_KEY", "secret")
    package = write_python_package(tmp_path / "package", HOSTILE, entrypoint="Hostile")
    async with pool_of(package) as pool:
        assert pool.info.sandbox.active
        (outcome,) = await pool.run(texts(json.dumps(targets)))
    assert outcome.failure is None
    assert outcome.prediction["succeeded"] == {}
    environment = outcome.prediction["environment"]
    assert not {"A_VARIABLE_OF_THE_SERVER", "SLIPWAY_SECRETS_DIR", "NVIDIA_API_KEY"} & {
        *environment
    }
    scratch = environment["TMPDIR"]
    assert os.path.basename(scratch) not in os.listdir(os.path.dirname(scratch))


async def test_the_attacks_succeed_without_a_sandbox(
    tmp_path: Path, targets: dict[str, Any]
) -> None:
    harmless = [
        "passwords",
        "secret",
        "secret by a link",
        "tcp",
        "tcp bind",
        "udp",
        "unix",
        "probe",
    ]
    package = write_python_package(tmp_path / "package", HOSTILE, entrypoint="Hostile")
    async with pool_of(package, sandbox="off") as pool:
        assert not pool.info.sandbox.active
        (outcome,) = await pool.run(texts(json.dumps({**targets, "only": harmless})))
    assert sorted(outcome.prediction["succeeded"]) == sorted(harmless)


NAMES_A_THREAD = """
import ctypes, threading
from slipway_core.runtime import Model

class NamesAThread(Model):
    def predict(self, batch):
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        name = ctypes.CDLL(None).pthread_setname_np
        error = name(ctypes.c_ulong(thread.ident), b"worker")
        end.set()
        return [{"error": error} for _ in batch]
"""


async def test_a_thread_can_be_named_as_cuda_does(tmp_path: Path) -> None:
    package = write_python_package(tmp_path / "p", NAMES_A_THREAD, entrypoint="NamesAThread")
    async with pool_of(package, sandbox="required") as pool:
        (outcome,) = await pool.run(texts("a"))
    assert outcome.prediction == {"error": 0}


@pytest.mark.parametrize("place", ["expr_str", "guards_code"])
async def test_code_in_an_exported_program_reaches_nothing(
    tmp_path: Path, targets: dict[str, Any], export_package: PackageMaker, place: str
) -> None:
    import torch

    class Doubles(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.shape[0] > 1 else x * 3

    rows = torch.export.Dim("rows", min=2, max=64)
    package = export_package(Doubles(), torch.zeros(4, 2), {0: rows}, tensors([-1, 2]))
    report = Path(targets["outside"]).parent / "report" / "report.json"
    report.parent.mkdir()
    (package / "attack.py").write_text(ON_LOAD)
    (package / "targets.json").write_text(json.dumps({**targets, "report": str(report)}))
    plant(package / "model.pt2", place, f"__import__('runpy').run_path('{package}/attack.py')")
    with contextlib.suppress(ModelLoadFailed):
        async with pool_of(package, sandbox_write=str(report.parent)):
            pass
    assert json.loads(report.read_text()) == {}


def plant(program: Path, place: str, code: str) -> None:
    """Put code into each member of an exported program that torch evaluates."""
    with zipfile.ZipFile(program) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith("models/model.json"))
    document = json.loads(members[name])

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == place:
                    value[key] = [code] if isinstance(inner, list) else code
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)
    members[name] = json.dumps(document).encode()
    with zipfile.ZipFile(program, "w", zipfile.ZIP_STORED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)


async def test_a_torchscript_module_reads_no_file(
    tmp_path: Path, targets: dict[str, Any], script_package: PackageMaker
) -> None:
    import torch

    class Reads(torch.nn.Module):
        def __init__(self, secret: str) -> None:
            super().__init__()
            self.secret = secret

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            content = torch.from_file(self.secret, False, 10, dtype=torch.uint8)
            return content.to(torch.float32).repeat(x.shape[0], 1)

    package = script_package(Reads(targets["secret"]), tensors([-1, 10]))
    async with pool_of(package, sandbox="off") as pool:
        (outcome,) = await pool.run([Item("tabular", [0.0] * 10)])
        assert bytes(map(int, outcome.prediction["y"])) == b"postgresql"
    with pytest.raises(ModelLoadFailed, match="Permission denied"):
        async with pool_of(package):
            pass


PARALLEL = """
    import concurrent.futures, multiprocessing, os, shutil, subprocess, sys, tempfile
    from multiprocessing import shared_memory
    from slipway_core.runtime import Model

    def square(number):
        return number * number

    class Parallel(Model):
        def load(self):
            self.pool = concurrent.futures.ProcessPoolExecutor(2)

        def predict(self, batch):
            block = shared_memory.SharedMemory(create=True, size=16)
            block.close()
            block.unlink()
            with tempfile.NamedTemporaryFile() as file:
                shutil.copy(file.name, file.name + ".copy")
                os.chmod(file.name + ".copy", 0o700)
            threads = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout
            return [
                {"squares": list(self.pool.map(square, range(4))), "cores": int(threads)}
                for _ in batch
            ]
"""


async def test_models_start_processes_and_write_temporary_files(tmp_path: Path) -> None:
    package = write_python_package(tmp_path, PARALLEL, entrypoint="Parallel")
    async with pool_of(package, engines=2) as pool:
        outcomes = await asyncio.gather(*(pool.run(texts("a")) for _ in range(4)))
        assert [outcome.failure for (outcome,) in outcomes] == [None] * 4
        assert {str(outcome.prediction["squares"]) for (outcome,) in outcomes} == {"[0, 1, 4, 9]"}


NEEDS = """
    import os, socket
    from pathlib import Path
    from slipway_core.runtime import Model

    class Needs(Model):
        def predict(self, batch):
            port, read, write = batch[0].split()
            Path(write, "written").write_text(Path(read).read_text())
            with socket.create_connection(("localhost", int(port)), timeout=10):
                return [{}]
"""


async def test_what_a_package_asks_for_must_be_granted_and_then_works(
    tmp_path: Path, targets: dict[str, Any]
) -> None:
    package = write_python_package(tmp_path / "package", NEEDS, entrypoint="Needs")
    read, written = targets["other_package"], tmp_path / "results" / "written"
    written.parent.mkdir()
    write = str(written.parent)
    granted: dict[str, Any] = {
        "sandbox_network": True,
        "sandbox_read": f"{os.path.dirname(read)}:/elsewhere",
        "sandbox_write": write,
    }
    with (package / "slipway.yaml").open("a") as file:
        file.write(f"sandbox: {{network: true, read: [{read}], write: [{write}]}}\n")
    for setting in granted:
        some = {name: value for name, value in granted.items() if name != setting}
        with pytest.raises(SandboxRefused, match=setting.upper()):
            async with pool_of(package, **some):
                pass
    async with pool_of(package, **granted) as pool:
        assert pool.info.sandbox.network
        (outcome,) = await pool.run(texts(f"{targets['port']} {read} {write}"))
        assert outcome.failure is None
    assert written.read_text() == ECHO


async def test_a_link_that_leads_out_of_the_package_is_refused_unless_granted(
    tmp_path: Path, targets: dict[str, Any]
) -> None:
    package = write_python_package(tmp_path, ECHO, entrypoint="Echo")
    (package / "weights").symlink_to(targets["secret"])
    with pytest.raises(SandboxRefused, match="weights in the package is a link"):
        async with pool_of(package):
            pass
    async with pool_of(package, sandbox_read=targets["secret"]) as pool:
        assert pool.info.sandbox.active


async def test_an_engine_holds_its_own_descriptors_alone(tmp_path: Path) -> None:
    source = """
        import glob, os
        from slipway_core.runtime import Model

        class Descriptors(Model):
            def predict(self, batch):
                links = map(os.path.realpath, glob.glob("/proc/self/fd/*"))
                return [{"open": sorted(links)} for _ in batch]
    """
    package = write_python_package(tmp_path, source, entrypoint="Descriptors")
    with (tmp_path.parent / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        async with pool_of(package) as pool:
            (outcome,) = await pool.run(texts("a"))
    assert file.name not in outcome.prediction["open"]


def test_a_server_without_landlock_runs_no_code_of_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway_core.engines.confinement.confine.landlock_abi", lambda: 0)
    package = Package(
        write_python_package(tmp_path, ECHO, entrypoint="Echo"), read_manifest(tmp_path)
    )
    encoder = Package(tmp_path, Manifest(name="e", task="text-embedding", runtime="bert"))
    for mode, chosen, refused in (
        ("auto", package, True),
        ("required", package, True),
        ("off", package, False),
        ("auto", encoder, False),
        ("required", encoder, True),
    ):
        policy = make_policy(chosen, ServiceSettings(sandbox=mode))
        confined = confine(policy)
        assert not confined.active
        if not refused:
            check_confined(confined, policy, chosen, mode)
            continue
        with pytest.raises(SandboxRefused, match=r"no Landlock.*SLIPWAY_SANDBOX="):
            check_confined(confined, policy, chosen, mode)


def test_folders_of_killed_servers_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    living, abandoned = ScratchFolder.create(), tmp_path / f"{PREFIX}abandoned"
    (abandoned / "cache").mkdir(parents=True)
    for folder in (living.path, abandoned):
        os.utime(folder, (0, 0))
    remove_abandoned_folders()
    assert living.path.exists()
    assert not abandoned.exists()
    living.remove()
    assert list(tmp_path.iterdir()) == []
