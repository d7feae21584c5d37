"""The home of a local installation is private, keeps its passwords and has one user at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slipway_cli.local.home import ROOT_HOME, Home
from slipway_cli.local.servers.account import ServerAccount
from slipway_core.errors import InvalidSettings

CALLER = ServerAccount(os.geteuid(), os.getegid(), switch=False)


def test_passwords_are_kept_when_a_home_is_prepared_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare(CALLER)
    first = home.password("postgres")
    home.prepare(CALLER)
    assert home.password("postgres") == first
    assert home.password("valkey") != first
    assert len(first) >= 32


def test_other_users_have_no_access(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare(CALLER)
    home.password("postgres")
    home.write_service_secret("database_url", "postgresql://a:b@c/d")
    assert home.read_service_secret("database_url") == "postgresql://a:b@c/d"
    for path in [home.folder, *home.folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_user_is_rejected_with_the_address_of_the_first(tmp_path: Path) -> None:
    home = Home(tmp_path)
    message = rf"already runs on .* \(process {os.getpid()} at http://here:1\): stop it with `kill"
    with home.lock("http://here:1"), pytest.raises(InvalidSettings, match=message):  # noqa: SIM117
        with home.lock("http://there:2"):
            pass
    with home.lock("http://there:2"):
        pass


def test_a_home_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSettings, match="cannot be used: Not a directory; choose another"):
        Home(tmp_path / "file" / "home").prepare(CALLER)


def test_the_folder_depends_on_option_environment_and_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLIPWAY_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Home.choose(None).folder == ROOT_HOME
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert Home.choose(None).folder.is_relative_to(tmp_path)
    monkeypatch.setenv("SLIPWAY_HOME", "~/named")
    assert Home.choose(None).folder == tmp_path / "named"
    assert Home.choose(Path("/given")).folder == Path("/given")
