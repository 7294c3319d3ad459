-- name: runs_to_compact
-- Runs that may have enough settled steps outside of ranges, heard since $1, or that have changed
-- ranges untouched since $2. $3: how many steps at least; taken off the larger side, so that no step
-- is too large for the sum.
SELECT workload_uid, data_source, serial FROM run_last
WHERE received_at >= to_timestamp($1) AND last_step - $3::int >= sealed_step
UNION
SELECT workload_uid, data_source, serial FROM chunk_axis
WHERE built <> version AND changed_at <= to_timestamp($2)
ORDER BY 1, 2, 3;

-- name: try_lock_run
-- Whether this transaction is now the only one that compacts the run.
SELECT pg_try_advisory_xact_lock(hashtextextended(concat_ws('/', $1::text, $2::text, $3::int), 1));

-- name: lock_run
-- From here to the end of the transaction nobody who stored steps of the run can have missed a range
-- and not be seen: note_latest waits for this row, or had it and has committed.
SELECT sealed_step FROM run_last
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 FOR UPDATE;

-- name: run_size
-- How far a run is laid out, and how many metrics it has.
SELECT sealed_step, (SELECT count(*) FROM jsonb_object_keys(last_values)) AS metrics
FROM run_last WHERE workload_uid = $1 AND data_source = $2 AND serial = $3;

-- name: newest_ranges
-- The last ranges of a run, newest first.
SELECT first_step, steps_stored, rows_dropped FROM chunk_axis
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3
ORDER BY first_step DESC LIMIT $4;

-- name: settled
-- Of the next at most $5 steps after $4, those that have $6 newer ones: how many, and the last.
SELECT count(*) AS steps_stored, max(iteration) AS last_step FROM (
    SELECT iteration, lead(iteration, $6::int) OVER (ORDER BY iteration) AS newer FROM (
        SELECT iteration FROM training_performance
        WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND iteration > $4
        ORDER BY iteration LIMIT $5::int + $6::int
    ) AS next
) AS paired
WHERE newer IS NOT NULL;

-- name: last_without_rows
-- The last step of a run whose row is gone; -1: all are there.
SELECT coalesce(max(last_step), -1) FROM chunk_axis
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND rows_dropped;

-- name: mark_all
-- The ranges of a run are to be built again up to a step, where their rows are there.
UPDATE chunk_axis SET version = version + 1, changed_at = to_timestamp(0)
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND last_step <= $4
  AND NOT rows_dropped;

-- name: drop_ranges
-- Forget the ranges of a run from a step on; never those that live by their chunks alone.
WITH dropped AS (
    DELETE FROM chunk_axis
    WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND first_step >= $4
      AND NOT rows_dropped
    RETURNING axis_id
)
DELETE FROM metrics_storage WHERE workload_uid = $1 AND axis_id IN (SELECT axis_id FROM dropped);

-- name: open_range
-- Lay out a range; until it is built its steps are read as rows.
INSERT INTO chunk_axis
    (workload_uid, data_source, serial, first_step, last_step, steps_stored, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7))
RETURNING axis_id;

-- name: seal
-- From now on whoever stores a step up to this one marks its range.
UPDATE run_last SET sealed_step = $4
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3;

-- name: mark_changed
-- The ranges of these steps no longer hold what is stored. Returns those whose rows are gone, which
-- have to come back now.
WITH found AS (
    SELECT DISTINCT late.workload_uid, found.axis_id, found.rows_dropped
    FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[])
         AS late (workload_uid, data_source, serial, step)
    CROSS JOIN LATERAL (
        SELECT axis_id, rows_dropped FROM chunk_axis AS ranges
        WHERE ranges.workload_uid = late.workload_uid AND ranges.data_source = late.data_source
          AND ranges.serial = late.serial AND ranges.first_step <= late.step
        ORDER BY ranges.first_step DESC LIMIT 1
    ) AS found
), marked AS (
    UPDATE chunk_axis AS marked
    SET version = marked.version + 1, changed_at = to_timestamp($5), rows_dropped = false
    FROM found
    WHERE marked.workload_uid = found.workload_uid AND marked.axis_id = found.axis_id
    RETURNING marked.workload_uid, marked.axis_id, found.rows_dropped
)
SELECT workload_uid, axis_id FROM marked WHERE rows_dropped ORDER BY workload_uid, axis_id;

-- name: changed_ranges
-- The ranges of a run whose chunks are not what is stored, untouched since $4.
SELECT axis_id FROM chunk_axis
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND built <> version
  AND changed_at <= to_timestamp($4)
ORDER BY first_step;

-- name: range
-- One range.
SELECT data_source, serial, first_step, last_step, version, built FROM chunk_axis
WHERE workload_uid = $1 AND axis_id = $2;

