"""Secrets in URLs are not shown."""

from __future__ import annotations

import pytest

from slipway_core.observability.redaction import redact_passwords, redact_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:word@host/a/b.zip?signature=s3cret#x", "https://host/a/b.zip"),
        ("https://token@host", "https://host"),
        ("unknown://user:word@host?key=s3cret", "unknown://host"),
        ("hf://organisation/name@main", "hf://organisation/name@main"),
        ("file:///models/mine", "file:///models/mine"),
        ("/models/mine", "/models/mine"),
        ("http://[", "http://["),
    ],
)
def test_secrets_are_removed_from_a_url(url: str, expected: str) -> None:
    assert redact_url(url) == expected


def test_passwords_within_a_text_are_replaced() -> None:
    text = "from postgresql://user:word@host/db to redis://:word@host and back"
    assert redact_passwords(text) == (
        "from postgresql://user:***@host/db to redis://:***@host and back"
    )
