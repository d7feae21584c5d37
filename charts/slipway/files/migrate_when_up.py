"""Wait for PostgreSQL, then run the migrations.

When PostgreSQL has not accepted a connection after PATIENCE_SECONDS, the job fails. With
PUT_OFF=true it succeeds instead, and leaves the migrations to the job at the end of the upgrade.
"""

import os
import sys
import time

import psycopg

from slipway_core.settings import ServiceSettings
from slipway_core.store.schema import migrate


def connection_problem() -> str:
    """Return why the database cannot be reached; empty when it accepts a connection."""
    url = ServiceSettings.load().database_url.get_secret_value()
    if not url:
        return "the Secret with its connection URL does not exist yet"
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return ""


deadline = time.monotonic() + float(os.environ["PATIENCE_SECONDS"])
while problem := connection_problem():
    print(f"waiting for the database: {problem}", flush=True)
    if time.monotonic() > deadline:
        if os.environ["PUT_OFF"] == "true":
            print("the migrations will run at the end of the upgrade", flush=True)
            sys.exit(0)
        sys.exit("the database is unavailable: see the messages above")
    time.sleep(1)
sys.exit(migrate.main())
