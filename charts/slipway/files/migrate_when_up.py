"""Wait for PostgreSQL, then run the migrations.

When PostgreSQL has not accepted a connection after PATIENCE_SECONDS, the job fails. With
PUT_OFF=true it succeeds instead, and leaves the migrations to the job at the end of the upgrade.
"""

import os
import sys
import time
from pathlib import Path

import psycopg

from slipway_core.settings import ServiceSettings
from slipway_core.store.schema import migrate

OWNER = "/run/secrets/owner"
APPLICATION = "/run/secrets/application"
"""Only the job before an upgrade has it. In releases before roles, this one owned the tables."""
PUT_OFF = os.environ["PUT_OFF"] == "true"


def connection_problem() -> str:
    """Return why the database cannot be reached; empty when it accepts a connection."""
    folders = [each for each in (OWNER, APPLICATION) if Path(each, "slipway_database_url").exists()]
    if not folders:
        return "the Secret with its connection URL does not exist yet"
    os.environ["SLIPWAY_SECRETS_DIR"] = folders[0]
    try:
        url = ServiceSettings.load().database_url.get_secret_value()
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return ""


def put_off() -> None:
    """End with success, and leave the migrations to the other job."""
    print("the migrations will run at the end of the upgrade", flush=True)
    sys.exit(0)


deadline = time.monotonic() + float(os.environ["PATIENCE_SECONDS"])
while problem := connection_problem():
    print(f"waiting for the database: {problem}", flush=True)
    if time.monotonic() > deadline:
        if PUT_OFF:
            put_off()
        sys.exit("the database is unavailable: see the messages above")
    time.sleep(1)
status = migrate.main()
if status and PUT_OFF and os.environ["SLIPWAY_SECRETS_DIR"] == APPLICATION:
    put_off()  # the Secret of the owner was deleted, to get a new one
sys.exit(status)
