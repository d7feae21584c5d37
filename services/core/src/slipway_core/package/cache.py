"""The on-disk cache of downloaded packages, shared between processes.

    CACHE/packages/<sha256>/content/  an unpacked package; the folder appears by one rename
    CACHE/packages/<sha256>/archive   the archive of content/, if its sha256 was required
    CACHE/packages/<sha256>/tree      the digest of content/, to find damage when no sha256 is
    CACHE/known/<key>.json            the state and digest of the last download from a URI
    CACHE/work/<key>/                 an unfinished download
    CACHE/work/<key>.lock             the lock of the process that downloads

A required sha256 is verified at each use against what the cache holds, not against its notes.
A process that is killed leaves at most work/<key>, which the next one resumes or clears.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from slipway_core.errors import (
    ModelDownloadFailed,
    ModelIntegrityError,
    ModelInvalid,
    ModelNotFound,
)
from slipway_core.package.archive import unpack
from slipway_core.package.digest import file_digest, folder_digest, remove_left_out
from slipway_core.package.limits import Limits
from slipway_core.package.sources.source import Fetched, Source
from slipway_core.package.verification import is_archive_of, is_folder_of, is_unpacked

log = structlog.get_logger("slipway.package")


class PackageCache:
    """The package cache in the folder `root`."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root = root.expanduser().absolute()
        self.limits = limits

    def fetch(self, source: Source, sha256: str) -> tuple[Path, str]:
        """Return the folder and the digest of the source's package, downloaded when necessary.

        With `sha256` a cached package is used without a request. Without it, the source is asked
        each time whether its content has changed; the cached package is used when the source cannot
        be reached.
        """
        if sha256 and (folder := self._verified(sha256)):
            return folder, sha256
        with self._locked(source.identity, source.shown) as work:
            if sha256 and (folder := self._verified(sha256)):
                return folder, sha256
            if not sha256 and (known := self._unchanged(source)):
                return known
            return self._download(source, sha256, work)

    def get_offline(self, identity: str, shown: str, sha256: str) -> tuple[Path, str]:
        """Return what `fetch` has cached, without any request. Raises ModelNotFound."""
        digest = sha256 or self._recall(identity)[1]
        folder = self._verified(sha256) if sha256 else self._undamaged(digest)
        if folder:
            return folder, digest
        raise ModelNotFound(
            f"{shown} is not in the cache {self._root}, and SLIPWAY_MODEL_OFFLINE forbids to "
            "download it: fetch it with `python -m slipway_core.package fetch`"
        )

    def unpack_local(self, archive: Path, sha256: str) -> tuple[Path, str]:
        """Return the unpacked folder and the digest of a local archive."""
        digest = file_digest(archive)
        verify(sha256, digest, str(archive))
        folder = self._content(digest)
        if is_unpacked(archive, folder, self.limits):
            return folder, digest
        with self._locked(str(archive), str(archive)) as work:
            if is_unpacked(archive, folder, self.limits):
                return folder, digest
            return self._store(Fetched(archive, ""), digest, work), digest

    def _download(self, source: Source, sha256: str, work: Path) -> tuple[Path, str]:
        log.info("fetching the model", uri=source.shown)
        fetched = source.fetch(work / "download")
        digest = (
            file_digest(fetched.path) if fetched.path.is_file() else folder_digest(fetched.path)
        )
        try:
            verify(sha256, digest, source.shown)
            folder = self._undamaged(digest) if not sha256 else None
            folder = folder or self._store(fetched, digest, work, keeps_archive=bool(sha256))
        except (ModelIntegrityError, ModelInvalid):
            shutil.rmtree(work, ignore_errors=True)
            raise
        self._record(source, fetched.state, digest)
        shutil.rmtree(work, ignore_errors=True)
        log.info("fetched the model", uri=source.shown, digest=digest)
        return folder, digest

    def _store(
        self, fetched: Fetched, digest: str, work: Path, *, keeps_archive: bool = False
    ) -> Path:
        """Move a download to its place in one step, in place of what is there."""
        staging = work / "staging"
        shutil.rmtree(staging, ignore_errors=True)
        if fetched.path.is_file():
            unpack(fetched.path, staging / "content", self.limits)
            if keeps_archive:
                fetched.path.replace(staging / "archive")
        else:
            staging.mkdir(parents=True)
            fetched.path.replace(staging / "content")
            remove_left_out(staging / "content")
        (staging / "tree").write_text(folder_digest(staging / "content"), encoding="ascii")
        home = self._content(digest).parent
        home.parent.mkdir(parents=True, exist_ok=True)
        # What is there is damaged, or cannot be verified. Who serves it goes on: files that are
        # open stay readable.
        shutil.rmtree(home, ignore_errors=True)
        try:
            staging.rename(home)
        except OSError:
            if not home.exists():
                raise
            # Another process has just stored the same package from another URI: use that one.
        return home / "content"

    def _content(self, digest: str) -> Path:
        return self._root / "packages" / digest / "content"

    def _verified(self, sha256: str) -> Path | None:
        """Return the folder of the package with this sha256; None when it is missing or another."""
        folder = self._content(sha256)
        archive = folder.parent / "archive"
        if not folder.parent.exists():
            return None
        if archive.is_file():
            is_valid = is_archive_of(archive, folder, sha256, self.limits)
        else:
            is_valid = is_folder_of(folder, sha256)
        if is_valid:
            return folder
        log.warning(
            "the cached model cannot be verified and will be fetched again", folder=str(folder)
        )
        return None

    def _undamaged(self, digest: str) -> Path | None:
        """Return the folder of a cached package, of which no sha256 is required; None when it is
        missing or was changed.
        """
        folder = self._content(digest)
        try:
            expected = (folder.parent / "tree").read_text(encoding="ascii")
            if digest and folder_digest(folder) == expected:
                return folder
        except FileNotFoundError:
            return None
        except ModelInvalid:
            pass
        log.warning("the cached model is damaged and will be fetched again", folder=str(folder))
        return None

    def _unchanged(self, source: Source) -> tuple[Path, str] | None:
        """Return the cached package of a source; None when the source has changed."""
        state, digest = self._recall(source.identity)
        folder = self._undamaged(digest) if digest else None
        if folder is None:
            return None
        try:
            if not source.is_unchanged(state):
                return None
        except ModelDownloadFailed as error:
            log.warning(
                "using the cached model: its source cannot be reached",
                uri=source.shown,
                cause=error.message,
            )
        return folder, digest

    def _recall(self, identity: str) -> tuple[str, str]:
        """Return the state and digest of the last download from a source; empty without one."""
        try:
            known = json.loads(self._known_path(identity).read_text(encoding="utf-8"))
            return str(known["state"]), str(known["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", ""

    def _record(self, source: Source, state: str, digest: str) -> None:
        path = self._known_path(source.identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".temporary")
        temporary.write_text(json.dumps({"state": state, "digest": digest}), encoding="utf-8")
        temporary.replace(path)

    def _known_path(self, identity: str) -> Path:
        return self._root / "known" / f"{_key(identity)}.json"

    @contextlib.contextmanager
    def _locked(self, identity: str, shown: str) -> Iterator[Path]:
        """Lock one URI for this process and yield its work folder."""
        work = self._root / "work" / _key(identity)
        seconds = self.limits.total_timeout_seconds
        try:
            work.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{work}.lock", timeout=seconds, fallback_to_soft=False)
            with lock:
                yield work
        except Timeout:
            raise ModelDownloadFailed(
                f"another process has been fetching {shown} for over {seconds:g} s: see its log"
            ) from None
        except OSError as error:
            raise ModelDownloadFailed(
                f"the model cache {self._root} cannot be used: {error.strerror or error}; "
                "set SLIPWAY_MODEL_CACHE to a folder with room that can be written"
            ) from error


def verify(sha256: str, digest: str, shown: str) -> None:
    """Check a digest against the expected one; an empty `sha256` accepts any.

    Raises ModelIntegrityError.
    """
    if sha256 and digest != sha256:
        raise ModelIntegrityError(
            f"{shown} has the sha256 {digest}, but {sha256} is required: the package has "
            "changed, or the setting is wrong. "
            f"Set SLIPWAY_MODEL_SHA256={digest} only if you trust it as it is"
        )


def _key(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
