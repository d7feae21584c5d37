"""The folder of a local installation, and the lock that lets one process use it.

Layout: `postgres` and `valkey` (data of the servers), `servers` (copies of their programs, if
needed), `secrets` (passwords and the addresses that contain them), `models`, `logs`, `lock`.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from slipway_cli.local.servers.account import ServerAccount
from slipway_core.errors import InvalidSettings

ROOT_HOME = Path("/var/lib/slipway")
"""The default folder for root: the servers run as `nobody`, who cannot enter root's own folders."""


@dataclass(frozen=True)
class Home:
    """The folder of one local installation."""

    folder: Path

    @classmethod
    def choose(cls, folder: Path | None) -> Home:
        """Return the home at `folder`, at SLIPWAY_HOME, or at the default of the account."""
        chosen = folder or os.environ.get("SLIPWAY_HOME")
        if chosen:
            return cls(Path(chosen).expanduser().absolute())
        return cls(ROOT_HOME if os.geteuid() == 0 else user_data_path("slipway"))

    @property
    def logs(self) -> Path:
        """The folder of log files."""
        return self.folder / "logs"

    @property
    def models(self) -> Path:
        """The cache of model packages."""
        return self.folder / "models"

    @property
    def service_secrets(self) -> Path:
        """The folder that the services read as SLIPWAY_SECRETS_DIR."""
        return self.folder / "secrets" / "services"

    @property
    def migration_secrets(self) -> Path:
        """The folder that the migrations read as SLIPWAY_SECRETS_DIR."""
        return self.folder / "secrets" / "migrations"

    def prepare(self, account: ServerAccount) -> None:
        """Create the folders. Raises InvalidSettings when they cannot be created or used."""
        try:
            if not self.folder.exists():
                self.folder.mkdir(parents=True)
                # Another account must pass through to the servers' folders, but list nothing.
                self.folder.chmod(0o711 if account.switch else 0o700)
            for private in (self.logs, self.models, self.service_secrets.parent):
                private.mkdir(mode=0o700, exist_ok=True)
            for private in (self.service_secrets, self.migration_secrets):
                private.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InvalidSettings(
                f"the folder {self.folder} cannot be used: {error.strerror}; choose another with "
                f"--home or SLIPWAY_HOME"
            ) from None
        account.require_access_to(self.folder)

    def password(self, name: str) -> str:
        """Return the password `name`, which is generated once and kept."""
        file = self.folder / "secrets" / name
        try:
            password = file.read_text().strip()
        except FileNotFoundError:
            password = ""
        if not password:
            password = secrets.token_urlsafe(24)
            write_private(file, password)
        return password

    def write_service_secret(self, name: str, value: str) -> None:
        """Store a secret for the services under the name of its setting, such as `database_url`."""
        write_private(self.service_secrets / f"slipway_{name}", value)

    def write_owner_url(self, url: str) -> None:
        """Store the address by which the migrations reach the database."""
        write_private(self.migration_secrets / "slipway_database_url", url)

    def read_service_secret(self, name: str) -> str:
        """Return a secret of the services; empty when it is missing or not readable."""
        try:
            return (self.service_secrets / f"slipway_{name}").read_text()
        except OSError:
            return ""

    @contextmanager
    def lock(self, url: str) -> Iterator[None]:
        """Hold the lock of this home within the block.

        Raises InvalidSettings that names the process which holds it.
        """
        with open(self.folder / "lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InvalidSettings(_describe_holder(self.folder)) from None
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "url": url}))
            file.flush()
            yield
            file.truncate(0)


def write_private(file: Path, text: str) -> None:
    """Create or replace a file with mode 0600, atomically."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as writer:
        writer.write(text)
    temporary.replace(file)


def _describe_holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / "lock").read_text())
        process = f"process {holder['pid']} at {holder['url']}"
        stop = f"stop it with `kill {holder['pid']}`"
    except (OSError, ValueError, KeyError, TypeError):
        process, stop = "another process", "stop it"
    return (
        f"Slipway already runs on {folder} ({process}): {stop}, or choose another folder with "
        f"--home"
    )
