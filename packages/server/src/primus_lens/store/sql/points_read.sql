-- A part is some steps of one source of one run. OFFSET 0 keeps the planner from reading a workload
-- whole to find one: the index leads to each part.

-- name: sources
-- How many steps some parts of a workload have, by source. $2 to $5: the parts.
SELECT part.data_source, count(*) AS count
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
     AS part (data_source, serial, first_step, last_step)
CROSS JOIN LATERAL (
    SELECT FROM training_performance AS stored
    WHERE stored.workload_uid = $1 AND stored.data_source = part.data_source
      AND stored.serial = part.serial
      AND stored.iteration BETWEEN part.first_step AND part.last_step
    OFFSET 0
) AS stored
GROUP BY part.data_source;

-- name: available
-- How many steps of some parts carry each metric, by source. $2 to $5: the parts. $6: names that are
-- not metrics.
SELECT metric.key, part.data_source, count(*) AS count
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
     AS part (data_source, serial, first_step, last_step)
CROSS JOIN LATERAL (
    SELECT performance FROM training_performance AS stored
    WHERE stored.workload_uid = $1 AND stored.data_source = part.data_source
      AND stored.serial = part.serial
      AND stored.iteration BETWEEN part.first_step AND part.last_step
    OFFSET 0
) AS stored
CROSS JOIN LATERAL jsonb_each(stored.performance - $6::text[]) AS metric
WHERE jsonb_typeof(metric.value) = 'number'
   OR metric.value IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"')
GROUP BY metric.key, part.data_source;

-- name: points
-- The points of a workload in order of time. $2: a source or ''. $3: stored names or NULL for all.
-- $4, $5: bounds in milliseconds, inclusive, each may be NULL. $6: names that are not metrics. A row
-- without points of their own times is left alone when its own time is out of bounds: unpacking its
-- document costs thirty times as much as reading it.
SELECT metric.key, metric.value::text AS value, stored.iteration, stored.data_source,
       stored.serial, at.milliseconds AS timestamp
