"""Errors of PostgreSQL in the words of users."""

from __future__ import annotations

import psycopg
import pytest

from slipway_core.errors import SchemaMismatch, StoreUnavailable
from slipway_core.store.postgres.database import translate_error
from slipway_core.store.schema.revision import HEAD, describe_mismatch


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (psycopg.errors.DiskFull(), StoreUnavailable, "disk of the database is full"),
        (psycopg.errors.ReadOnlySqlTransaction(), StoreUnavailable, "read-only"),
        (psycopg.errors.TooManyConnections(), StoreUnavailable, "does not answer"),
        (psycopg.errors.CheckViolation(), StoreUnavailable, "no partition"),
        (psycopg.errors.UndefinedTable(), SchemaMismatch, "store.schema.migrate"),
        (psycopg.errors.InsufficientPrivilege(), SchemaMismatch, "as their owner"),
    ],
)
def test_an_error_says_what_to_do(
    error: psycopg.Error, expected: type[StoreUnavailable], words: str
) -> None:
    translated = translate_error(error)
    assert translated is not None
    assert type(translated) is expected
    assert words in translated.message
    assert translated.retryable


def test_an_error_of_a_statement_is_not_translated() -> None:
    assert translate_error(psycopg.errors.UniqueViolation()) is None


@pytest.mark.parametrize(
    ("revision", "words"),
    [(None, "has no tables"), ("0001", "needs " + HEAD), ("9999", "at least as new")],
)
def test_a_mismatch_is_described_with_its_remedy(revision: str | None, words: str) -> None:
    assert words in describe_mismatch(revision)


def test_the_newest_revision_is_no_mismatch() -> None:
    assert describe_mismatch(HEAD) == ""
