"""Start Slipway like `slipway local`: PostgreSQL, Valkey, an inference server and batch workers.

The prediction log, metrics and request logs are enabled.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.benchmarks.load import BenchmarkFailed, Target

from slipway_cli.local.home import Home
from slipway_cli.local.platform import LocalPlatform, PlatformOptions
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.ports import find_free_port


@dataclass(frozen=True)
class RunningSlipway:
    """A platform that serves predictions. `engine` is the log line of a loaded engine."""

    url: str
    inference_pid: int
    worker_pids: tuple[int, ...]
    engine: dict[str, Any]
    engines: int

    @property
    def target(self) -> Target:
        """The target for single texts and for lists of texts."""
        return Target(
            "Slipway",
            f"{self.url}/predict/text",
            lambda text: {"input_text": text},
            lambda texts: {"inputs": list(texts)},
        )

    def describe(self) -> str:
        """Describe the number, threads and precision of the engines."""
        return (
            f"{self.engines} engine(s) with {self.engine['threads']} thread(s), "
            f"{self.engine['precision']}: {self.engine['precision_reason']}"
        )


@contextmanager
def run_slipway(workers: int = 1) -> Iterator[RunningSlipway]:
    """Run a platform with the demo model in a temporary folder, which is removed at the end."""
    folder = Path(tempfile.gettempdir()) / f"slipway-benchmark-{os.getpid()}"
    home = Home(folder)
    home.prepare(ServerAccount.choose())
    options = PlatformOptions(port=find_free_port(), workers=workers)
    platform = LocalPlatform(home, options, report=lambda _: None)
    try:
        platform.start()
        engines = _loaded_engines(home.logs / "inference.log")
        yield RunningSlipway(
            url=options.url,
            inference_pid=_children("slipway_inference")[0],
            worker_pids=_children("slipway_batch"),
            engine=engines[0],
            engines=len(engines),
        )
    finally:
        platform.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _children(module: str) -> tuple[int, ...]:
    pids = tuple(
        child.pid for child in psutil.Process().children() if child.cmdline()[-1:] == [module]
    )
    if not pids and module == "slipway_inference":
        raise BenchmarkFailed("the inference server ended while the platform started")
    return pids


def _loaded_engines(log: Path) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    engines = [line for line in lines if "model loaded" in (line.get("event"), line.get("message"))]
    if not engines:
        raise BenchmarkFailed(f"no engine has loaded the model: see {log}")
    return engines
