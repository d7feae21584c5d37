"""Packages on the Hugging Face hub: hf://organisation/name, optionally with @revision.

Token, endpoint and offline mode are those of the hub's own client (HF_TOKEN, HF_ENDPOINT). Weights
of other frameworks and pickled weights are not downloaded.
"""

from __future__ import annotations

import os
import re
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from slipway_core.errors import (
    ModelAccessDenied,
    ModelAddressInvalid,
    ModelDownloadFailed,
    ModelError,
    ModelInvalid,
    ModelNotFound,
)
from slipway_core.package.address import Address
from slipway_core.package.limits import Limits
from slipway_core.package.sources.connections import keep_encryption
from slipway_core.package.sources.retries import call_with_retries
from slipway_core.package.sources.source import Fetched

IGNORED_FILES = [
    *("*.bin", "*.pth", "*.pkl", "*.ckpt"),
    *("*.h5", "rust_model*", "*.msgpack", "*.onnx", "*.gguf", "*.mlmodel"),
    *("onnx/*", "openvino/*", "coreml/*", ".gitattributes"),
]

_REPOSITORY = re.compile(r"^([\w.-]+/)?[\w.-]+$")


class HubSource:
    """One revision of a model repository, by default its main branch."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self.identity = address.uri
        self.shown = address.shown
        self._repository, _, revision = address.rest.strip("/").partition("@")
        self._revision = revision or "main"
        self._limits = limits
        if not _REPOSITORY.match(self._repository):
            raise ModelAddressInvalid(
                f"the model URI {self.shown} must be hf://organisation/name or "
                "hf://organisation/name@revision"
            )
        self._hub = _client(self.shown)

    def is_unchanged(self, state: str) -> bool:
        """Compare commits."""
        # One attempt with a short timeout: the caller has a cached copy.
        return state == self._query(self._limits.connect_timeout_seconds)[0]

    def fetch(self, work: Path) -> Fetched:
        """Download the files of the revision's current commit."""
        commit, sizes = self._list_files()
        folder = work / commit
        call_with_retries(
            lambda: self._download(commit, sizes, folder),
            progress=lambda: _bytes_below(folder),
            limits=self._limits,
            shown=self.shown,
        )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # metadata of the hub's client
        return Fetched(folder, commit)

    def _list_files(self) -> tuple[str, dict[str, int]]:
        """Return the revision's current commit and the sizes of its files."""
        return call_with_retries(
            lambda: self._query(self._limits.read_timeout_seconds),
            progress=lambda: 0,
            limits=self._limits,
            shown=self.shown,
        )

    def _query(self, timeout_seconds: float) -> tuple[str, dict[str, int]]:
        try:
            info = self._hub.model_info(
                self._repository,
                revision=self._revision,
                files_metadata=True,
                timeout=timeout_seconds,
            )
        except Exception as error:
            raise self._translate(error) from error
        files = [file for file in info.siblings or [] if not _is_ignored(file.rfilename)]
        sizes = {str(file.rfilename): int(file.size or 0) for file in files}
        size = sum(sizes.values())
        if size > self._limits.max_download_bytes or len(sizes) > self._limits.max_files:
            raise ModelInvalid(
                f"{self.shown} has {len(sizes)} files of {size} bytes, "
                "which is more than this service accepts"
            )
        return str(info.sha), sizes

    def _download(self, commit: str, sizes: dict[str, int], folder: Path) -> None:
        try:
            self._hub.snapshot_download(
                self._repository,
                revision=commit,
                local_dir=folder,
                ignore_patterns=IGNORED_FILES,
                etag_timeout=self._limits.connect_timeout_seconds,
            )
        except Exception as error:
            raise self._translate(error) from error
        # When the hub is unreachable, its client accepts whatever the folder holds already.
        for name, size in sizes.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise ModelDownloadFailed(f"{self.shown} was downloaded without {name}")

    def _translate(self, error: Exception) -> ModelError:
        """Return the ModelError for an error of the hub's client."""
        if isinstance(error, ModelError):  # of the hook that checks redirects
            return error
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if type(error).__name__ == "GatedRepoError" or status in (401, 403):
            return ModelAccessDenied(
                f"{self.shown} does not exist or is not open to this service: "
                "check the name, or set HF_TOKEN"
            )
        if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
            return ModelNotFound(f"{self.shown} cannot be read: {reason}")
        return ModelDownloadFailed(f"{self.shown} cannot be read: {reason}")


def _client(shown: str) -> Any:
    try:
        import httpx2
        from huggingface_hub import HfApi, set_client_factory
        from huggingface_hub.utils._http import hf_request_event_hook
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise ModelAddressInvalid(
            "hf:// needs the package huggingface_hub: install slipway-core[hub]"
        ) from None
    disable_progress_bars()
    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    # The hub's client follows some redirects itself, each as a request of its own.
    keep = keep_encryption(shown, is_encrypted=hub.endpoint.startswith("https:"))
    set_client_factory(
        lambda: httpx2.Client(
            event_hooks={"request": [hf_request_event_hook, keep]},
            follow_redirects=True,
            timeout=None,
        )
    )
    return hub


def _is_ignored(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in IGNORED_FILES)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
