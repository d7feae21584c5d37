"""Measure other servers under the same load, each in its own environment.

Environments are created on first use, in the user's cache. A server's folder below `peers/` has its
pinned packages (requirements.txt) and its definition, written from its documentation, with the
batching that the documentation describes. All servers load the installed demo model, so nothing is
downloaded from a hub.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx2
import psutil
from platformdirs import user_cache_path
from tests.benchmarks.load import BenchmarkFailed, Body, Load, Target, run_load
from tests.benchmarks.memory import tree_mebibytes
from tests.benchmarks.points import Measured, measure_points, seconds_to_normal, usual_seconds
from tests.benchmarks.report import progress

from slipway_cli.local.servers.ports import find_free_port
from slipway_core.package.sources.installed import find_installed
from slipway_core.settings import DEMO_MODEL_URI

FOLDER = Path(__file__).with_name("peers")
REPOSITORY = Path(__file__).parents[2]
READY_SECONDS = 180
STOP_SECONDS = 15
OVERLOAD_CLIENTS = 256


@dataclass(frozen=True)
class Peer:
    """How to start a server and send requests to it.

    In `command` and `settings` {bin} is the environment's folder of programs, {port} and
    {other_port} are free ports, {model} is the model's folder and {core} the source folder of
    slipway_core. The server runs in its folder below `peers/`. `settings` are environment
    variables.
    """

    title: str
    command: tuple[str, ...]
    path: str
    body_of_one: Any
    body_of_list: Body | None
    settings: Mapping[str, str] = field(default_factory=dict)


def _open_inference(texts: Sequence[str]) -> Any:
    tensor = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return {"inputs": [tensor]}


_MLSERVER = ("{bin}/mlserver", "start", ".")
_MLSERVER_SETTINGS = {
    "MLSERVER_HTTP_PORT": "{port}",
    "MLSERVER_GRPC_PORT": "{other_port}",
    "PYTHONPATH": ".:{core}",
}

PEERS = {
    "mlserver": Peer(
        "MLServer",
        _MLSERVER,
        "/v2/models/minilm/infer",
        lambda text: _open_inference([text]),
        _open_inference,
        _MLSERVER_SETTINGS,
    ),
    "mlserver_forward": Peer(
        "MLServer with Slipway's forward pass",
        _MLSERVER,
        "/v2/models/minilm/infer",
        lambda text: _open_inference([text]),
        _open_inference,
        _MLSERVER_SETTINGS,
    ),
    "kserve": Peer(
        "KServe",
        ("{bin}/python", "server.py", "--http_port={port}", "--enable_grpc=false"),
        "/v1/models/minilm:predict",
        lambda text: {"instances": [text]},
        lambda texts: {"instances": list(texts)},
    ),
    "litserve": Peer(
        "LitServe",
        ("{bin}/python", "server.py", "{port}"),
        "/predict",
        lambda text: {"text": text},
        None,
    ),
    "bentoml": Peer(
        "BentoML",
        ("{bin}/bentoml", "serve", "service:Embedder", "--port={port}"),
        "/embed",
        lambda text: {"texts": [text]},
        lambda texts: {"texts": list(texts)},
    ),
    "ray": Peer(
        "Ray Serve",
        ("{bin}/python", "server.py", "{port}"),
        "/",
        lambda text: {"texts": [text]},
        lambda texts: {"texts": list(texts)},
    ),
    "infinity": Peer(
        "infinity",
        (
            "{bin}/infinity_emb",
            "v2",
            "--model-id={model}",
            "--served-model-name=minilm",
            "--engine=torch",
            "--device=cpu",
            "--batch-size=32",
            "--no-bettertransformer",
            "--port={port}",
        ),
        "/embeddings",
        lambda text: {"model": "minilm", "input": [text]},
        lambda texts: {"model": "minilm", "input": list(texts)},
    ),
}


@dataclass(frozen=True)
class PeerResult:
    """The measurements of a server, or the problem that prevented them."""

    name: str
    points: Sequence[Measured] = ()
    mebibytes: float = 0
    seconds_to_normal: float = 0
    problem: str = ""

    @property
    def title(self) -> str:
        """The name and version of the server."""
        version = next(iter((FOLDER / self.name / "requirements.txt").read_text().splitlines()))
        return f"{PEERS[self.name].title} {version.partition('==')[2]}"


def measure_peer(name: str, texts: Sequence[str], *, seconds: int, repeats: int) -> PeerResult:
    """Install the server if necessary, and measure it. Its failures become the `problem`."""
    peer = PEERS[name]
    try:
        environment = prepare_environment(name)
        with _run_peer(name, environment) as (process, url):
            target = Target(peer.title, url, peer.body_of_one, peer.body_of_list)
            points = measure_points(target, texts, seconds=seconds, repeats=repeats)
            usual = usual_seconds(target, texts[0])
            run_load(target, texts, Load(OVERLOAD_CLIENTS, seconds))
            return PeerResult(
                name,
                points,
                seconds_to_normal=seconds_to_normal(target, texts[0], usual),
                mebibytes=tree_mebibytes(process.pid),
            )
    except (BenchmarkFailed, OSError, subprocess.SubprocessError) as error:
        progress(f"  {peer.title}: {error}")
        return PeerResult(name, problem=str(error).splitlines()[0])


def prepare_environment(name: str) -> Path:
    """Return the folder of the server's virtual environment, and create it if necessary."""
    requirements = FOLDER / name / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = user_cache_path("slipway") / "benchmarks" / f"{name}-{digest}"
    if (folder / "complete").exists():
        return folder
    progress(f"installing {PEERS[name].title} into {folder} (takes minutes)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The script installs the CPU build of torch; the default build contains GPU libraries.
    pip = (f"{folder}/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    for command in (
        ("scripts/create-venv", str(folder)),
        ("scripts/install-torch", str(folder)),
        (*pip, "-r", str(requirements)),
    ):
        finished = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        if finished.returncode != 0:
            output = (finished.stderr or finished.stdout).strip().splitlines()
            raise BenchmarkFailed(f"not installed: {output[-1] if output else command}")
    (folder / "complete").touch()
    return folder


@contextmanager
def _run_peer(name: str, environment: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    peer = PEERS[name]
    model, _ = find_installed(DEMO_MODEL_URI.partition("://")[2])
    values = {
        "bin": str(environment / "bin"),
        "port": str(find_free_port()),
        "other_port": str(find_free_port()),
        "model": str(model),
        "core": str(REPOSITORY / "services" / "core" / "src"),
    }
    settings = {key: value.format(**values) for key, value in peer.settings.items()}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [part.format(**values) for part in peer.command],
            cwd=FOLDER / name,
            env={**_plain_environment(environment), "MODEL_FOLDER": str(model), **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{values['port']}{peer.path}"
            _wait_until_ready(process, url, peer.body_of_one("ready?"), output)
            yield process, url
        finally:
            _stop(process)


def _plain_environment(environment: Path) -> dict[str, str]:
    """Return our environment with the peer's programs first, offline, without our settings."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    offline = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    path = f"{environment / 'bin'}{os.pathsep}{ours.get('PATH', '')}"
    return {**ours, **offline, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def _wait_until_ready(
    process: subprocess.Popen[bytes], url: str, body: Any, output: IO[bytes]
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with httpx2.Client(timeout=10, trust_env=False) as client:
        while True:
            problem = "it did not respond"
            try:
                response = client.post(url, json=body)
                if response.status_code == 200:
                    return
                problem = f"it responded with {response.status_code}: {response.text[:200]}"
            except httpx2.TransportError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                output.seek(0)
                sys.stderr.write(output.read().decode(errors="replace")[-3000:])
                if process.poll() is not None:
                    problem = f"it ended with status {process.returncode}"
                raise BenchmarkFailed(f"not started: {problem}")
            time.sleep(0.3)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the process and all its descendants, which may have their own sessions."""
    try:
        descendants = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        descendants = []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in descendants:
        if child.is_running():
            child.kill()
    psutil.wait_procs(descendants, timeout=STOP_SECONDS)
