"""Faults of a running deployment: its processes are killed or stopped, and started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis
from tests.fixtures.batch import WorkerProcesses
from tests.fixtures.services import ServiceProcess, StartInference, kill_server

from slipway_cli.local.servers.ports import find_free_port
from slipway_cli.local.servers.postgres import PostgresServer
from slipway_cli.local.servers.valkey import ValkeyServer

SERVERS = 2
WORKERS = 2
ENGINE = "slipway_core.engines.process"
STOPPED_LEASES = 1.5
"""How long a worker is stopped, in leases: others take its chunks over meanwhile."""


@dataclass
class Deployment:
    """Inference servers and batch workers of one model, with the stores that they use."""

    package: Path
    start_inference: StartInference
    workers: WorkerProcesses
    postgres: PostgresServer
    valkey: ValkeyServer
    server_settings: dict[str, object]
    running_servers: list[ServiceProcess] = field(default_factory=list)
    running_workers: list[ServiceProcess] = field(default_factory=list)

    def start(self) -> None:
        """Start the servers and the workers; they take some seconds to become ready."""
        for _ in range(SERVERS):
            self.start_server()
        for _ in range(WORKERS):
            self.running_workers.append(self.workers.start())

    def start_server(self) -> None:
        port = find_free_port()
        server = self.start_inference(self.package, wait=False, port=port, **self.server_settings)
        server.url = f"http://127.0.0.1:{port}"
        self.running_servers.append(server)

    @property
    def urls(self) -> list[str]:
        """Addresses of the servers that have been started last."""
        return [server.url for server in self.running_servers]


class Faults:
    """Injects faults, one kind after the other, and counts them."""

    def __init__(self, deployment: Deployment, chance: random.Random) -> None:
        self._deployment = deployment
        self._chance = chance
        self._stopped: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self._kinds: list[Callable[[], str | None]] = [
            self._kill_worker,
            self._kill_backend,
            self._kill_server,
            self._kill_engine,
            self._kill_valkey,
            self._stop_worker,
            self._kill_postgres,
            self._kill_worker,
            self._kill_backend,
            self._kill_server,
            self._kill_engine,
            self._kill_postgres,
        ]

    async def run(self, rounds: int) -> None:
        """Inject `rounds` faults with pauses between them, and let stopped workers go on."""
        number = 0
        while sum(self.counts.values()) < rounds:
            await asyncio.sleep(self._chance.uniform(0.2, 1.5))
            name = self._kinds[number % len(self._kinds)]()
            number += 1
            if name is not None:
                self.counts[name] += 1
        if self._stopped:
            await asyncio.wait(self._stopped)

    def _kill_worker(self) -> str | None:
        workers = self._deployment.running_workers
        if not _computes(workers[-1]):
            return None
        self._deployment.workers.kill(workers.pop(0))
        workers.append(self._deployment.workers.start())
        return "workers"

    def _kill_server(self) -> str | None:
        if not _computes(self._deployment.running_servers[-1]):
            return None
        server = self._deployment.running_servers.pop(0)
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        self._deployment.start_server()
        return "servers"

    def _kill_engine(self) -> str | None:
        services = [*self._deployment.running_workers, *self._deployment.running_servers]
        engines = [child for service in services for child in _children(service.pid, ENGINE)]
        return "engines" if self._kill_one(engines) else None

    def _kill_backend(self) -> str | None:
        main = self._deployment.postgres.pid
        backends = _children(main, " test_") if main else []  # in a test's database
        return "backends" if self._kill_one(backends) else None

    def _kill_postgres(self) -> str:
        kill_server(self._deployment.postgres)
        self._deployment.postgres.start()
        return "postgres"

    def _kill_valkey(self) -> str:
        valkey = self._deployment.valkey
        kill_server(valkey)
        valkey.start()
        if self._chance.random() < 0.5:
            with redis.Redis.from_url(valkey.url) as client:
                client.flushall()
        return "valkey"

    def _stop_worker(self) -> str:
        """Stop the newest worker for longer than its lease: it comes back with lost leases."""
        worker = self._deployment.running_workers[-1]
        seconds = STOPPED_LEASES * self._deployment.workers.settings.lease_seconds
        os.kill(worker.pid, signal.SIGSTOP)
        resuming = asyncio.create_task(_resume(worker, seconds))
        self._stopped.add(resuming)
        return "stopped workers"

    def _kill_one(self, processes: list[psutil.Process]) -> bool:
        if not processes:
            return False
        try:
            self._chance.choice(processes).kill()
        except psutil.NoSuchProcess:
            return False
        return True


async def _resume(worker: ServiceProcess, seconds: float) -> None:
    await asyncio.sleep(seconds)
    if worker.exit_status is None:
        os.kill(worker.pid, signal.SIGCONT)


def _computes(service: ServiceProcess) -> bool:
    """Return whether an engine of the service runs: it goes on when the oldest one is killed."""
    return bool(_children(service.pid, ENGINE))


def _children(pid: int, part: str) -> list[psutil.Process]:
    """Return the children of a process with `part` in their command lines."""
    found = []
    try:
        children = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []
    for child in children:
        try:
            if part in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
