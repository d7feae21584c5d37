"""The account that the servers run under: the caller's own, or for root an unprivileged one.

PostgreSQL refuses to run as root, and Valkey should not. Nothing is created or loosened for that:
root's servers run as `nobody`, who owns just the folders that Slipway made for them.
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


@dataclass(frozen=True)
class ServerAccount:
    """Whom the servers run as; `switch` says whether starting them changes the user (root)."""

    user: int
    group: int
    switch: bool

    @classmethod
    def choose(cls) -> ServerAccount:
        """The caller's own account, or nobody's when the caller is root."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), switch=False)
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid, switch=True)

    @property
    def name(self) -> str:
        """The account's name, for people."""
        try:
            return pwd.getpwuid(self.user).pw_name
        except KeyError:
            return f"user {self.user}"

    def identity(self) -> dict[str, Any]:
        """What subprocess must be told to run a command under this account."""
        if not self.switch:
            return {}
        return {"user": self.user, "group": self.group, "extra_groups": []}

    def make_folder(self, folder: Path) -> Path:
        """A folder that only this account reads, made where it does not exist."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.switch:
            os.chown(folder, self.user, self.group)
        return folder

    def write_file(self, file: Path, text: str) -> None:
        """Replace a file, mode 0600, that only this account reads."""
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as writer:
            if self.switch:
                os.fchown(writer.fileno(), self.user, self.group)
            writer.write(text)

    def run(
        self, command: Sequence[str], *, cwd: Path | str = "/", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a short command under this account and return what it said, both streams as one."""
        return subprocess.run(  # noqa: S603 - the command is ours
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
            **self.identity(),
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether the account may open files of the folder: every folder above lets it pass."""
        test = shutil.which("test") or "/usr/bin/test"
        return self.run([test, "-x", str(folder)]).returncode == 0

    def require_way_into(self, folder: Path) -> None:
        """Raise InvalidSettings when a folder above keeps the servers out of this one."""
        if self.switch and not self.can_enter(folder):
            raise InvalidSettings(
                f"the servers run as the user `nobody`, who cannot enter {folder}: choose another "
                f"folder with --home or SLIPWAY_HOME (such as /var/lib/slipway), or let others "
                f"pass through the folders above it"
            )
