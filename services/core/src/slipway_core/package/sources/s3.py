"""Packages in S3-compatible storage: one archive, or every object below a prefix.

Credentials, region and endpoint come from the usual places (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
roles). Without credentials the bucket is read anonymously.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from slipway_core.errors import (
    ModelAccessDenied,
    ModelAddressInvalid,
    ModelDownloadFailed,
    ModelInvalid,
    ModelNotFound,
)
from slipway_core.package.address import Address
from slipway_core.package.file_names import member_path
from slipway_core.package.limits import Limits
from slipway_core.package.sources.partial_file import PartialFile
from slipway_core.package.sources.retries import call_with_retries
from slipway_core.package.sources.source import Fetched

BLOCK_BYTES = 16 * 1024 * 1024
T = TypeVar("T")


class S3Source:
    """An object, or all objects below a prefix, of a bucket."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self.identity = address.uri
        self.shown = address.shown
        self._path = address.rest.strip("/")
        self._limits = limits
        self._files = _file_system(limits)

    def is_unchanged(self, state: str) -> bool:
        """Compare the ETags and sizes of all objects."""
        with self._connected():
            # One attempt: the caller has a cached copy.
            return _state_of(self._translate_errors(self._list)) == state

    def fetch(self, work: Path) -> Fetched:
        """Download the archive, or every object below the prefix into a folder."""
        with self._connected():
            return self._fetch(work)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Close the connections at the end.

        Left to the garbage collector, s3fs waits a tenth of a second and leaves them open.
        """
        from fsspec.asyn import sync

        try:
            yield
        finally:
            creator = getattr(self._files, "_s3creator", None)
            if creator is not None:
                self._files._s3 = None  # so that the next request connects anew
                with suppress(Exception):  # the download is complete
                    sync(self._files.loop, creator.__aexit__, None, None, None, timeout=5)

    def _fetch(self, work: Path) -> Fetched:
        objects = self._retry(self._list)
        state = _state_of(objects)
        total = sum(int(entry["size"]) for entry in objects)
        if total > self._limits.max_download_bytes or len(objects) > self._limits.max_files:
            raise ModelInvalid(
                f"{self.shown} has {len(objects)} objects of {total} bytes, "
                "which is more than this service accepts"
            )
        if len(objects) == 1 and objects[0]["name"] == self._path:
            return Fetched(self._download(objects[0], work, "archive"), state)
        marker, folder = PartialFile(work, "listing"), work / "folder"
        if marker.state() != state:
            shutil.rmtree(folder, ignore_errors=True)
            marker.restart(state)
        for entry in objects:
            self._download_below(entry, work, folder)
        return Fetched(folder, state)

    def _download_below(self, entry: dict[str, Any], work: Path, folder: Path) -> None:
        relative = entry["name"].removeprefix(f"{self._path}/")
        target = folder / member_path(relative)
        if not target.exists():
            part = self._download(entry, work, hashlib.sha256(relative.encode()).hexdigest()[:32])
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)

    def _download(self, entry: dict[str, Any], work: Path, name: str) -> Path:
        part = PartialFile(work, name)
        if part.state() != str(entry["ETag"]):
            part.restart(str(entry["ETag"]))
        call_with_retries(
            lambda: self._read(entry, part),
            progress=part.size,
            limits=self._limits,
            shown=self.shown,
        )
        if self._retry(lambda: self._files.info(entry["name"]))["ETag"] != entry["ETag"]:
            part.restart("")
            raise ModelDownloadFailed(f"{self.shown} changed during the download")
        return part.path

    def _read(self, entry: dict[str, Any], part: PartialFile) -> None:
        size = int(entry["size"])
        with part.path.open("ab") as file:
            while (start := file.tell()) < size:
                end = min(start + BLOCK_BYTES, size)
                read = partial(self._files.cat_file, entry["name"], start=start, end=end)
                block: bytes = self._translate_errors(read)
                if len(block) != end - start:
                    raise ModelDownloadFailed(
                        f"{self.shown} returned {len(block)} bytes instead of {end - start}"
                    )
                file.write(block)
                file.flush()

    def _list(self) -> list[dict[str, Any]]:
        """List the object of this name, or all below it, sorted by name.

        Raises FileNotFoundError when there are none.
        """
        try:
            info = self._files.info(self._path)
            if info["type"] == "file":
                return [info]
        except FileNotFoundError:
            pass
        entries = self._files.find(self._path, detail=True).values()
        objects = [entry for entry in entries if not entry["name"].endswith("/")]
        if not objects:
            raise FileNotFoundError(self._path)
        return sorted(objects, key=lambda entry: str(entry["name"]))

    def _retry(self, call: Callable[[], T]) -> T:
        return call_with_retries(
            lambda: self._translate_errors(call),
            progress=lambda: 0,
            limits=self._limits,
            shown=self.shown,
        )

    def _translate_errors(self, call: Callable[[], T]) -> T:
        """Return the result of the call, or raise the ModelError for its error."""
        try:
            return call()
        except FileNotFoundError:
            raise ModelNotFound(f"{self.shown} does not exist: check bucket and key") from None
        except PermissionError as error:
            raise ModelAccessDenied(f"{self.shown} cannot be read: {error}") from error
        except (OSError, TimeoutError) as error:
            raise ModelDownloadFailed(f"{self.shown} cannot be read: {error}") from error
        except Exception as error:  # botocore's errors have no useful common base
            reason = f"{type(error).__name__}: {error}"
            raise ModelDownloadFailed(f"{self.shown} cannot be read: {reason}") from error


def _state_of(objects: list[dict[str, Any]]) -> str:
    lines = [f"{entry['name']} {entry['size']} {entry['ETag']}\n" for entry in objects]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_system(limits: Limits) -> Any:
    try:
        import botocore.session
        import fsspec
        import s3fs  # noqa: F401
    except ImportError:
        raise ModelAddressInvalid(
            "s3:// needs the packages fsspec and s3fs: install slipway-core[s3]"
        ) from None
    has_credentials = botocore.session.get_session().get_credentials() is not None
    return fsspec.filesystem(
        "s3",
        anon=not has_credentials,
        skip_instance_cache=True,
        use_listings_cache=False,
        config_kwargs={
            "connect_timeout": limits.connect_timeout_seconds,
            "read_timeout": limits.read_timeout_seconds,
            "retries": {"max_attempts": 1},
        },
    )
