-- name: ranges_after
-- The ranges of a workload, or of all with '', in order from ($2, $3, $4, $5) on; at most $6.
SELECT workload_uid, data_source, serial, first_step, last_step, axis_id FROM chunk_axis
WHERE ($1 = '' OR workload_uid = $1)
  AND (workload_uid, data_source, serial, first_step)
      > ($2::text, $3::text, $4::int, $5::bigint)
ORDER BY workload_uid, data_source, serial, first_step LIMIT $6;

-- name: range_as_it_is
-- A range with its axis.
SELECT steps_stored, built = version AS built, rows_dropped, steps, times FROM chunk_axis
WHERE workload_uid = $1 AND axis_id = $2;

-- name: holes
-- Ranges that do not follow one another from step 0 to what is sealed.
SELECT workload_uid, data_source, serial, first_step, expected FROM (
    SELECT workload_uid, data_source, serial, first_step,
           coalesce(lag(last_step) OVER (PARTITION BY workload_uid, data_source, serial
                                         ORDER BY first_step) + 1, 0) AS expected
    FROM chunk_axis WHERE $1 = '' OR workload_uid = $1
    UNION ALL
    SELECT workload_uid, data_source, serial, sealed_step + 1,
           coalesce((SELECT max(last_step) + 1 FROM chunk_axis AS axis
                     WHERE axis.workload_uid = run_last.workload_uid
                       AND axis.data_source = run_last.data_source
                       AND axis.serial = run_last.serial), 0)
    FROM run_last WHERE $1 = '' OR workload_uid = $1
) AS laid_out
WHERE first_step <> expected ORDER BY 1, 2, 3, 4 LIMIT 1000;

-- name: lost_chunks
-- Chunks without a range, and how many of each workload.
SELECT workload_uid, count(*) AS chunks FROM metrics_storage AS chunk
WHERE ($1 = '' OR workload_uid = $1) AND NOT EXISTS (
    SELECT FROM chunk_axis AS axis
    WHERE axis.workload_uid = chunk.workload_uid AND axis.axis_id = chunk.axis_id)
GROUP BY workload_uid ORDER BY workload_uid LIMIT 1000;

-- name: delete_lost_chunks
-- Chunks without a range go: nothing reads them.
DELETE FROM metrics_storage AS chunk
WHERE workload_uid = $1 AND NOT EXISTS (
    SELECT FROM chunk_axis AS axis
    WHERE axis.workload_uid = chunk.workload_uid AND axis.axis_id = chunk.axis_id);

-- name: lost_runs
-- Newest values of runs that are not there.
SELECT workload_uid, data_source, serial FROM run_last
WHERE ($1 = '' OR workload_uid = $1) AND NOT EXISTS (
    SELECT FROM training_run AS run
    WHERE run.workload_uid = run_last.workload_uid AND run.serial = run_last.serial)
ORDER BY 1, 2, 3 LIMIT 1000;

-- name: mark_damaged
-- A range is to be built again, where its rows are there.
UPDATE chunk_axis SET version = version + 1, changed_at = to_timestamp(0)
WHERE workload_uid = $1 AND axis_id = $2 AND NOT rows_dropped AND built = version;

-- name: workloads_with_runs
-- Every workload that has points.
SELECT DISTINCT workload_uid FROM run_last ORDER BY workload_uid;

-- name: is_empty
-- Whether the database holds no table yet.
SELECT NOT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                   WHERE relkind IN ('r', 'p') AND nspname = 'public');

-- name: table_sizes
-- What each table takes on disk, the largest first. rows: as of the last ANALYZE.
SELECT relname AS name, greatest(reltuples, 0)::bigint AS rows,
       pg_table_size(pg_class.oid) AS table_bytes, pg_indexes_size(pg_class.oid) AS index_bytes
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname = 'public'
ORDER BY pg_total_relation_size(pg_class.oid) DESC, relname;

-- name: amounts
-- How much is stored: what is packed, what of it has rows, and what waits to be built again.
SELECT (SELECT count(DISTINCT workload_uid) FROM training_run) AS workloads,
       (SELECT count(*) FROM training_run) AS runs,
       count(*) AS ranges,
       count(*) FILTER (WHERE built <> version) AS ranges_not_built,
       count(*) FILTER (WHERE rows_dropped) AS ranges_without_rows,
       coalesce(sum(steps_stored), 0)::bigint AS steps_packed,
       (SELECT coalesce(sum(n), 0)::bigint FROM metrics_storage) AS points_packed,
       (SELECT coalesce(sum(n), 0)::bigint FROM metrics_storage
        JOIN chunk_axis USING (workload_uid, axis_id) WHERE NOT rows_dropped)
           AS points_packed_with_rows
FROM chunk_axis;
