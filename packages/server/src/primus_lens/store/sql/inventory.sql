-- name: workloads
-- Every workload by its newest run, the most recently heard first. $1: text sought in uid, name,
-- project and framework, or ''. $2, $3: page.
WITH run AS (
    SELECT training_run.*, run_last.data_source, run_last.last_step, run_last.last_at,
           run_last.received_at, run_last.last_values
    FROM training_run LEFT JOIN run_last USING (workload_uid, serial)
), newest AS (
    SELECT DISTINCT ON (workload_uid) * FROM run
    ORDER BY workload_uid, received_at DESC NULLS LAST, serial DESC
), summary AS (
    SELECT workload_uid, count(DISTINCT serial) AS runs, min(first_seen) AS first_seen,
           max(received_at) AS last_seen,
           array_agg(DISTINCT data_source) FILTER (WHERE data_source IS NOT NULL) AS data_sources,
           array_agg(DISTINCT facts ->> 'pod_name') FILTER (WHERE facts ? 'pod_name') AS pods
    FROM run GROUP BY workload_uid
)
SELECT workload_uid, newest.facts ->> 'state' AS state, newest.facts ->> 'name' AS name,
       newest.facts ->> 'project' AS project, detected.framework, detected.wrapper_framework,
       detected.base_framework, detected.confidence, coalesce(summary.runs, 0) AS runs,
       summary.data_sources, newest.last_step, newest.last_values, summary.pods,
       (extract(epoch FROM coalesce(summary.first_seen, detected.created_at)) * 1000)::bigint
           AS first_seen,
       (extract(epoch FROM coalesce(summary.last_seen, summary.first_seen, detected.updated_at))
           * 1000)::bigint AS last_seen,
       count(*) OVER () AS total
FROM newest JOIN summary USING (workload_uid)
FULL JOIN framework_detection AS detected USING (workload_uid)
WHERE $1 = '' OR strpos(lower(concat_ws(' ', workload_uid, newest.facts ->> 'name',
    newest.facts ->> 'project', detected.framework, detected.base_framework)), lower($1)) > 0
ORDER BY last_seen DESC, workload_uid
LIMIT $2 OFFSET $3;

-- name: runs
-- The runs of a workload in the order they were first seen.
SELECT training_run.serial, training_run.run_id, training_run.facts, training_run.definitions,
       (extract(epoch FROM training_run.first_seen) * 1000)::bigint AS first_seen,
       max(run_last.last_step) AS last_step,
       (extract(epoch FROM max(run_last.received_at)) * 1000)::bigint AS last_seen
FROM training_run LEFT JOIN run_last USING (workload_uid, serial)
WHERE workload_uid = $1
GROUP BY training_run.workload_uid, training_run.serial
ORDER BY training_run.serial;

-- name: version
-- A text that changes whenever points of a workload are stored.
SELECT string_agg(concat_ws('/', serial, data_source, extract(epoch FROM received_at)), ' '
                  ORDER BY serial, data_source)
FROM run_last WHERE workload_uid = $1;
