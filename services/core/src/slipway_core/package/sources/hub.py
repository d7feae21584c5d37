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
from slipway_core.package.sources.retries import with_retries
from slipway_core.package.sources.source import Fetched

LEFT_ON_THE_HUB = [
    *("*.bin", "*.pth", "*.pkl", "*.ckpt"),
    *("*.h5", "rust_model*", "*.msgpack", "*.onnx", "*.gguf", "*.mlmodel"),
    *("onnx/*", "openvino/*", "coreml/*", ".gitattributes"),
]

_REPOSITORY = re.compile(r"^([\w.-]+/)?[\w.-]+$")


class HubSource:
    """One revision of a model repository; without a revision, its main branch."""

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
        self._hub = _client()

    def is_still(self, state: str) -> bool:
        """Compares commits."""
        # Asked once and not for long: the caller has a copy to go on with.
        return state == self._ask(self._limits.connect_timeout_seconds)[0]

    def fetch(self, work: Path) -> Fetched:
        """The files of the commit that the revision stands for."""
        commit, sizes = self._listing()
        folder = work / commit
        with_retries(
            lambda: self._download(commit, sizes, folder),
            progress=lambda: _bytes_below(folder),
            limits=self._limits,
            shown=self.shown,
        )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub client's notes
        return Fetched(folder, commit)

    def _listing(self) -> tuple[str, dict[str, int]]:
        """The commit that the revision stands for, and the sizes of its files."""
        return with_retries(
            lambda: self._ask(self._limits.read_timeout_seconds),
            progress=lambda: 0,
            limits=self._limits,
            shown=self.shown,
        )

    def _ask(self, timeout_seconds: float) -> tuple[str, dict[str, int]]:
        try:
            info = self._hub.model_info(
                self._repository,
                revision=self._revision,
                files_metadata=True,
                timeout=timeout_seconds,
            )
        except Exception as error:
            raise self._translated(error) from error
        files = [file for file in info.siblings or [] if not _is_left(file.rfilename)]
        sizes = {str(file.rfilename): int(file.size or 0) for file in files}
        size = sum(sizes.values())
        if size > self._limits.download_bytes or len(sizes) > self._limits.files:
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
                ignore_patterns=LEFT_ON_THE_HUB,
                etag_timeout=self._limits.connect_timeout_seconds,
            )
        except Exception as error:
            raise self._translated(error) from error
        # When the hub is away its client is content with whatever the folder holds already.
        for name, size in sizes.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise ModelDownloadFailed(f"{self.shown} was downloaded without {name}")

    def _translated(self, error: Exception) -> ModelError:
        """The hub client's error in Slipway's words."""
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


def _client() -> Any:
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise ModelAddressInvalid(
            "hf:// needs the package huggingface_hub: install slipway-core[hub]"
        ) from None
    disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


def _is_left(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in LEFT_ON_THE_HUB)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
