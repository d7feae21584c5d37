"""Packages at http(s):// URLs: one archive, with resumable download."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import structlog
from socksio import SOCKSError

from slipway_core.errors import ModelAccessDenied, ModelDownloadFailed, ModelInvalid, ModelNotFound
from slipway_core.package.address import Address
from slipway_core.package.limits import Limits
from slipway_core.package.sources.connections import make_client
from slipway_core.package.sources.partial_file import PartialFile
from slipway_core.package.sources.retries import call_with_retries
from slipway_core.package.sources.source import Fetched

PROGRESS_EVERY_SECONDS = 5.0
RETRYABLE_STATUSES = frozenset({408, 425, 429})

_CONTENT_RANGE = re.compile(r"^bytes (\d+)-\d+/(\d+|\*)$")

log = structlog.get_logger("slipway.package")


class HttpSource:
    """An archive at a URL. User and password in the URL are sent as basic authentication."""

    def __init__(self, address: Address, limits: Limits) -> None:
        if not urlsplit(address.uri).hostname:
            raise ModelNotFound(f"the model URI {address.shown} names no host")
        self.identity = address.uri
        self.shown = address.shown
        self._limits = limits

    def is_unchanged(self, state: str) -> bool:
        """Send a conditional request. Without an ETag or date the archive counts as unchanged."""
        if not state:
            return True
        header = "If-Modified-Since" if state.endswith("GMT") else "If-None-Match"
        try:
            with (
                self._client() as client,
                client.stream("GET", self.identity, headers={header: state}) as response,
            ):
                if response.status_code == 304:
                    return True
                self._check(response)
                return _state_of(response) == state
        except (httpx2.HTTPError, SOCKSError) as error:
            raise self._failed(error) from error

    def fetch(self, work: Path) -> Fetched:
        """Download the archive. An earlier download resumes if the content is unchanged."""
        self._client().close()  # raises, before any retry, for a proxy that cannot be used
        part = PartialFile(work, "archive")
        return call_with_retries(
            lambda: self._attempt(part), progress=part.size, limits=self._limits, shown=self.shown
        )

    def _client(self) -> httpx2.Client:
        return make_client(self.shown, self._limits)

    def _attempt(self, part: PartialFile) -> Fetched:
        try:
            return self._download(part)
        except (httpx2.HTTPError, SOCKSError) as error:
            raise self._failed(error) from error

    def _download(self, part: PartialFile) -> Fetched:
        offset, state = part.size(), part.state()
        headers = {"Range": f"bytes={offset}-", "If-Range": state} if offset and state else {}
        with (
            self._client() as client,
            client.stream("GET", self.identity, headers=headers) as response,
        ):
            if response.status_code == 416:
                part.restart("")
                raise ModelDownloadFailed(f"{self.shown} has become shorter during the download")
            self._check(response)
            total = self._begin(part, response, offset)
            if total is not None and total > self._limits.max_download_bytes:
                raise self._too_large()
            self._receive(part, response, total)
        size = part.size()
        if total is not None and size != total:
            if size > total:
                part.restart("")
            raise ModelDownloadFailed(
                f"the download of {self.shown} broke off at {size} of {total} bytes"
            )
        return Fetched(part.path, part.state())

    def _begin(self, part: PartialFile, response: httpx2.Response, offset: int) -> int | None:
        """Prepare the part for the body that follows; return the total size, if known."""
        if response.status_code == 206:
            place = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            if place is None or int(place[1]) != offset:
                part.restart("")
                raise ModelDownloadFailed(
                    f"{self.shown} answered with another range than the requested one"
                )
            return None if place[2] == "*" else int(place[2])
        part.restart(_state_of(response))
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None

    def _receive(self, part: PartialFile, response: httpx2.Response, total: int | None) -> None:
        deadline = time.monotonic() + self._limits.total_timeout_seconds
        reported = time.monotonic()
        size = part.size()
        with part.path.open("ab") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                size += len(chunk)
                now = time.monotonic()
                if size > self._limits.max_download_bytes:
                    raise self._too_large()
                if now > deadline:
                    seconds = self._limits.total_timeout_seconds
                    raise ModelDownloadFailed(
                        f"the download of {self.shown} took over {seconds:g} s"
                    )
                if now - reported > PROGRESS_EVERY_SECONDS:
                    reported = now
                    log.info("downloading the model", uri=self.shown, bytes=size, total_bytes=total)

    def _check(self, response: httpx2.Response) -> None:
        """Raise the error of a failed response."""
        status = response.status_code
        if status in (200, 206):
            return
        if status in (401, 403):
            raise ModelAccessDenied(
                f"{self.shown} answered {status}: it needs credentials or a signed URL"
            )
        if 400 <= status < 500 and status not in RETRYABLE_STATUSES:
            raise ModelNotFound(f"{self.shown} answered {status}: check the URL")
        raise ModelDownloadFailed(f"{self.shown} answered {status}")

    def _failed(self, error: Exception) -> ModelDownloadFailed:
        return ModelDownloadFailed(f"{self.shown} cannot be read: {type(error).__name__}: {error}")

    def _too_large(self) -> ModelInvalid:
        limit = self._limits.max_download_bytes
        return ModelInvalid(
            f"{self.shown} is larger than the {limit} bytes that this service accepts"
        )


def _state_of(response: httpx2.Response) -> str:
    """Return a validator for If-Range: a strong ETag, else the date of the last change."""
    etag: str = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    date: str = response.headers.get("Last-Modified", "")
    return date
