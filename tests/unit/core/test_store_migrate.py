"""The latest revision of the schema, and the imports of the store."""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory
from tests.fixtures.imports import imported_with

from slipway_core.store.schema import revision


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "slipway_core.store.schema:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [revision.HEAD]


def test_importing_the_store_imports_neither_sqlalchemy_nor_alembic() -> None:
    store = "slipway_core.store.schema.migrate, slipway_core.store.jobs"
    assert imported_with(store, "sqlalchemy", "alembic", "torch", "arq") == set()
