"""Functions that create and drop monthly partitions.

They run with the rights of the tables' owner, so that the services, which call them, need no rights
to change the schema. The functions that take a time are for the owner alone: with them, anyone
could create any number of partitions, or drop young ones.
"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A partition is created detached and then attached, which does not lock the table. One that cannot
# be locked in time is retried by a later call.
#
# No query selects by a payload, and its statistics would take a second or more whenever a partition
# has grown by a tenth, which is when the load is highest. The log is read by its keys, so few
# samples are enough; by default there are 30,000, each of which reads a page.
_FUNCTIONS = """
CREATE FUNCTION slipway_create_partitions(at timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
SET lock_timeout = '2s'
AS $function$
DECLARE
    parent text;
    partition text;
    statistics text;
    bounds text[];
    months timestamptz[];
    attribute name;
BEGIN
    FOREACH parent IN ARRAY ARRAY['predictions', 'batch_items', 'batch_results'] LOOP
        FOR ahead IN 0..3 LOOP
            months := ARRAY[
                date_trunc('month', at, 'UTC') + make_interval(months => ahead),
                date_trunc('month', at, 'UTC') + make_interval(months => ahead + 1)
            ];
            partition := parent || to_char(months[1], '_YYYY_MM');
            CONTINUE WHEN to_regclass(format('%I.%I', current_schema(), partition)) IS NOT NULL;
            IF parent = 'predictions' THEN
                bounds := months::text[];
            ELSE
                -- The smallest UUIDs of version 7 of these moments.
                bounds := ARRAY(
                    SELECT lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0')
                           || '70008000000000000000'
                      FROM unnest(months) AS month
                );
            END IF;
            EXECUTE format(
                'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                partition, parent
            );
            FOR attribute, statistics IN
                SELECT attname,
                       CASE WHEN attname IN ('input', 'prediction', 'embedding') THEN '0'
                            WHEN parent = 'predictions' THEN '10' END
                  FROM pg_attribute
                 WHERE attrelid = partition::regclass AND attnum > 0
            LOOP
                CONTINUE WHEN statistics IS NULL;
                EXECUTE format(
                    'ALTER TABLE %I ALTER COLUMN %I SET STATISTICS %s',
                    partition, attribute, statistics
                );
            END LOOP;
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, partition, bounds[1], bounds[2]
            );
        END LOOP;
    END LOOP;
END
$function$;

CREATE FUNCTION slipway_drop_partitions(at timestamptz, retention interval) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = {schema}, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $function$
DECLARE
    partition text;
BEGIN
    FOR partition IN
        SELECT child.relname
          FROM pg_inherits
          JOIN pg_class child ON child.oid = inhrelid
          JOIN pg_class parent ON parent.oid = inhparent
         WHERE parent.relname IN ('predictions', 'batch_items', 'batch_results')
           AND parent.relnamespace = current_schema()::regnamespace
           AND child.relname::text COLLATE "C"
               < parent.relname || to_char(at - retention, '_YYYY_MM')
         ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        RETURN NEXT partition;
    END LOOP;
END
$function$;

CREATE FUNCTION slipway_create_partitions() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp
AS 'SELECT slipway_create_partitions(now())';

CREATE FUNCTION slipway_drop_partitions(retention interval) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp
AS 'SELECT slipway_drop_partitions(now(), greatest(retention, interval ''1 day''))';

REVOKE ALL ON FUNCTION
    slipway_create_partitions(timestamptz), slipway_drop_partitions(timestamptz, interval),
    slipway_create_partitions(), slipway_drop_partitions(interval)
FROM PUBLIC;
"""


def upgrade() -> None:
    schema = op.get_bind().execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    op.execute(_FUNCTIONS.replace("{schema}", schema))


def downgrade() -> None:
    op.execute(
        "DROP FUNCTION slipway_create_partitions(), slipway_drop_partitions(interval),"
        " slipway_create_partitions(timestamptz), slipway_drop_partitions(timestamptz, interval)"
    )
