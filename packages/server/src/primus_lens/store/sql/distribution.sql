-- name: distribute
-- On a Citus coordinator: every table that knows workloads is spread by workload_uid, next to each
-- other; pods, which are looked up by their own names, are on every node; the others stay here.
DO $$
DECLARE
    name TEXT;
    first TEXT := 'training_performance';
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RETURN;
    END IF;
    FOR name IN
        SELECT relname FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace AND nspname = 'public'
        JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'workload_uid'
        WHERE relkind = 'r' AND relname <> 'pod_cache'
          AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = pg_class.oid)
        ORDER BY relname <> first, relname
    LOOP
        EXECUTE format('SELECT create_distributed_table(%L, %L, colocate_with => %L)', name,
                       'workload_uid', CASE WHEN name = first THEN 'none' ELSE first END);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'pod_cache'::regclass) THEN
        EXECUTE format('SELECT create_reference_table(%L)', 'pod_cache');
    END IF;
    FOR name IN
        SELECT pg_proc.oid::regprocedure::text FROM pg_proc
        JOIN pg_namespace ON pg_namespace.oid = pronamespace AND nspname = 'public'
        WHERE proname LIKE 'lens\_%' AND prokind = 'f'
    LOOP
        EXECUTE format('SELECT create_distributed_function(%L)', name);
    END LOOP;
END
$$;