-- name: rows_of_range
-- The rows of a run from $4 to $5, at most $6, with all times in milliseconds.
SELECT iteration AS step, round(extract(epoch FROM created_at) * 1000)::bigint AS at_ms,
       (CASE WHEN performance ? 'history' THEN performance - 'history'
             ELSE performance END)::text AS document,
       (SELECT jsonb_object_agg(own.key, round(own.value::numeric * 1000))::text
        FROM jsonb_each_text(point_times) AS own) AS times_ms
FROM training_performance
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND iteration BETWEEN $4 AND $5
ORDER BY iteration LIMIT $6;

-- name: name_series
-- The numbers of metric names, given to those that have none yet; in one order for all replicas.
INSERT INTO series (workload_uid, key)
SELECT $1::text, given.key FROM unnest($2::text[]) AS given (key)
WHERE NOT EXISTS (SELECT FROM series WHERE workload_uid = $1::text AND series.key = given.key)
ORDER BY given.key
ON CONFLICT DO NOTHING;

-- name: find_series
-- The numbers of metric names.
SELECT key, series_id FROM series WHERE workload_uid = $1 AND key = ANY($2::text[]);

-- name: finish_range
-- A range is built, unless a step of it was stored since its version was read.
UPDATE chunk_axis SET built = version, last_step = $4, steps_stored = $5, steps = $6, times = $7,
    keep_rows = $8
WHERE workload_uid = $1 AND axis_id = $2 AND version = $3
RETURNING axis_id;

-- name: drop_chunks
-- Forget the chunks of a range.
DELETE FROM metrics_storage WHERE workload_uid = $1 AND axis_id = $2;

-- name: write_chunks
-- The chunks of a range, one a series.
INSERT INTO metrics_storage
    (workload_uid, data_source, serial, axis_id, series_id, first_step, last_step,
     n, min, max, sum, first, last, nans, infinities, negative_infinities, inexact,
     numbers, positions, times)
SELECT $1, $2, $3, $4, given.* FROM unnest(
    $5::bigint[], $6::bigint[], $7::bigint[],
    $8::int[], $9::float8[], $10::float8[], $11::float8[], $12::float8[], $13::float8[],
    $14::int[], $15::int[], $16::int[], $17::int[],
    $18::bytea[], $19::bytea[], $20::bytea[]) AS given;

-- name: runs_of_workload
-- The runs of a workload and their sources.
SELECT data_source, serial FROM run_last WHERE workload_uid = $1 ORDER BY data_source, serial;

-- name: ranges
-- How a workload is laid out: every run with its ranges in order. $2: a source or ''.
SELECT run_last.data_source, run_last.serial, run.run_id, run_last.sealed_step,
       axis.axis_id, axis.first_step, axis.last_step, axis.built = axis.version AS built
FROM run_last JOIN training_run AS run USING (workload_uid, serial)
LEFT JOIN chunk_axis AS axis USING (workload_uid, data_source, serial)
WHERE workload_uid = $1 AND ($2 = '' OR data_source = $2)
ORDER BY run_last.data_source, run_last.serial, axis.first_step;

-- name: axes
-- The axes of built ranges.
SELECT axis_id, steps, times FROM chunk_axis
WHERE workload_uid = $1 AND axis_id = ANY($2::bigint[]);

-- name: chunks
-- The chunks of some series in some ranges.
SELECT axis_id, key, numbers, positions, chunk.times
FROM metrics_storage AS chunk JOIN series USING (workload_uid, series_id)
WHERE workload_uid = $1 AND key = ANY($2::text[]) AND axis_id = ANY($3::bigint[]);

-- name: counts
-- How many points of each series stand in built ranges, by source. $2: a source or ''.
-- OFFSET 0, since the planner takes one range for built and would look for the chunks of each.
SELECT series.key, counted.data_source, counted.count
FROM (
    SELECT chunk.series_id, axis.data_source, sum(chunk.n)::bigint AS count
    FROM (
        SELECT axis_id, series_id, n FROM metrics_storage WHERE workload_uid = $1 OFFSET 0
    ) AS chunk
    JOIN (
        SELECT axis_id, data_source FROM chunk_axis
        WHERE workload_uid = $1 AND ($2 = '' OR data_source = $2) AND built = version OFFSET 0
    ) AS axis USING (axis_id)
    GROUP BY chunk.series_id, axis.data_source
) AS counted
JOIN series USING (series_id)
WHERE series.workload_uid = $1;

-- name: steps_in_chunks
-- How many steps stand in built ranges, by source.
SELECT data_source, sum(steps_stored)::bigint AS count FROM chunk_axis
WHERE workload_uid = $1 AND built = version GROUP BY data_source;
