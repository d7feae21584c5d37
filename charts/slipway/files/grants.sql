-- What the roles `slipway` and `slipway_reader` may do in the current schema, if they exist. Each
-- migration ends with this, as the owner of the tables.

DO $grants$
DECLARE
    grantee text;
    relation text;
    routine text;
BEGIN
    FOR grantee IN
        SELECT rolname FROM pg_roles WHERE rolname IN ('slipway', 'slipway_reader')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), grantee);
        FOREACH relation IN ARRAY ARRAY[
            'alembic_version', 'predictions', 'batch_jobs', 'batch_chunks', 'batch_items',
            'batch_results'
        ] LOOP
            CONTINUE WHEN to_regclass(relation) IS NULL;
            EXECUTE format(
                'GRANT %s ON %I TO %I',
                CASE WHEN grantee = 'slipway' AND relation <> 'alembic_version'
                     THEN 'SELECT, INSERT, UPDATE, DELETE' ELSE 'SELECT' END,
                relation,
                grantee
            );
        END LOOP;
        CONTINUE WHEN grantee <> 'slipway';
        FOREACH routine IN ARRAY ARRAY[
            'slipway_create_partitions()', 'slipway_drop_partitions(interval)'
        ] LOOP
            CONTINUE WHEN to_regprocedure(routine) IS NULL;
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO slipway', routine);
        END LOOP;
    END LOOP;
END
$grants$;
