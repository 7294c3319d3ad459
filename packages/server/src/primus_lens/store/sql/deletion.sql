-- name: delete_steps
-- Some of a workload's steps, at most $2, in the order of their key from ($3, $4, $5) on. Returns
-- how many went, and the last.
WITH next AS (
    SELECT data_source, iteration, serial FROM training_performance
    WHERE workload_uid = $1 AND (data_source, iteration, serial) > ($3::text, $4::bigint, $5::int)
    ORDER BY data_source, iteration, serial LIMIT $2
), gone AS (
    DELETE FROM training_performance AS stored USING next
    WHERE stored.workload_uid = $1 AND stored.data_source = next.data_source
      AND stored.iteration = next.iteration AND stored.serial = next.serial
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS steps, data_source, iteration, serial FROM next
ORDER BY data_source DESC, iteration DESC, serial DESC LIMIT 1;

-- name: delete_chunks
-- Some of a workload's chunks, at most $2; their steps are rows or gone.
WITH next AS (
    SELECT series_id, axis_id FROM metrics_storage WHERE workload_uid = $1 LIMIT $2
)
DELETE FROM metrics_storage AS stored USING next
WHERE stored.workload_uid = $1 AND stored.series_id = next.series_id
  AND stored.axis_id = next.axis_id;

-- name: hold_runs
-- From here on nobody stores anything of the workload's runs: find_runs waits, and finds none.
SELECT serial FROM training_run WHERE workload_uid = $1 ORDER BY serial FOR UPDATE;

-- name: hold_compaction
-- From here on nobody packs the workload's runs.
SELECT pg_advisory_xact_lock(
           hashtextextended(concat_ws('/', workload_uid, data_source, serial), 1))
FROM (SELECT workload_uid, data_source, serial FROM run_last WHERE workload_uid = $1
      ORDER BY data_source, serial) AS run;

-- name: rest_of_steps
-- The steps that came while the others went.
DELETE FROM training_performance WHERE workload_uid = $1;

-- name: rest_of_ranges
-- How it was laid out.
DELETE FROM chunk_axis WHERE workload_uid = $1;

-- name: rest_of_chunks
-- The chunks that were packed while the others went.
DELETE FROM metrics_storage WHERE workload_uid = $1;

-- name: rest_of_series
-- The names of its metrics.
DELETE FROM series WHERE workload_uid = $1;

-- name: rest_of_latest
-- Its newest values.
DELETE FROM run_last WHERE workload_uid = $1;

-- name: rest_of_changes
-- What live readers are told of it.
DELETE FROM run_change WHERE workload_uid = $1;

-- name: rest_of_runs
-- Its runs.
DELETE FROM training_run WHERE workload_uid = $1;

-- name: rest_of_detections
-- What is known of its framework.
DELETE FROM framework_detection WHERE workload_uid = $1;

-- name: rest_of_gaps
-- The records its streams lost.
DELETE FROM ingest_gap WHERE workload_uid = $1;

-- name: rest_of_alerts
-- What the watch found.
DELETE FROM alert WHERE workload_uid = $1;

-- name: rest_of_watch_states
-- What the watch remembers of it.
DELETE FROM watch_state WHERE workload_uid = $1;

-- name: rest_of_watch_settings
-- What people set for its watch.
DELETE FROM watch_setting WHERE workload_uid = $1;

-- name: rest_of_run_streams
-- Which streams brought its points, but for those of imports, which are forgotten apart.
DELETE FROM run_stream WHERE workload_uid = $1 AND NOT starts_with(stream, $2);

-- name: imports
-- The streams by which points were imported into a workload.
SELECT DISTINCT stream FROM run_stream WHERE workload_uid = $1 AND starts_with(stream, $2);

-- name: forget_records
-- Forget what streams have delivered; in the order in which whoever stores locks them.
DELETE FROM ingest_stream WHERE stream IN (
    SELECT stream FROM ingest_stream WHERE stream = ANY($1::text[]) ORDER BY stream FOR UPDATE);

-- name: forget_streams_of_workload
-- And that they brought a workload's points.
DELETE FROM run_stream WHERE workload_uid = $1 AND stream = ANY($2::text[]);

-- name: rest_of_parked
-- What waits for its pods, unless these are another workload's, too.
DELETE FROM parked_report AS waiting
WHERE (SELECT array_agg(found.workload_uid::text)
       FROM lens_workloads_of_pod(waiting.namespace, waiting.pod_name, waiting.pod_uid) AS found
      ) = ARRAY[$1::text];

-- name: rest_of_pods
-- Its pods.
DELETE FROM pod_cache WHERE workload_uid = $1;
