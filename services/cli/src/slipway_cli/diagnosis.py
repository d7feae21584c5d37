"""The checks of `slipway doctor`: each examines one thing and says how to fix it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from slipway_cli.client import SlipwayClient
from slipway_cli.finding import Finding, State
from slipway_cli.local.home import Home
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.binaries import ServerBinaries
from slipway_cli.local.servers.ports import is_free
from slipway_cli.request_errors import RequestFailed
from slipway_core.engines.confinement.landlock import landlock_abi
from slipway_core.errors import SlipwayError
from slipway_core.queue.eviction import KEEPS_RINGS, read_eviction_policy
from slipway_core.settings import SandboxMode
from slipway_core.store.schema.migrate import read_revision
from slipway_core.store.schema.revision import HEAD, MIGRATE

MIN_FREE_BYTES = 1_000_000_000
TIMEOUT_SECONDS = 3


@dataclass(frozen=True)
class Installation:
    """The installation to check: its home and the addresses of its service and stores."""

    home: Home
    url: str
    database_url: str
    redis_url: str
    uses_embedded: bool
    """Whether the stores are the embedded servers, which run only during `slipway local`."""
    sandbox: SandboxMode
    """Sandbox of models, as SLIPWAY_SANDBOX says."""


def diagnose(installation: Installation) -> list[Finding]:
    """Run all checks, in the order in which a new user needs what they examine."""
    checks: list[Callable[[Installation], Finding]] = [
        check_python, check_torch, check_sandbox, check_servers, check_home, check_service,
        check_database, check_redis,
    ]  # fmt: skip
    return [check(installation) for check in checks]


def check_python(_: Installation) -> Finding:
    """Report the version of Python. An unsupported one could not have installed this."""
    return Finding("python", "ok", platform.python_version())


def check_torch(_: Installation) -> Finding:
    """Check that torch is installed."""
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        return Finding("torch", "fail", "not installed", "run `make setup`")
    try:
        version("nvidia-cublas")
    except PackageNotFoundError:
        return Finding("torch", "ok", f"{torch_version}, for CPUs")
    return Finding("torch", "ok", f"{torch_version}, with GPU libraries")


def check_sandbox(installation: Installation) -> Finding:
    """Check that the kernel of this machine can sandbox models."""
    mode, abi = installation.sandbox, landlock_abi()
    if mode == "off":
        message = "SLIPWAY_SANDBOX is off: packages are trusted as much as any program"
        return Finding("sandbox", "warn", message, "unset it, unless you trust all packages")
    if abi:
        return Finding("sandbox", "ok", f"Linux {platform.release()}, with Landlock (ABI {abi})")
    refused = "no model is served" if mode == "required" else "packages that run code are refused"
    remedy = "use Linux 5.13 or newer with Landlock; SLIPWAY_SANDBOX=off trusts packages instead"
    state: State = "fail" if mode == "required" else "warn"
    return Finding("sandbox", state, f"this machine has no Landlock: {refused}", remedy)


def check_servers(_: Installation) -> Finding:
    """Check that the programs of the embedded servers run on this machine."""
    try:
        binaries = ServerBinaries.installed()
    except SlipwayError as error:
        return Finding("servers", "warn", error.message, "run `make setup`")
    account = ServerAccount(os.geteuid(), os.getegid(), switch=False)
    versions = []
    for program in (binaries.postgres / "bin" / "postgres", binaries.valkey):
        finished = account.run([str(program), "--version"])
        if finished.returncode != 0:
            remedy = "use servers of your own: SLIPWAY_DATABASE_URL and SLIPWAY_REDIS_URL"
            return Finding("servers", "fail", f"{program} does not run here", remedy)
        versions.append(" ".join(finished.stdout.split()[:3]))
    return Finding("servers", "ok", ", ".join(versions))


def check_home(installation: Installation) -> Finding:
    """Check that the data folder is writable and private, and has free space."""
    folder = installation.home.folder
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK | os.X_OK):
        remedy = "choose another folder with --home or SLIPWAY_HOME"
        return Finding("home", "fail", f"{folder} cannot be written", remedy)
    try:
        ServerAccount.choose().require_access_to(existing)
    except SlipwayError as error:
        return Finding("home", "fail", error.message, "see the message")
    secrets = folder / "secrets"
    if secrets.exists() and secrets.stat().st_mode & 0o077:
        return Finding("home", "fail", f"others can read {secrets}", f"chmod 700 {secrets}")
    free = shutil.disk_usage(existing).free
    if free < MIN_FREE_BYTES:
        message = f"{folder}: {free / 1e6:.0f} MB are free"
        return Finding("home", "warn", message, "free some space on that disk")
    remark = "" if folder.exists() else ", which the first start creates"
    return Finding("home", "ok", f"{folder}{remark}, {free / 1e9:.0f} GB free")


def check_service(installation: Installation) -> Finding:
    """Check that the service is healthy, or that its port is free."""
    url = installation.url
    address = urlsplit(url)
    try:
        with SlipwayClient(url, timeout_seconds=TIMEOUT_SECONDS, retry_seconds=0) as client:
            health = client.health()
    except RequestFailed as error:
        is_local = address.hostname in ("127.0.0.1", "localhost")
        if is_local and address.port and is_free(address.port):
            message = f"nothing runs at {url}; the port is free"
            return Finding("service", "warn", message, "start it with `slipway local`")
        remedy = "choose another port with --port, or the right --url"
        return Finding("service", "fail", error.message, remedy)
    message = f"{url} is {health.get('status')} and serves {health.get('model')}"
    if health.get("status") == "ok":
        return Finding("service", "ok", message)
    reasons = "; ".join(map(str, health.get("reasons", []))) or "no reason given"
    return Finding("service", "fail", message, f"see the reasons: {reasons}")


def check_database(installation: Installation) -> Finding:
    """Check that PostgreSQL is reachable and has the tables of this release."""
    if not installation.database_url:
        return _not_configured("database", "SLIPWAY_DATABASE_URL")
    try:
        revision = read_revision(installation.database_url)
    except SlipwayError as error:
        return _unreachable("database", error.message, installation)
    if revision == HEAD:
        return Finding("database", "ok", f"reachable, at revision {revision}")
    message = f"reachable, at revision {revision or 'none'}; this release needs {HEAD}"
    return Finding("database", "fail", message, f"run `{MIGRATE}`")


def check_redis(installation: Installation) -> Finding:
    """Check that Redis or Valkey is reachable and never evicts queued work."""
    if not installation.redis_url:
        return _not_configured("redis", "SLIPWAY_REDIS_URL")
    try:
        policy = read_eviction_policy(installation.redis_url, TIMEOUT_SECONDS)
    except SlipwayError as error:
        return _unreachable("redis", error.message, installation)
    if policy != KEEPS_RINGS:
        message = f"reachable, but its maxmemory-policy is {policy}: it may drop queued work"
        return Finding("redis", "warn", message, f"CONFIG SET maxmemory-policy {KEEPS_RINGS}")
    return Finding("redis", "ok", "reachable, never evicts")


def _not_configured(check: str, variable: str) -> Finding:
    remedy = f"run `slipway local`, which includes one, or set {variable}"
    return Finding(check, "warn", "not configured", remedy)


def _unreachable(check: str, message: str, installation: Installation) -> Finding:
    if installation.uses_embedded:
        remedy = "start it with `slipway local`"
        return Finding(check, "warn", "the embedded server does not run", remedy)
    return Finding(check, "fail", message, "check the address, the password and the network")
