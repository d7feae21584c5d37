"""The folder that keeps everything of one local installation, and the lock that one process holds.

Layout: `postgres` and `valkey` (the servers' data), `servers` (programs, copied only when they must
be), `secrets` (passwords and the addresses that carry them), `models`, `logs`, `lock`.
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


@dataclass(frozen=True)
class Home:
    """One installation's folder; `prepare` makes it."""

    folder: Path

    @classmethod
    def choose(cls, given: Path | None) -> Home:
        """The folder given, or SLIPWAY_HOME, or the account's default.

        Root's default is outside of root's private folder, because the servers, which run as
        nobody, must get there.
        """
        named = given or os.environ.get("SLIPWAY_HOME")
        if named:
            return cls(Path(named).expanduser().absolute())
        return cls(ROOT_HOME if os.geteuid() == 0 else user_data_path("slipway"))

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def service_secrets(self) -> Path:
        """The folder that services read as SLIPWAY_SECRETS_DIR."""
        return self.folder / "secrets" / "services"

    def prepare(self, account: ServerAccount) -> None:
        """Make the folders. Raises InvalidSettings when they cannot be made, or not be used."""
        try:
            if not self.folder.exists():
                self.folder.mkdir(parents=True)
                # Others may pass through to the servers' folders, and see nothing on the way.
                self.folder.chmod(0o711 if account.switch else 0o700)
            for private in (self.logs, self.models, self.service_secrets.parent):
                private.mkdir(mode=0o700, exist_ok=True)
            self.service_secrets.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InvalidSettings(
                f"the folder {self.folder} cannot be used: {error.strerror}; choose another with "
                f"--home or SLIPWAY_HOME"
            ) from None
        account.require_way_into(self.folder)

    def password(self, name: str) -> str:
        """The password of that name, made at the first time and kept."""
        file = self.folder / "secrets" / name
        try:
            kept = file.read_text().strip()
        except FileNotFoundError:
            kept = ""
        if not kept:
            kept = secrets.token_urlsafe(24)
            write_private(file, kept)
        return kept

    def write_service_secret(self, name: str, value: str) -> None:
        """Give the services a secret by its setting's name, such as `database_url`."""
        write_private(self.service_secrets / f"slipway_{name}", value)

    def read_service_secret(self, name: str) -> str:
        """A secret as the services got it; empty when there is none, or it is not for us."""
        try:
            return (self.service_secrets / f"slipway_{name}").read_text()
        except OSError:
            return ""

    @contextmanager
    def lock(self, url: str) -> Iterator[None]:
        """Be the only process on this home. Raises InvalidSettings naming the one that is."""
        with open(self.folder / "lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InvalidSettings(_name_holder(self.folder)) from None
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "url": url}))
            file.flush()
            yield
            file.truncate(0)


def write_private(file: Path, text: str) -> None:
    """Replace a file at once with one of mode 0600."""
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as writer:
        writer.write(text)
    beside.replace(file)


def _name_holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / "lock").read_text())
        who = f"process {holder['pid']} at {holder['url']}"
        stop = f"stop it with `kill {holder['pid']}`"
    except (OSError, ValueError, KeyError, TypeError):
        who, stop = "another process", "stop that one"
    return f"Slipway already runs on {folder} ({who}): {stop}, or choose another folder with --home"
