-- Slipway's roles in PostgreSQL:
--   slipway_owner   owns the tables; the migrations connect as it
--   slipway         reads and writes rows; the services connect as it
--   slipway_reader  reads rows, for dashboards and people
-- Run this, and then grants.sql, in Slipway's database as a superuser, or as a role with CREATEROLE
-- and CREATEDB that is a member of the database's owner. Both may be repeated. Tables and functions
-- of an installation that had one role for everything are handed over to the owner. Passwords are
-- left to the caller.

DO $roles$
DECLARE
    role_name text;
    relation regclass;
    routine regprocedure;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['slipway_owner', 'slipway', 'slipway_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
    END LOOP;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        GRANT slipway_owner TO CURRENT_USER;
    END IF;
    -- A mistake of a reader costs the database little.
    ALTER ROLE slipway_reader SET default_transaction_read_only = on;
    ALTER ROLE slipway_reader SET statement_timeout = '60s';

    IF NOT EXISTS (
        SELECT FROM pg_database
         WHERE datname = current_database() AND datdba = 'slipway_owner'::regrole
    ) THEN
        EXECUTE format('ALTER DATABASE %I OWNER TO slipway_owner', current_database());
    END IF;
    EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO slipway, slipway_reader', current_database()
    );
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO slipway_owner', current_schema());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());

    FOR relation IN
        WITH parents AS (
            SELECT oid FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace
               AND relname IN (
                   'alembic_version', 'predictions', 'batch_jobs', 'batch_chunks', 'batch_items',
                   'batch_results'
               )
        )
        SELECT oid FROM pg_class
         WHERE relowner <> 'slipway_owner'::regrole
           AND relkind IN ('r', 'p')
           AND oid IN (SELECT oid FROM parents UNION SELECT inhrelid FROM pg_inherits
                        WHERE inhparent IN (SELECT oid FROM parents))
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO slipway_owner', relation);
    END LOOP;
    FOR routine IN
        SELECT oid FROM pg_proc
         WHERE pronamespace = current_schema()::regnamespace
           AND proname IN ('slipway_create_partitions', 'slipway_drop_partitions')
           AND proowner <> 'slipway_owner'::regrole
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO slipway_owner', routine);
    END LOOP;
END
$roles$;
