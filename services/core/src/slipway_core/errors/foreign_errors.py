"""Describes errors of code that is not Slipway's, whatever they do when asked for their text."""

from __future__ import annotations


def describe_error(error: BaseException) -> str:
    """Return `NameError: ...`."""
    kind = writable(type(error).__name__)
    try:
        return f"{kind}: {writable(str(error))}"
    except BaseException as other:
        return f"{kind}, whose text cannot be read: {writable(type(other).__name__)}"


def writable(text: str) -> str:
    """Return the text with escapes for lone surrogates, which UTF-8 cannot carry."""
    return str.encode(text, "utf-8", "backslashreplace").decode()
