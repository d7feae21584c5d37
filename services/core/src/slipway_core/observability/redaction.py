"""Removal of secrets from what people read: log lines, settings and error messages."""

from __future__ import annotations

import re

_PASSWORD_IN_URL = re.compile(r"(://[^/\s:@\"]*:)[^@/\s\"]+@")
_QUERY_OR_FRAGMENT = re.compile(r"[?#]")


def redact_url(url: str) -> str:
    """Return `url` without user, password, query and fragment, any of which may be a secret."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    location = _QUERY_OR_FRAGMENT.split(rest, maxsplit=1)[0]
    authority, slash, path = location.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def redact_passwords(text: str) -> str:
    """Return `text` with the password of every URL in it replaced by `***`."""
    return _PASSWORD_IN_URL.sub(r"\1***@", text) if "://" in text else text
