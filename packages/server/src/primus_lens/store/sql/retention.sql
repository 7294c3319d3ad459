-- name: droppable
-- Ranges whose chunks tell all that their rows do, unchanged since $1; at most $2, oldest first.
SELECT workload_uid, data_source, serial, axis_id FROM chunk_axis
WHERE built = version AND NOT rows_dropped AND NOT keep_rows AND changed_at < to_timestamp($1)
ORDER BY changed_at LIMIT $2;

-- name: hold_rows
-- The rows of a range in the form of rows_of_range, locked; those that somebody else is about to
-- change are left out, so that nobody waits for each other crosswise.
SELECT iteration AS step, round(extract(epoch FROM created_at) * 1000)::bigint AS at_ms,
       (CASE WHEN performance ? 'history' THEN performance - 'history'
             ELSE performance END)::text AS document,
       (SELECT jsonb_object_agg(own.key, round(own.value::numeric * 1000))::text
        FROM jsonb_each_text(point_times) AS own) AS times_ms
FROM training_performance
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND iteration BETWEEN $4 AND $5
ORDER BY iteration LIMIT $6
FOR UPDATE SKIP LOCKED;

-- name: whole_range
-- A range with its axis, to be held while its rows go or come back.
SELECT data_source, serial, first_step, last_step, steps_stored, built = version AS built,
       rows_dropped, keep_rows, steps, times
FROM chunk_axis WHERE workload_uid = $1 AND axis_id = $2 FOR UPDATE;

-- name: chunks_of_range
-- The chunks of a range by the names of their series.
SELECT series.key, chunk.n, chunk.numbers, chunk.positions, chunk.times
FROM metrics_storage AS chunk JOIN series USING (workload_uid, series_id)
WHERE workload_uid = $1 AND axis_id = $2
ORDER BY series.key;

-- name: drop_rows
-- The rows of a range go; its chunks are what is left.
DELETE FROM training_performance
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND iteration BETWEEN $4 AND $5;

-- name: note_dropped
-- A range lives by its chunks from now on. $3: the earliest time of its points, Unix ms.
UPDATE chunk_axis SET rows_dropped = true, from_ms = $3 WHERE workload_uid = $1 AND axis_id = $2;

-- name: restore_rows
-- The rows of a range as its chunks tell them, under what has been stored there since.
INSERT INTO training_performance AS stored
    (workload_uid, data_source, serial, iteration, performance, created_at, point_times)
SELECT $1, $2, $3, iteration, performance, to_timestamp(at), point_times
FROM unnest($4::bigint[], $5::jsonb[], $6::float8[], $7::jsonb[])
     AS given (iteration, performance, at, point_times)
ON CONFLICT (workload_uid, data_source, iteration, serial) DO UPDATE SET
    performance = lens_merge_step(excluded.performance, stored.performance),
    point_times = lens_merge_times(excluded.performance, stored.performance, excluded.point_times,
                                   stored.point_times, excluded.created_at, stored.created_at),
    created_at  = excluded.created_at,
    replaced    = stored.replaced OR lens_replaces(excluded.performance, stored.performance);

-- name: run_of_serial
-- The name of a run.
SELECT run_id FROM training_run WHERE workload_uid = $1 AND serial = $2;

-- name: dropped_ranges
-- The ranges of a workload that live by their chunks alone, by the earliest of their points.
SELECT axis_id, data_source, serial, from_ms, steps, times FROM chunk_axis
WHERE workload_uid = $1 AND ($2 = '' OR data_source = $2) AND rows_dropped
  AND ($3::bigint IS NULL OR from_ms <= $3)
ORDER BY from_ms, axis_id;

-- name: quiet_workloads
-- Workloads of which nothing was heard since $1; at most $2.
SELECT workload_uid FROM (
    SELECT workload_uid, received_at AS heard FROM run_last
    UNION ALL SELECT workload_uid, first_seen FROM training_run
    UNION ALL SELECT workload_uid, updated_at FROM framework_detection
) AS told
GROUP BY workload_uid HAVING max(heard) < to_timestamp($1)
ORDER BY max(heard) LIMIT $2;

-- name: forget_streams
-- Forget streams not heard since $1; at most $2. Returns how many.
WITH old AS (
    SELECT stream FROM ingest_stream WHERE updated_at < to_timestamp($1)
    ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM ingest_stream WHERE stream IN (SELECT stream FROM old) RETURNING 1
), noted AS (
    INSERT INTO stream_horizon AS known (forgotten_up_to)
    SELECT to_timestamp($1) WHERE EXISTS (SELECT FROM gone)
    ON CONFLICT (only_row) DO UPDATE
    SET forgotten_up_to = greatest(known.forgotten_up_to, excluded.forgotten_up_to)
)
SELECT count(*) FROM gone;
