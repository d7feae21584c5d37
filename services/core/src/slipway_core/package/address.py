"""The URIs of model packages."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from slipway_core.errors import ModelAddressInvalid
from slipway_core.observability.redaction import redact_url

SCHEMES = ("file", "pvc", "http", "https", "s3", "hf", "package")
PVC_ROOT_VARIABLE = "SLIPWAY_PVC_ROOT"
DEFAULT_PVC_ROOT = "/pvc"

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*)://(.*)$", re.DOTALL)
_ARCHIVE_SUFFIX = re.compile(r"(\.tar\.gz|\.tgz|\.zip)$", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """A parsed model URI. `rest` is the part after `scheme://`."""

    uri: str
    scheme: str
    rest: str

    @property
    def shown(self) -> str:
        """The URI for logs and messages: without user, password and query, which may be secrets."""
        return redact_url(self.uri) if self.scheme in ("http", "https") else self.uri

    def local_path(self) -> Path:
        """Return the path of a file:// or pvc:// URI."""
        path = unquote(self.rest)
        if self.scheme == "pvc":
            root = os.environ.get(PVC_ROOT_VARIABLE) or DEFAULT_PVC_ROOT
            return Path(root, path.lstrip("/"))
        return Path(path).expanduser().absolute()

    def suggested_name(self) -> str:
        """Return a model name made of the last part of the URI, for packages without a name."""
        path = urlsplit(self.uri).path if self.scheme in ("http", "https") else self.rest
        if self.scheme == "hf":
            path = path.partition("@")[0]  # a revision may contain slashes: refs/pr/1
        last = PurePosixPath(unquote(path).rstrip("/")).name.partition("@")[0]
        plain = re.sub(r"[^a-z0-9._-]+", "-", _ARCHIVE_SUFFIX.sub("", last).lower())
        return plain[:63].strip("._-") or "model"


def parse_address(uri: str) -> Address:
    """Parse a model URI. A plain path counts as file://. Raises ModelAddressInvalid."""
    text = uri.strip()
    if not text or "\0" in text or len(text) > 4096:
        raise ModelAddressInvalid(
            "the model URI is empty or too long: give one such as file:///models/mine"
        )
    match = _SCHEME.match(text)
    if match is None:
        return Address(text, "file", text)
    scheme, rest = match[1].lower(), match[2]
    address = Address(text, scheme, rest)
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise ModelAddressInvalid(f"`{scheme}://` is not a kind of model URI; there are {known}")
    if not rest.strip("/"):
        raise ModelAddressInvalid(
            f"the model URI {address.shown} names nothing after `{scheme}://`"
        )
    if scheme == "file":
        return _file_address(address)
    if scheme in ("pvc", "package") and ".." in PurePosixPath(unquote(rest)).parts:
        raise ModelAddressInvalid(f"the model URI {uri} must not contain `..`")
    return address


def _file_address(address: Address) -> Address:
    if address.rest.startswith("localhost/"):
        return Address(address.uri, "file", address.rest.removeprefix("localhost"))
    if not address.rest.startswith("/"):
        raise ModelAddressInvalid(
            f"the model URI {address.uri} must have an absolute path: file:///models/mine"
        )
    return address
