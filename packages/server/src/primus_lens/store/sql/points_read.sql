-- name: sources
-- How many steps each source of a workload has.
SELECT data_source, count(*) AS count
FROM training_performance WHERE workload_uid = $1
GROUP BY data_source ORDER BY data_source;

-- name: available
-- Every metric of a workload with its sources and how many steps carry it. $2: a source, or '' for all.
SELECT key, array_agg(data_source ORDER BY data_source) AS data_sources, sum(count)::bigint AS count
FROM (
    SELECT metric.key, stored.data_source, count(*) AS count
    FROM training_performance AS stored
    CROSS JOIN LATERAL jsonb_each(stored.performance - $3::text[]) AS metric
    WHERE stored.workload_uid = $1 AND ($2 = '' OR stored.data_source = $2)
      AND (jsonb_typeof(metric.value) = 'number'
           OR metric.value IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"'))
    GROUP BY metric.key, stored.data_source
) AS per_source
GROUP BY key ORDER BY key;

-- name: points
-- The points of a workload in order of time. $2: a source or ''. $3: stored names or NULL for all.
-- $4, $5: bounds in milliseconds, inclusive, each may be NULL. $6: names that are not metrics.
SELECT metric.key, metric.value::text AS value, stored.iteration, stored.data_source,
       round(at.seconds * 1000)::bigint AS timestamp
FROM training_performance AS stored
CROSS JOIN LATERAL jsonb_each(stored.performance - $6::text[]) AS metric
CROSS JOIN LATERAL (
    SELECT coalesce((stored.point_times ->> metric.key)::numeric,
                    extract(epoch FROM stored.created_at)) AS seconds
) AS at
WHERE stored.workload_uid = $1 AND ($2 = '' OR stored.data_source = $2)
  AND ($3::text[] IS NULL OR metric.key = ANY($3::text[]))
  AND (jsonb_typeof(metric.value) = 'number'
       OR metric.value IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"'))
  AND ($4::bigint IS NULL OR round(at.seconds * 1000) >= $4)
  AND ($5::bigint IS NULL OR round(at.seconds * 1000) <= $5)
ORDER BY timestamp, stored.iteration, stored.serial, metric.key;

-- name: iterations
-- The steps of a workload in order of time, with their target where the job told one.
SELECT iteration, data_source, performance ->> 'target_iteration' AS target_iteration,
       round(extract(epoch FROM created_at) * 1000)::bigint AS timestamp
FROM training_performance
WHERE workload_uid = $1 AND ($2 = '' OR data_source = $2)
  AND ($3::bigint IS NULL OR round(extract(epoch FROM created_at) * 1000) >= $3)
  AND ($4::bigint IS NULL OR round(extract(epoch FROM created_at) * 1000) <= $4)
ORDER BY timestamp, iteration, serial;

-- name: series
-- Chosen metrics of a workload as columns, one row a series, steps ascending. $2: a source or ''.
-- $3: stored names. $4, $5: bounds in milliseconds, $6, $7: in steps; inclusive, each may be NULL.
SELECT stored.data_source, stored.serial, run.run_id, metric.key,
       array_agg(stored.iteration ORDER BY stored.iteration) AS steps,
       array_agg(at.milliseconds ORDER BY stored.iteration) AS times,
       array_agg((stored.performance ->> metric.key)::float8 ORDER BY stored.iteration) AS values
FROM training_performance AS stored
JOIN training_run AS run USING (workload_uid, serial)
CROSS JOIN LATERAL unnest($3::text[]) AS metric (key)
CROSS JOIN LATERAL (
    SELECT round(coalesce((stored.point_times ->> metric.key)::numeric,
                 extract(epoch FROM stored.created_at)) * 1000)::float8 AS milliseconds
) AS at
WHERE stored.workload_uid = $1 AND ($2 = '' OR stored.data_source = $2)
  AND (jsonb_typeof(stored.performance -> metric.key) = 'number'
       OR stored.performance -> metric.key IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"'))
  AND ($4::bigint IS NULL OR at.milliseconds >= $4)
  AND ($5::bigint IS NULL OR at.milliseconds <= $5)
  AND ($6::bigint IS NULL OR stored.iteration >= $6)
  AND ($7::bigint IS NULL OR stored.iteration <= $7)
GROUP BY stored.data_source, stored.serial, run.run_id, metric.key
ORDER BY metric.key, stored.data_source, stored.serial;
