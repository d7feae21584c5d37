"""Shows on a machine with a GPU that a sandboxed engine computes there: run it by hand.

    PYTHONPATH=services/core/src python3 tests/device/check_sandbox.py

Prints the version of Landlock, the device files in reach, what an engine reports, and how long it
computes with and without the sandbox. Exits with 1 when a prediction or a refusal is not as it
must be.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import torch

from slipway_core.engines.confinement.confine import device_files
from slipway_core.engines.confinement.landlock import landlock_abi
from slipway_core.engines.pool import EnginePool
from slipway_core.inputs.items import Item
from slipway_core.settings import ServiceSettings

ROW = 512
PROBE = """
    import os, socket
    import torch
    from slipway_core.runtime import Model

    def outcome(attempt):
        try:
            return repr(attempt())
        except OSError as error:
            return type(error).__name__

    class Probe(Model):
        def predict(self, batch):
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            product = torch.ones(256, 256, device=device) @ torch.ones(256, 256, device=device)
            return [{
                "device": str(device),
                "sum": product.sum().item(),
                "server": outcome(lambda: open(f"/proc/{os.getppid()}/environ").read()[:9]),
                "passwords": outcome(lambda: open("/etc/passwd").read()[:9]),
                "socket": outcome(lambda: socket.socket(socket.AF_INET)),
            } for _ in batch]
"""


def write_script_package(folder: Path) -> Path:
    """Write a TorchScript package of a linear layer."""
    folder.mkdir()
    torch.jit.save(torch.jit.script(torch.nn.Linear(ROW, ROW)), folder / "model.pt")
    tensor = {"name": "x", "shape": [-1, ROW]}
    manifest = {"name": "linear", "task": "tensor", "runtime": "torchscript", "inputs": [tensor]}
    manifest["outputs"] = [{**tensor, "name": "y"}]
    (folder / "slipway.yaml").write_text(json.dumps(manifest))
    return folder


def write_probe_package(folder: Path) -> Path:
    """Write a package of a Python model that computes, and tries what a sandbox refuses."""
    folder.mkdir()
    (folder / "model.py").write_text(textwrap.dedent(PROBE))
    (folder / "slipway.yaml").write_text(
        "name: probe\ntask: python\nruntime: python\nfiles: {entrypoint: Probe}\n"
    )
    return folder


async def compute(package: Path, item: Item, **settings: Any) -> dict[str, Any]:
    """Return what an engine reports, one prediction and the median time of a batch."""
    configured = ServiceSettings(
        model_uri=f"file://{package}", model_sha256="", log_level="warning", **settings
    )
    pool = await EnginePool.start(configured)
    try:
        seconds = []
        for _ in range(100):
            started = time.perf_counter()
            (outcome,) = await pool.run([item])
            seconds.append(time.perf_counter() - started)
        info = pool.info
        return {
            "abi": info.sandbox.landlock_abi,
            "filter": info.sandbox.has_filter,
            "device": info.device,
            "load_seconds": info.load_seconds,
            "milliseconds": round(1000 * statistics.median(seconds), 3),
            "failure": outcome.failure and outcome.failure.message,
            "prediction": outcome.prediction if len(outcome.prediction) > 1 else "...",
        }
    finally:
        await pool.close()


async def main() -> int:
    """Run all checks."""
    has_gpu, abi = torch.cuda.is_available(), landlock_abi()
    report: dict[str, Any] = {"landlock": abi, "gpu": has_gpu, "devices": device_files()}
    device = "cuda" if has_gpu else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        script = write_script_package(Path(folder, "script"))
        probe = write_probe_package(Path(folder, "probe"))
        row = Item("tabular", [1.0] * ROW)
        mode = "required" if abi else "off"
        for turn in range(2):
            for name in ("off", mode):
                report[f"script {name} {turn}"] = await compute(
                    script, row, sandbox=name, device=device
                )
        report["probe"] = probed = await compute(probe, Item("text", "a"), sandbox=mode)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    seen = probed["prediction"]
    refused = [seen[name] == "PermissionError" for name in ("server", "passwords", "socket")]
    failures = [value["failure"] for value in report.values() if isinstance(value, dict)]
    return 0 if not any(failures) and seen["device"] == device and (all(refused) or not abi) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