FROM (
    SELECT iteration, data_source, serial, performance, point_times,
           round(extract(epoch FROM created_at) * 1000)::bigint AS milliseconds
    FROM training_performance
    WHERE workload_uid = $1 AND ($2 = '' OR data_source = $2)
    OFFSET 0
) AS stored
CROSS JOIN LATERAL jsonb_each(stored.performance) AS metric
CROSS JOIN LATERAL (
    SELECT CASE WHEN stored.point_times IS NULL THEN stored.milliseconds
                ELSE coalesce(round((stored.point_times ->> metric.key)::numeric * 1000)::bigint,
                              stored.milliseconds) END AS milliseconds
) AS at
WHERE (stored.point_times IS NOT NULL
       OR ($4::bigint IS NULL OR stored.milliseconds >= $4)
       AND ($5::bigint IS NULL OR stored.milliseconds <= $5))
  AND metric.key <> ALL($6::text[]) AND ($3::text[] IS NULL OR metric.key = ANY($3::text[]))
  AND (jsonb_typeof(metric.value) = 'number'
       OR metric.value IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"'))
  AND ($4::bigint IS NULL OR at.milliseconds >= $4)
  AND ($5::bigint IS NULL OR at.milliseconds <= $5)
ORDER BY timestamp, stored.iteration, stored.serial, metric.key;

-- name: points_of
-- As `points`, of few metrics: each is looked up, no document is unpacked. $3: stored names, each once.
SELECT metric.key, metric.value::text AS value, stored.iteration, stored.data_source,
       stored.serial, at.milliseconds AS timestamp
FROM (
    SELECT iteration, data_source, serial, performance, point_times,
           round(extract(epoch FROM created_at) * 1000)::bigint AS milliseconds
    FROM training_performance
    WHERE workload_uid = $1 AND ($2 = '' OR data_source = $2)
    OFFSET 0
) AS stored
CROSS JOIN LATERAL unnest($3::text[]) AS named (key)
CROSS JOIN LATERAL (
    SELECT named.key, stored.performance -> named.key AS value OFFSET 0
) AS metric
CROSS JOIN LATERAL (
    SELECT CASE WHEN stored.point_times IS NULL THEN stored.milliseconds
                ELSE coalesce(round((stored.point_times ->> metric.key)::numeric * 1000)::bigint,
                              stored.milliseconds) END AS milliseconds
) AS at
WHERE (stored.point_times IS NOT NULL
       OR ($4::bigint IS NULL OR stored.milliseconds >= $4)
       AND ($5::bigint IS NULL OR stored.milliseconds <= $5))
  AND (jsonb_typeof(metric.value) = 'number'
       OR metric.value IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"'))
  AND ($4::bigint IS NULL OR at.milliseconds >= $4)
  AND ($5::bigint IS NULL OR at.milliseconds <= $5)
ORDER BY timestamp, stored.iteration, stored.serial, metric.key;

-- name: serials
-- The serials of runs of a workload that are named by serial or by run_id.
SELECT serial FROM training_run
WHERE workload_uid = $1 AND (serial::text = ANY($2::text[]) OR run_id = ANY($2::text[]));

-- name: iterations
-- The steps of a workload in order of time, with their target where the job told one.
SELECT iteration, data_source, serial, performance ->> 'target_iteration' AS target_iteration,
       round(extract(epoch FROM created_at) * 1000)::bigint AS timestamp
FROM training_performance
WHERE workload_uid = $1 AND ($2 = '' OR data_source = $2)
  AND ($3::bigint IS NULL OR round(extract(epoch FROM created_at) * 1000) >= $3)
  AND ($4::bigint IS NULL OR round(extract(epoch FROM created_at) * 1000) <= $4)
ORDER BY timestamp, iteration, serial;

-- name: split
-- After how many steps of some parts, and which, they may be cut: every $6 steps, and at the last. $2 to
-- $5: the parts.
SELECT part.place::int - 1 AS place, stored.iteration AS last_step, stored.nth::int
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
     WITH ORDINALITY AS part (data_source, serial, first_step, last_step, place)
CROSS JOIN LATERAL (
    SELECT iteration, row_number() OVER (ORDER BY iteration) AS nth,
           lead(iteration) OVER (ORDER BY iteration) IS NULL AS is_last
    FROM training_performance AS stored
    WHERE stored.workload_uid = $1 AND stored.data_source = part.data_source
      AND stored.serial = part.serial
      AND stored.iteration BETWEEN part.first_step AND part.last_step
    OFFSET 0
) AS stored
WHERE stored.nth % $6::int = 0 OR stored.is_last
ORDER BY part.place, stored.nth;

-- name: series
-- Chosen metrics of some parts of a workload as columns, one row a series and part, steps as they come.
-- $2 to $5: the parts. $6: stored names. $7, $8: bounds in milliseconds, inclusive, each may be NULL.
-- Sorting each series cost half of the time; points_read does it where the order is not that of the key.
SELECT part.data_source, part.serial, part.first_step, metric.key,
       array_agg(stored.iteration) AS steps,
       array_agg(at.milliseconds) AS times,
       array_agg((metric.value #>> '{}')::float8) AS values
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
     AS part (data_source, serial, first_step, last_step)
CROSS JOIN LATERAL (
    SELECT iteration, performance, point_times,
           round(extract(epoch FROM created_at) * 1000)::bigint AS milliseconds
    FROM training_performance AS stored
    WHERE stored.workload_uid = $1 AND stored.data_source = part.data_source
      AND stored.serial = part.serial
      AND stored.iteration BETWEEN part.first_step AND part.last_step
    OFFSET 0
) AS stored
CROSS JOIN LATERAL unnest($6::text[]) AS named (key)
CROSS JOIN LATERAL (
    SELECT named.key, stored.performance -> named.key AS value OFFSET 0
) AS metric
CROSS JOIN LATERAL (
    SELECT coalesce(round((stored.point_times ->> metric.key)::numeric * 1000)::bigint,
                    stored.milliseconds) AS milliseconds
) AS at
WHERE (jsonb_typeof(metric.value) = 'number'
       OR metric.value IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"'))
  AND ($7::bigint IS NULL OR at.milliseconds >= $7)
  AND ($8::bigint IS NULL OR at.milliseconds <= $8)
GROUP BY part.data_source, part.serial, part.first_step, metric.key;

-- name: many_series
-- As `series`, where many metrics are asked for: looking each up unpacks the document again, so here
-- it is unpacked once for all.
SELECT part.data_source, part.serial, part.first_step, metric.key,
       array_agg(stored.iteration) AS steps,
       array_agg(at.milliseconds) AS times,
       array_agg(CASE WHEN jsonb_typeof(metric.value) = 'number' THEN metric.value::float8
                      ELSE (metric.value #>> '{}')::float8 END) AS values
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
     AS part (data_source, serial, first_step, last_step)
CROSS JOIN LATERAL (
    SELECT iteration, performance, point_times,
           round(extract(epoch FROM created_at) * 1000)::bigint AS milliseconds
    FROM training_performance AS stored
    WHERE stored.workload_uid = $1 AND stored.data_source = part.data_source
      AND stored.serial = part.serial
      AND stored.iteration BETWEEN part.first_step AND part.last_step
    OFFSET 0
) AS stored
CROSS JOIN LATERAL jsonb_each(stored.performance) AS metric
CROSS JOIN LATERAL (
    SELECT coalesce(round((stored.point_times ->> metric.key)::numeric * 1000)::bigint,
                    stored.milliseconds) AS milliseconds
) AS at
WHERE metric.key = ANY($6::text[])
  AND (jsonb_typeof(metric.value) = 'number'
       OR metric.value IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"'))
  AND ($7::bigint IS NULL OR at.milliseconds >= $7)
  AND ($8::bigint IS NULL OR at.milliseconds <= $8)
GROUP BY part.data_source, part.serial, part.first_step, metric.key;

-- name: replaced
-- The values that steps of a workload had before they were overwritten, as columns, one row a series and
-- revision: 1 is the first value that was replaced at a step. $2: a source or ''. $3: serials. $4, $5:
-- steps. $6: stored names. $7, $8: bounds in milliseconds, inclusive, each may be NULL. $9: a stored name
-- whose value beside them is told, too, or NULL.
SELECT key, data_source, serial, revision::int,
       array_agg(iteration ORDER BY iteration) AS steps,
       array_agg(milliseconds ORDER BY iteration) AS times,
       array_agg(value ORDER BY iteration) AS values,
       array_agg(beside ORDER BY iteration) AS beside
FROM (
    SELECT key, data_source, serial, iteration, milliseconds, beside, (value #>> '{}')::float8 AS value,
           row_number() OVER (PARTITION BY data_source, serial, iteration, key ORDER BY place)
               AS revision
    FROM (
        SELECT metric.key, data_source, serial, iteration, place, old.doc -> metric.key AS value,
               lead(old.doc -> metric.key, 1, stored.performance -> metric.key) OVER
                   (PARTITION BY data_source, serial, iteration, metric.key ORDER BY place) AS next,
               round(extract(epoch FROM (old.doc ->> 'updated_at')::timestamptz) * 1000)::bigint
                   AS milliseconds,
               CASE WHEN jsonb_typeof(old.doc -> $9) = 'number'
                      OR old.doc -> $9 IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"')
                    THEN (old.doc ->> $9)::float8 END AS beside
        FROM training_performance AS stored
        CROSS JOIN LATERAL jsonb_array_elements(stored.performance -> 'history')
            WITH ORDINALITY AS old (doc, place)
        CROSS JOIN LATERAL unnest($6::text[]) AS metric (key)
        WHERE stored.workload_uid = $1 AND stored.replaced
          AND ($2 = '' OR stored.data_source = $2) AND stored.serial = ANY($3::int[])
          AND stored.iteration BETWEEN $4 AND $5
    ) AS told
    WHERE value IS DISTINCT FROM next
      AND (jsonb_typeof(value) = 'number'
           OR value IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"'))
) AS replaced
WHERE ($7::bigint IS NULL OR milliseconds >= $7) AND ($8::bigint IS NULL OR milliseconds <= $8)
GROUP BY key, data_source, serial, revision
ORDER BY key, data_source, serial, revision;

-- name: cuts
-- Where the runs of a workload may be cut: after which steps, and how many are stored since the cut
-- before. Ranges of chunks, and beyond them every thousandth row.
SELECT data_source, serial, run_id, last_step, steps FROM (
    SELECT data_source, serial, last_step, steps_stored AS steps
    FROM chunk_axis WHERE workload_uid = $1
    UNION ALL
    SELECT data_source, serial, iteration, 1000 FROM (
        SELECT stored.data_source, stored.serial, stored.iteration,
               row_number() OVER (PARTITION BY stored.data_source, stored.serial
                                  ORDER BY stored.iteration) AS place
        FROM training_performance AS stored
        JOIN run_last USING (workload_uid, serial, data_source)
        WHERE workload_uid = $1 AND stored.iteration > run_last.sealed_step
    ) AS numbered WHERE place % 1000 = 0
    UNION ALL
    SELECT data_source, serial, NULL, 0 FROM run_last WHERE workload_uid = $1
) AS cut
JOIN training_run USING (serial)
WHERE workload_uid = $1 AND ($2 = '' OR data_source = $2)
ORDER BY data_source, serial, last_step NULLS LAST;

-- name: exact
-- One metric of a run at some steps, digit for digit. $4: the stored name.
SELECT iteration, performance ->> $4 AS value FROM training_performance
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND iteration = ANY($5::bigint[]);
