-- name: plan_anew
-- Plan the statements of this transaction for their parameters: one workload or all are not alike.
SET LOCAL plan_cache_mode = force_custom_plan;

-- name: fleet
-- Every workload by its newest run that has a loss, in no order. $1: only these, or NULL for all.
-- Sources and pods as often as there are runs: sorting them out costs here more than in Python.
WITH heard AS (
    SELECT workload_uid, serial, data_source, received_at, loss_metric IS NULL AS without_loss,
           max(received_at) OVER (PARTITION BY workload_uid) - interval '60 seconds' AS recently
    FROM run_last WHERE $1::text[] IS NULL OR workload_uid = ANY($1)
), newest AS (
    SELECT DISTINCT ON (workload_uid) workload_uid, serial, data_source, run_id, brief, target_step,
           first_seen
    FROM training_run LEFT JOIN heard USING (workload_uid, serial)
    WHERE $1::text[] IS NULL OR workload_uid = ANY($1)
    ORDER BY workload_uid, received_at >= recently DESC NULLS LAST, without_loss, serial DESC,
             data_source
), summary AS (
    SELECT workload_uid, count(DISTINCT serial) AS runs, min(first_seen) AS first_seen,
           max(received_at) AS last_seen,
           array_agg(data_source) FILTER (WHERE data_source IS NOT NULL) AS data_sources,
           array_agg(brief ->> 'pod_name') FILTER (WHERE brief ? 'pod_name') AS pods
    FROM training_run LEFT JOIN heard USING (workload_uid, serial)
    WHERE $1::text[] IS NULL OR workload_uid = ANY($1)
    GROUP BY workload_uid
), placed AS (
    SELECT workload_uid, (array_agg(namespace ORDER BY seen_at DESC, namespace))[1] AS namespace,
           array_agg(DISTINCT pod_name) AS pods
    FROM pod_cache WHERE $1::text[] IS NULL OR workload_uid = ANY($1)
    GROUP BY workload_uid
), detected AS (
    SELECT workload_uid, framework, wrapper_framework, base_framework, confidence, created_at,
           updated_at
    FROM framework_detection WHERE $1::text[] IS NULL OR workload_uid = ANY($1)
)
SELECT workload_uid, newest.serial, newest.run_id, newest.brief ->> 'state' AS state,
       newest.brief ->> 'name' AS name, newest.brief ->> 'project' AS project, newest.target_step,
       detected.framework, detected.wrapper_framework, detected.base_framework,
       detected.confidence, coalesce(summary.runs, 0) AS runs, summary.data_sources, summary.pods,
       placed.namespace, placed.pods AS known_pods,
       heard.last_step, heard.shown, heard.loss_metric, heard.recent_steps, heard.recent_losses,
       date_part('epoch', coalesce(heard.received_at, newest.first_seen)) AS heard_at,
       (extract(epoch FROM coalesce(summary.first_seen, detected.created_at)) * 1000)::bigint
           AS first_seen,
       (extract(epoch FROM coalesce(summary.last_seen, summary.first_seen, detected.updated_at))
           * 1000)::bigint AS last_seen
FROM newest
JOIN summary USING (workload_uid)
LEFT JOIN run_last AS heard USING (workload_uid, serial, data_source)
FULL JOIN detected USING (workload_uid)
LEFT JOIN placed USING (workload_uid);

-- name: matching
-- Which of some texts a pattern is found in, whatever the case.
SELECT place::int FROM unnest($1::text[]) WITH ORDINALITY AS given (words, place)
WHERE words ~* $2;

-- name: match_within
-- No pattern may take longer than so many milliseconds.
SELECT set_config('statement_timeout', $1, true);

-- name: runs
-- The runs of a workload in the order they were first seen, each with its pulse from the source that
-- was heard last.
SELECT DISTINCT ON (run.serial) run.serial, run.run_id, run.facts, run.definitions, run.target_step,
       (extract(epoch FROM run.first_seen) * 1000)::bigint AS first_seen,
       max(heard.last_step) OVER (PARTITION BY run.serial) AS last_step, heard.last_values,
       heard.recent_steps, heard.loss_metric, heard.recent_losses,
       (extract(epoch FROM heard.received_at) * 1000)::bigint AS last_seen
FROM training_run AS run LEFT JOIN run_last AS heard USING (workload_uid, serial)
WHERE workload_uid = $1
ORDER BY run.serial, heard.received_at DESC NULLS LAST;

-- name: version
-- A text that changes whenever points of a workload are stored; a workload that was deleted counts its
-- versions from 1 again, so the time stands beside them.
SELECT string_agg(concat_ws('/', serial, data_source, version, extract(epoch FROM received_at)), ' '
                  ORDER BY serial, data_source)
FROM run_last WHERE workload_uid = $1;
