"""Preparation of Slipway's roles in a PostgreSQL whose superuser Slipway controls.

In the chart, `psql` runs the same files inside the pod of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Connection = psycopg.Connection[tuple[Any, ...]]

SUPERUSER = "postgres"
OWNER = "slipway_owner"
APPLICATION = "slipway"
READER = "slipway_reader"
_RENAMING = "slipway_renaming"


def prepare_roles(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Create the roles, hand tables over to their owner, and set the passwords. May be repeated.

    superuser_url: the address of Slipway's database as the role SUPERUSER. passwords: by the name
    of the role. Raises psycopg.Error.
    """
    with _connect_as_superuser(superuser_url) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(_RENAMING)))
        connection.execute(read_sql("roles"))
        connection.execute(read_sql("grants"))
        for role, password in passwords.items():
            _set_password(connection, role, password)


def read_sql(name: str) -> bytes:
    """Return the statements of `roles.sql` or `grants.sql`."""
    return (files("slipway_core.store.schema") / f"{name}.sql").read_bytes()


def _connect_as_superuser(url: str) -> Connection:
    try:
        return psycopg.connect(url)
    except psycopg.OperationalError:
        _rename_superuser(url)
    return psycopg.connect(url)


def _rename_superuser(url: str) -> None:
    """Rename the superuser that earlier releases named `slipway`, and that services connected as.

    PostgreSQL lets the first superuser of a cluster neither give up its rights nor rename itself.
    """
    password = str(conninfo_to_dict(url)["password"])
    with psycopg.connect(make_conninfo(url, user=APPLICATION)) as connection:
        renaming, superuser = sql.Identifier(_RENAMING), sql.Identifier(SUPERUSER)
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(renaming))
        connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(renaming))
        _set_password(connection, _RENAMING, password)
    with psycopg.connect(make_conninfo(url, user=_RENAMING)) as connection:
        rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
        connection.execute(rename.format(sql.Identifier(APPLICATION), superuser))


def _set_password(connection: Connection, role: str, password: str) -> None:
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
    connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
