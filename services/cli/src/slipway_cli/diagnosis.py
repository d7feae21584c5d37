"""The checks of `slipway doctor`: each looks at one thing and says how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal
from urllib.parse import urlsplit

import redis

from slipway_cli.client import SlipwayClient
from slipway_cli.local.home import Home
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.binaries import ServerBinaries
from slipway_cli.local.servers.ports import is_free
from slipway_cli.request_errors import RequestFailed
from slipway_core.errors import SlipwayError
from slipway_core.store.schema.migrate import HEAD, read_revision

State = Literal["ok", "warn", "fail"]
ENOUGH_FREE_BYTES = 1_000_000_000
TIMEOUT_SECONDS = 3


@dataclass(frozen=True)
class Finding:
    """What one check found; `remedy` is empty when all is well."""

    check: str
    state: State
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What is to be checked: the home, the service's address and those of its servers."""

    home: Home
    url: str
    database_url: str
    redis_url: str
    embedded: bool
    """The addresses are those of the embedded servers, which run only while Slipway does."""


def diagnose(surroundings: Surroundings) -> list[Finding]:
    """All findings, in the order in which a newcomer meets the things."""
    checks: list[Callable[[Surroundings], Finding]] = [
        check_python, check_torch, check_servers, check_home, check_service, check_database,
        check_redis,
    ]  # fmt: skip
    return [check(surroundings) for check in checks]


def check_python(_: Surroundings) -> Finding:
    # An older one could not have installed this.
    return Finding("python", "ok", platform.python_version())


def check_torch(_: Surroundings) -> Finding:
    try:
        found = version("torch")
    except PackageNotFoundError:
        return Finding("torch", "fail", "not installed", "run `make setup`")
    try:
        version("nvidia-cublas")
    except PackageNotFoundError:
        return Finding("torch", "ok", f"{found}, for CPUs")
    return Finding("torch", "ok", f"{found}, with GPU libraries")


def check_servers(_: Surroundings) -> Finding:
    """The embedded servers' programs can be run on this machine."""
    try:
        binaries = ServerBinaries.installed()
    except SlipwayError as error:
        return Finding("servers", "warn", error.message, "run `make setup`")
    caller = ServerAccount(os.geteuid(), os.getegid(), switch=False)
    said = []
    for program in (binaries.postgres / "bin" / "postgres", binaries.valkey):
        finished = caller.run([str(program), "--version"])
        if finished.returncode != 0:
            remedy = "use servers of your own: SLIPWAY_DATABASE_URL and SLIPWAY_REDIS_URL"
            return Finding("servers", "fail", f"{program} does not run here", remedy)
        said.append(" ".join(finished.stdout.split()[:3]))
    return Finding("servers", "ok", ", ".join(said))


def check_home(surroundings: Surroundings) -> Finding:
    """The folder that keeps the data can be written, is private, and has room."""
    folder = surroundings.home.folder
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK | os.X_OK):
        remedy = "choose another folder with --home or SLIPWAY_HOME"
        return Finding("home", "fail", f"{folder} cannot be written", remedy)
    try:
        ServerAccount.choose().require_way_into(existing)
    except SlipwayError as error:
        return Finding("home", "fail", error.message, "see there")
    secret = folder / "secrets"
    if secret.exists() and secret.stat().st_mode & 0o077:
        return Finding("home", "fail", f"others can read {secret}", f"chmod 700 {secret}")
    free = shutil.disk_usage(existing).free
    if free < ENOUGH_FREE_BYTES:
        message = f"{folder}: {free / 1e6:.0f} MB are free"
        return Finding("home", "warn", message, "make room on that disk")
    state = "" if folder.exists() else ", which the first start makes"
    return Finding("home", "ok", f"{folder}{state}, {free / 1e9:.0f} GB free")


def check_service(surroundings: Surroundings) -> Finding:
    """The service answers at its address, or the address is free for it."""
    address = urlsplit(surroundings.url)
    try:
        with SlipwayClient(
            surroundings.url, timeout_seconds=TIMEOUT_SECONDS, patience_seconds=0
        ) as client:
            health = client.health()
    except RequestFailed as error:
        here = address.hostname in ("127.0.0.1", "localhost")
        if here and address.port and is_free(address.port):
            message = f"nothing runs at {surroundings.url}; the port is free"
            return Finding("service", "warn", message, "start it with `slipway local`")
        remedy = "choose another port with --port, or the right --url"
        return Finding("service", "fail", error.message, remedy)
    message = f"{surroundings.url} says {health.get('status')}, serves {health.get('model')}"
    if health.get("status") == "ok":
        return Finding("service", "ok", message)
    reasons = "; ".join(map(str, health.get("reasons", []))) or "no reason given"
    return Finding("service", "fail", message, f"it says why: {reasons}")


def check_database(surroundings: Surroundings) -> Finding:
    """PostgreSQL answers and has the tables of this release."""
    if not surroundings.database_url:
        return _not_configured("database", "SLIPWAY_DATABASE_URL")
    try:
        revision = read_revision(surroundings.database_url)
    except SlipwayError as error:
        return _unreachable("database", error.message, surroundings)
    if revision == HEAD:
        return Finding("database", "ok", f"reachable, at revision {revision}")
    message = f"reachable, at revision {revision or 'none'}; this release needs {HEAD}"
    return Finding("database", "fail", message, "run `python -m slipway_core.store.schema.migrate`")


def check_redis(surroundings: Surroundings) -> Finding:
    """Redis or Valkey answers and never throws queued work away."""
    if not surroundings.redis_url:
        return _not_configured("redis", "SLIPWAY_REDIS_URL")
    try:
        with redis.Redis.from_url(
            surroundings.redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        ) as client:
            policy = client.info("memory")["maxmemory_policy"]
    except (redis.RedisError, ValueError) as error:
        return _unreachable("redis", str(error), surroundings)
    if policy != "noeviction":
        message = f"reachable, but its maxmemory-policy is {policy}: it may drop queued work"
        return Finding("redis", "warn", message, "CONFIG SET maxmemory-policy noeviction")
    return Finding("redis", "ok", "reachable, never evicts")


def _not_configured(check: str, variable: str) -> Finding:
    return Finding(
        check, "warn", "not configured", f"`slipway local` brings one; or set {variable}"
    )


def _unreachable(check: str, message: str, surroundings: Surroundings) -> Finding:
    if surroundings.embedded:
        remedy = "start it with `slipway local`"
        return Finding(check, "warn", "the embedded server does not run", remedy)
    return Finding(check, "fail", message, "check the address, the password and the network")
