-- name: known_workloads
-- Which of some uids have reported.
SELECT DISTINCT workload_uid FROM training_run WHERE workload_uid = ANY($1::text[]);

-- name: newest_workloads
-- The workloads last heard of, with the name of their newest run. $1: how many at most.
SELECT workload_uid, name FROM (
    SELECT DISTINCT ON (workload_uid) workload_uid, brief ->> 'name' AS name,
           coalesce(received_at, first_seen) AS heard
    FROM training_run LEFT JOIN run_last USING (workload_uid, serial)
    ORDER BY workload_uid, heard DESC
) AS newest
ORDER BY heard DESC, workload_uid LIMIT $1;

-- name: metric_names
-- The names of the metrics of some workloads. $2: how many at most.
SELECT DISTINCT workload_uid, metric.name
FROM run_last CROSS JOIN LATERAL jsonb_object_keys(last_values) AS metric (name)
WHERE workload_uid = ANY($1::text[])
ORDER BY workload_uid, metric.name LIMIT $2;

-- name: sources_and_runs
-- The sources and runs of some workloads, the first runs first. $2: how many at most.
SELECT data_source, run.run_id FROM run_last JOIN training_run AS run USING (workload_uid, serial)
WHERE workload_uid = ANY($1::text[])
ORDER BY workload_uid, serial, data_source LIMIT $2;

-- name: events
-- When runs began, were taken up again by a later attempt, and ended, in order of time. $1: workloads
-- or NULL for all; $2, $3: Unix seconds, included; $4: how many at most, the newest are kept.
SELECT * FROM (
    SELECT workload_uid, run_id, serial, event.kind, event.at, brief ->> 'name' AS name,
           brief ->> 'state' AS state, brief ->> 'exit_code' AS exit_code
    FROM training_run CROSS JOIN LATERAL (
        VALUES ('started', least((brief ->> 'started_at')::float8, extract(epoch FROM first_seen))),
               ('restarted', CASE WHEN (brief ->> 'attempt')::float8 > extract(epoch FROM first_seen)
                             THEN (brief ->> 'attempt')::float8 END),
               ('ended', (brief ->> 'ended_at')::float8)
    ) AS event (kind, at)
    WHERE ($1::text[] IS NULL OR workload_uid = ANY($1::text[]))
      AND event.at BETWEEN $2::float8 AND $3::float8
    ORDER BY event.at DESC LIMIT $4
) AS newest
ORDER BY at, workload_uid, serial, kind DESC;

-- name: newest_values
-- The newest values of runs that say they run and were heard since $1, the last heard first. $2: how
-- many runs at most.
SELECT workload_uid, run.run_id, heard.data_source, heard.last_step, run.target_step,
       extract(epoch FROM heard.last_at)::float8 AS last_at, heard.last_values
FROM run_last AS heard JOIN training_run AS run USING (workload_uid, serial)
WHERE heard.received_at >= to_timestamp($1) AND run.brief ->> 'state' = 'running'
ORDER BY heard.received_at DESC, workload_uid, heard.data_source LIMIT $2;

-- name: alerts
-- Alerts that began in a range, in order of time. $1: workloads or NULL for all; $2, $3: Unix seconds,
-- included; $4: how many at most, the newest are kept.
SELECT * FROM (
    SELECT workload_uid, run.run_id, alert.kind, alert.metric, alert.text,
           extract(epoch FROM alert.since)::float8 AS at,
           CASE WHEN alert.closed_at IS NOT NULL
                THEN extract(epoch FROM alert.last_seen)::float8 END AS until
    FROM alert JOIN training_run AS run USING (workload_uid, serial)
    WHERE ($1::text[] IS NULL OR workload_uid = ANY($1::text[])) AND NOT alert.passing
      AND alert.since BETWEEN to_timestamp($2::float8) AND to_timestamp($3::float8)
    ORDER BY alert.since DESC LIMIT $4
) AS newest
ORDER BY at, workload_uid, kind, metric;
