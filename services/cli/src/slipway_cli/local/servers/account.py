"""The user that the embedded servers run as.

PostgreSQL refuses to run as root, and Valkey should not. When `slipway` runs as root, the servers
run as `nobody`, which owns only the folders made for them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_core.errors import InvalidSettings

COMMAND_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class ServerAccount:
    """The user and group of the servers. `switch`: whether they differ from those of `slipway`."""

    user: int
    group: int
    switch: bool

    @classmethod
    def choose(cls) -> ServerAccount:
        """Return the current account, or `nobody` for root."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), switch=False)
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid, switch=True)

    @property
    def name(self) -> str:
        """The name of the account, for messages."""
        try:
            return pwd.getpwuid(self.user).pw_name
        except KeyError:
            return f"user {self.user}"

    def identity(self) -> dict[str, Any]:
        """Return the arguments that make `subprocess` run a command under this account."""
        if not self.switch:
            return {}
        return {"user": self.user, "group": self.group, "extra_groups": []}

    def make_folder(self, folder: Path) -> Path:
        """Create a folder that only this account can read, unless it exists."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.switch:
            os.chown(folder, self.user, self.group)
        return folder

    def write_file(self, file: Path, text: str) -> None:
        """Create or replace a file that only this account can read."""
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as writer:
            if self.switch:
                os.fchown(writer.fileno(), self.user, self.group)
            writer.write(text)

    def run(
        self, command: Sequence[str], *, cwd: Path | str = "/", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command under this account to its end; its standard error is part of `stdout`."""
        return subprocess.run(  # noqa: S603 - the command is ours
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_SECONDS,
            **self.identity(),
        )

    def can_access(self, folder: Path) -> bool:
        """Return whether this account can open files in `folder`."""
        test = shutil.which("test") or "/usr/bin/test"
        return self.run([test, "-x", str(folder)]).returncode == 0

    def require_access_to(self, folder: Path) -> None:
        """Raise InvalidSettings when the servers cannot open files in `folder`."""
        if self.switch and not self.can_access(folder):
            raise InvalidSettings(
                f"the servers run as the user `nobody`, who cannot enter {folder}: choose another "
                f"folder with --home or SLIPWAY_HOME (such as /var/lib/slipway), or make the "
                f"folders above it accessible to other users (chmod o+x)"
            )
