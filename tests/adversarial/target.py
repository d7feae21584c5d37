"""Servers to attack: real processes with PostgreSQL and Valkey, in a pod's memory."""

from __future__ import annotations

import http.client
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import yaml
from tests.adversarial.bodies import MEBIBYTE, Attack
from tests.adversarial.memory_limit import MemoryGroup, memory_group
from tests.adversarial.watch import ServerWatch
from tests.fixtures.bert_packages import make_tensors, write_bert_package
from tests.fixtures.exported_models import write_manifest
from tests.fixtures.models import EVERY_MODALITY, write_python_package
from tests.fixtures.services import START_SECONDS, ServiceProcess, wait_until

from slipway_cli.local.servers.ports import find_free_port

VALUES = Path(__file__).parents[2] / "charts" / "slipway" / "values.yaml"
ANSWER_SECONDS = 60
ECHO = """
from slipway_core.runtime import Model

class Echo(Model):
    def predict(self, batch):
        return [{"echo": None if isinstance(value, bytes) else value} for value in batch]
"""


@dataclass(frozen=True)
class Target:
    """A running server of a kind of model."""

    process: ServiceProcess
    watch: ServerWatch
    group: MemoryGroup

    def send(self, attack: Attack, body: bytes) -> int:
        """Send a request and return the status of its response, which is read to its end."""
        path = attack.path.replace("{model}", "mini")
        headers = {"Content-Type": attack.content_type, **attack.headers}
        return self.request("POST", path, body, headers)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> int:
        """Send a request and return the status of its response, which is read to its end."""
        address = urlsplit(self.process.url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=ANSWER_SECONDS
        )
        try:
            # A request may be rejected before all of it is sent: then the response is there.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            while response.read(MEBIBYTE):
                pass
            return response.status
        finally:
            connection.close()

    def check_alive(self) -> None:
        """Fail if the server, or an engine of it, was killed for memory."""
        assert self.process.exit_status is None, self.process.log.read_text()[-2_000:]
        assert self.group.kills() == 0, "the kernel killed a process for memory"
        assert psutil.Process(self.process.pid).children(), "the engine has ended"


@contextmanager
def running_target(kind: str, folder: Path, database_url: str, redis_url: str) -> Iterator[Target]:
    """Run a server of a kind of model for the time of a block."""
    package = PACKAGES[kind](folder / f"{kind}-package")
    metrics_port = find_free_port()
    settings = {
        "port": 0,
        "metrics_port": metrics_port,
        "metrics_host": "127.0.0.1",
        "model_uri": f"file://{package}",
        "model_sha256": "",
        "model_cache": folder / "models",
        "threads": 1,
        "drain_delay_seconds": 0,
        "access_log": False,
        "database_url": database_url,
        "redis_url": redis_url,
    }
    with memory_group(f"slipway-{kind}", memory_limit_bytes()) as group:
        process = ServiceProcess("slipway_inference", folder / f"{kind}.log", settings)
        try:
            group.add(process.pid)
            process.wait_for_listener()
            watch = ServerWatch(process.pid, f"http://127.0.0.1:{metrics_port}")
            wait_until(watch.is_ready, seconds=START_SECONDS, what="readiness")
            yield Target(process, watch, group)
        finally:
            process.stop()


def memory_limit_bytes() -> int:
    """Return the memory limit of an inference pod by the chart's default."""
    limit = yaml.safe_load(VALUES.read_text())["models"]["minilm"]["runtime"]["resources"]["limits"]
    text: str = limit["memory"]
    assert text.endswith("Mi"), text
    return int(text.removesuffix("Mi")) * MEBIBYTE


def _write_echo(folder: Path) -> Path:
    return write_python_package(
        folder, ECHO, entrypoint="Echo", name="mini", modalities=EVERY_MODALITY
    )


def _write_embedder(folder: Path) -> Path:
    write_bert_package(folder, make_tensors())
    return write_manifest(folder, {"name": "mini", "task": "text-embedding", "runtime": "bert"})


def _write_tensor_model(folder: Path) -> Path:
    return _write_script(folder, [-1, -1], {})


def _write_image_model(folder: Path) -> Path:
    return _write_script(folder, [-1, 3, 8, 8], {"image": {}})


def _write_script(folder: Path, shape: list[int], more: dict[str, object]) -> Path:
    import torch

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).mean(1, keepdim=True)

    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Mean()), folder / "model.pt")
    manifest = {
        "name": "mini",
        "task": "tensor",
        "runtime": "torchscript",
        "inputs": [{"name": "x", "shape": shape, **more}],
        "outputs": [{"name": "y", "shape": [-1, 1]}],
    }
    return write_manifest(folder, manifest)


PACKAGES = {
    "echo": _write_echo,
    "embedder": _write_embedder,
    "tensor": _write_tensor_model,
    "image": _write_image_model,
}
