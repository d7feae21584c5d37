"""Wait until PostgreSQL answers, then migrate it. The job's own deadline bounds the wait."""

import time

import psycopg

from slipway_core.settings import ServiceSettings
from slipway_core.store import migrate

while True:
    try:
        address = ServiceSettings.load().database_url.get_secret_value()
        psycopg.connect(address, connect_timeout=5).close()
        break
    except psycopg.OperationalError as error:
        print(f"waiting for the database: {str(error).strip()}", flush=True)
        time.sleep(1)
raise SystemExit(migrate.main())
