-- What Grafana and others read by SQL: views that stay as they are while the tables behind them
-- change. A role that may read them need not be able to read a table.
CREATE SCHEMA lens_api;

-- The key under which a metric stands in a step's document (docs/adr/0008-escaped-metric-names.md).
CREATE FUNCTION lens_api.lens_stored_name(metric TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN metric IN ('source', 'run_id', 'step', 'history', 'history_total', 'created_at',
                                'updated_at')
                  OR starts_with(metric, 'metric:')
                THEN 'metric:' || metric ELSE metric END
$$;

-- Every point, from the rows. The names come from run_last, so that one metric of a workload is
-- looked up in each row instead of laying out each row's whole document.
CREATE VIEW lens_api.lens_points AS
SELECT CASE WHEN stored.point_times IS NULL THEN stored.created_at
            ELSE coalesce(to_timestamp((stored.point_times ->> point.key)::float8),
                          stored.created_at) END AS "time",
       stored.workload_uid::text AS workload_uid,
       metric.name AS metric,
       (stored.performance ->> point.key)::float8 AS value,
       stored.iteration AS step,
       run.run_id::text AS run_id,
       stored.data_source::text AS data_source
FROM run_last AS heard
JOIN training_run AS run USING (workload_uid, serial)
CROSS JOIN LATERAL jsonb_object_keys(heard.last_values) AS metric (name)
JOIN training_performance AS stored
  ON stored.workload_uid = heard.workload_uid AND stored.data_source = heard.data_source
 AND stored.serial = heard.serial
CROSS JOIN LATERAL (SELECT lens_api.lens_stored_name(metric.name) AS key OFFSET 0) AS point
WHERE jsonb_typeof(stored.performance -> point.key) = 'number'
   OR stored.performance -> point.key IN ('"NaN"', '"Infinity"', '"-Infinity"', '"-0.0"');

-- The metrics of each workload, for choosing one: read from one row a run.
CREATE VIEW lens_api.lens_metrics AS
SELECT heard.workload_uid::text AS workload_uid, metric.name AS metric,
       heard.data_source::text AS data_source, run.run_id::text AS run_id
FROM run_last AS heard
JOIN training_run AS run USING (workload_uid, serial)
CROSS JOIN LATERAL jsonb_object_keys(heard.last_values) AS metric (name);

-- Every run, with what it says of itself. time: when it began.
CREATE VIEW lens_api.lens_runs AS
SELECT least(to_timestamp((run.brief ->> 'started_at')::float8), run.first_seen) AS "time",
       run.workload_uid::text AS workload_uid,
       run.run_id::text AS run_id,
       run.serial,
       run.brief ->> 'name' AS name,
       run.brief ->> 'project' AS project,
       run.brief ->> 'group' AS run_group,
       run.brief ->> 'job_type' AS job_type,
       run.brief ->> 'namespace' AS namespace,
       run.brief ->> 'pod_name' AS pod_name,
       coalesce(run.brief ->> 'state', 'unknown') AS state,
       (run.brief ->> 'exit_code')::int AS exit_code,
       to_timestamp((run.brief ->> 'attempt')::float8) AS last_attempt_at,
       to_timestamp((run.brief ->> 'ended_at')::float8) AS ended_at,
       heard.last_seen,
       heard.last_step,
       run.target_step,
       run.brief -> 'tags' AS tags,
       run.facts -> 'config' AS config
FROM training_run AS run
LEFT JOIN LATERAL (
    SELECT max(received_at) AS last_seen, max(last_step) AS last_step FROM run_last
    WHERE run_last.workload_uid = run.workload_uid AND run_last.serial = run.serial
) AS heard ON true;

-- What framework each workload runs. time: when that was last told.
CREATE VIEW lens_api.lens_detections AS
SELECT updated_at AS "time",
       workload_uid::text AS workload_uid,
       framework, framework_layer, wrapper_framework, base_framework, workload_type, confidence,
       status, method, conflicts
FROM framework_detection;

-- Every workload by the run that was heard last. time: when that was.
CREATE VIEW lens_api.lens_fleet AS
SELECT coalesce(newest.received_at, newest.first_seen) AS "time",
       newest.workload_uid::text AS workload_uid,
       newest.name, newest.project, newest.namespace, newest.state,
       detected.framework, detected.wrapper_framework, detected.base_framework, detected.confidence,
       newest.runs, newest.run_id::text AS run_id, newest.last_step, newest.target_step,
       CASE WHEN newest.target_step > 0
            THEN least(1, newest.last_step::float8 / newest.target_step) END AS progress,
       newest.loss_metric, (newest.last_values ->> newest.loss_metric)::float8 AS loss,
       newest.began
FROM (
    SELECT DISTINCT ON (run.workload_uid)
           run.workload_uid, run.run_id, run.first_seen, heard.received_at, heard.last_step,
           heard.last_values, heard.loss_metric,
           run.brief ->> 'name' AS name, run.brief ->> 'project' AS project,
           run.brief ->> 'namespace' AS namespace,
           coalesce(run.brief ->> 'state', 'unknown') AS state,
           CASE WHEN jsonb_typeof(heard.last_values -> 'target_iteration') = 'number'
                THEN (heard.last_values ->> 'target_iteration')::float8
                ELSE run.target_step END AS target_step,
           count(*) OVER (PARTITION BY run.workload_uid) AS runs,
           min(run.first_seen) OVER (PARTITION BY run.workload_uid) AS began
    FROM training_run AS run
    LEFT JOIN LATERAL (
        SELECT received_at, last_step, last_values, loss_metric FROM run_last
        WHERE run_last.workload_uid = run.workload_uid AND run_last.serial = run.serial
        ORDER BY received_at DESC LIMIT 1
    ) AS heard ON true
    ORDER BY run.workload_uid, heard.received_at DESC NULLS LAST, run.serial DESC
) AS newest
LEFT JOIN framework_detection AS detected USING (workload_uid);

-- Makes a role that may sign in; what it may do beyond that, grant_reading says. Read-only, short
-- statements and few connections are its defaults; what it must not do is refused by its rights.
CREATE FUNCTION lens_api.lens_make_reader(reader TEXT, secret TEXT) RETURNS VOID
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT CONNECTION LIMIT 20 PASSWORD %L', reader, secret);
    EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', reader);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = ''15s''', reader);
    EXECUTE format('ALTER ROLE %I SET search_path = lens_api', reader);
END
$$;

-- Lets a role read the views, those of later versions included, and nothing else.
CREATE FUNCTION lens_api.lens_grant_reading(reader TEXT) RETURNS VOID
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA lens_api TO %I', reader);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA lens_api TO %I', reader);
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES IN SCHEMA lens_api GRANT SELECT ON TABLES TO %I', reader);
END
$$;
REVOKE EXECUTE ON FUNCTION lens_api.lens_make_reader, lens_api.lens_grant_reading FROM PUBLIC;
