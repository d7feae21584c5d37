"""The latest revision of the schema, and the imports of the store."""

from __future__ import annotations

import subprocess
import sys

from alembic.config import Config
from alembic.script import ScriptDirectory

from slipway_core.store.schema import migrate


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "slipway_core.store.schema:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_importing_the_store_imports_neither_sqlalchemy_nor_alembic() -> None:
    code = (
        "import sys, slipway_core.store.schema.migrate, slipway_core.store.jobs;"
        "print([n for n in ('sqlalchemy', 'alembic', 'torch', 'arq') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
