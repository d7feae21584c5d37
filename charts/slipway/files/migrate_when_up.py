"""Wait until PostgreSQL is available, then migrate it.

After PATIENCE_SECONDS it fails, or with PUT_OFF leaves the migration to the end of the upgrade.
"""

import os
import sys
import time

import psycopg

from slipway_core.settings import ServiceSettings
from slipway_core.store.schema import migrate


def connection_error() -> str:
    """Return why PostgreSQL is not available; empty when it is."""
    url = ServiceSettings.load().database_url.get_secret_value()
    if not url:
        return "the Secret with its address does not exist yet"
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return ""


deadline = time.monotonic() + float(os.environ["PATIENCE_SECONDS"])
while error := connection_error():
    print(f"waiting for the database: {error}", flush=True)
    if time.monotonic() > deadline:
        if os.environ["PUT_OFF"] == "true":
            print("the migration is put off to the end of the upgrade", flush=True)
            sys.exit(0)
        sys.exit("the database is not available")
    time.sleep(1)
sys.exit(migrate.main())
