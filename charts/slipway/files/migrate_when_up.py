"""Wait until PostgreSQL answers, then migrate it.

After PATIENCE_SECONDS without an answer it fails, or with PUT_OFF leaves the work to a later run.
"""

import os
import sys
import time

import psycopg

from slipway_core.settings import ServiceSettings
from slipway_core.store.schema import migrate


def fault() -> str:
    """Why the database cannot be had; empty when it answers."""
    address = ServiceSettings.load().database_url.get_secret_value()
    if not address:
        return "its address is not there yet"
    try:
        psycopg.connect(address, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return ""


deadline = time.monotonic() + float(os.environ["PATIENCE_SECONDS"])
while found := fault():
    print(f"waiting for the database: {found}", flush=True)
    if time.monotonic() > deadline:
        if os.environ["PUT_OFF"] == "true":
            print("it is migrated at the end of the upgrade", flush=True)
            sys.exit(0)
        sys.exit("the database does not answer")
    time.sleep(1)
sys.exit(migrate.main())
