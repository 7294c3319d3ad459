-- name: try_to_watch
-- Whether this connection is now the one that watches, until it ends.
SELECT pg_try_advisory_lock(hashtextextended('primus_lens watch', 8));

-- name: runs_to_watch
-- The runs that were heard since $1 and whose newest point is of $2 or later, with what people set.
SELECT last.workload_uid, last.data_source, last.serial, last.last_step,
       extract(epoch FROM last.received_at)::float8 AS received_at,
       run.facts ->> 'state' AS state,
       coalesce(run.facts ->> 'attempt', run.facts ->> 'started_at', '0')::float8 AS began_at,
       own.thresholds::text AS thresholds
FROM run_last AS last
JOIN training_run AS run USING (workload_uid, serial)
LEFT JOIN watch_setting AS own USING (workload_uid)
WHERE last.received_at >= to_timestamp($1) AND last.last_at >= to_timestamp($2)
ORDER BY last.workload_uid, last.data_source, last.serial;

-- name: runs_to_replay
-- The runs of a workload, each of its sources.
SELECT last.workload_uid, last.data_source, last.serial, run.run_id,
       coalesce(run.facts ->> 'attempt', run.facts ->> 'started_at', '0')::float8 AS began_at
FROM run_last AS last JOIN training_run AS run USING (workload_uid, serial)
WHERE last.workload_uid = $1
ORDER BY last.data_source, last.serial;

-- name: rows_to_judge
-- The next rows of some runs, at most $6 of each, in order. $1: the place of each run in the list;
-- $2 to $4: the runs; $5: after which step; $7: up to which. A row's time is that of its newest point.
SELECT asked.place, stored.step, stored.at, stored.document
FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::bigint[], $7::bigint[])
     AS asked (place, workload_uid, data_source, serial, after_step, up_to_step)
CROSS JOIN LATERAL (
    SELECT iteration AS step,
           CASE WHEN point_times IS NULL THEN extract(epoch FROM created_at)::float8
                ELSE greatest(extract(epoch FROM created_at)::float8,
                              (SELECT max(each.value::float8) FROM jsonb_each_text(point_times) AS each))
           END AS at,
           (CASE WHEN performance ? 'history' THEN performance - 'history'
                 ELSE performance END)::text AS document
    FROM training_performance AS stored
    WHERE stored.workload_uid = asked.workload_uid AND stored.data_source = asked.data_source
      AND stored.serial = asked.serial AND stored.iteration > asked.after_step
      AND stored.iteration <= asked.up_to_step
    ORDER BY stored.iteration LIMIT $6
) AS stored
ORDER BY asked.place, stored.step;

-- name: start_of_watch
-- The step before the newest $4 rows of a run, NULL if it has no more.
SELECT iteration FROM training_performance
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3
ORDER BY iteration DESC OFFSET $4 LIMIT 1;

-- name: rewound_to
-- The lowest of the $5 steps up to $4 that was written anew since $6 (Unix seconds, the job's clock).
SELECT min(iteration) FROM (
    SELECT iteration, performance ->> 'updated_at' AS updated_at FROM training_performance
    WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND iteration <= $4::bigint
    ORDER BY iteration DESC LIMIT $5
) AS newest
WHERE updated_at::timestamptz > to_timestamp($6);

-- name: states
-- What is remembered of some runs.
SELECT workload_uid, data_source, serial, state
FROM watch_state JOIN unnest($1::text[], $2::text[], $3::int[])
     AS asked (workload_uid, data_source, serial) USING (workload_uid, data_source, serial);

-- name: save_states
-- Remember runs as they were judged.
INSERT INTO watch_state AS stored (workload_uid, data_source, serial, state, saved_at)
SELECT workload_uid, data_source, serial, state, to_timestamp($5)
FROM unnest($1::text[], $2::text[], $3::int[], $4::bytea[])
     AS given (workload_uid, data_source, serial, state)
ON CONFLICT (workload_uid, data_source, serial)
DO UPDATE SET state = excluded.state, saved_at = excluded.saved_at;

-- name: note_alerts
-- Write findings down. What was judged up to a later step wins, so that judging again from an older
-- state opens nothing that is closed. Tells which alerts are open now that were not.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::bigint[],
                         $7::float8[], $8::bigint[], $9::float8[], $10::bool[], $11::bool[],
                         $12::text[])
         AS given (workload_uid, data_source, serial, kind, metric, since_step, since, last_step,
                   last_seen, closed, passing, text)
), written AS (
    INSERT INTO alert AS stored (workload_uid, data_source, serial, kind, metric, since_step, since,
                                 last_step, last_seen, opened_at, closed_at, passing, text)
    SELECT workload_uid, data_source, serial, kind, metric, since_step, to_timestamp(since),
           last_step, to_timestamp(last_seen), to_timestamp($13),
           CASE WHEN closed THEN to_timestamp($13) END, passing, text
    FROM given
    ON CONFLICT (workload_uid, data_source, serial, kind, metric, since_step) DO UPDATE SET
        last_step = excluded.last_step, last_seen = excluded.last_seen, text = excluded.text,
        passing = stored.passing AND excluded.passing,
        opened_at = CASE WHEN stored.passing AND NOT excluded.passing THEN excluded.opened_at
                         ELSE stored.opened_at END,
        closed_at = CASE WHEN excluded.closed_at IS NULL THEN NULL
                         ELSE coalesce(stored.closed_at, excluded.closed_at) END
    WHERE (stored.last_step, stored.last_seen) < (excluded.last_step, excluded.last_seen)
       OR stored.last_step <= excluded.last_step
          AND stored.closed_at IS NULL AND excluded.closed_at IS NOT NULL
    RETURNING kind, opened_at = to_timestamp($13) AND NOT passing AS is_new
)
SELECT kind, count(*) AS opened FROM written WHERE is_new GROUP BY kind;

-- name: alerts
-- Alerts, the newest first. $1: open, silenced, closed or all. $2: a workload or ''. $3: a kind or ''.
-- $4: now. $5, $6: page.
SELECT alert.*, run.run_id, own.silenced_until, own.silenced_kinds,
       extract(epoch FROM alert.since)::float8 AS since_s,
       extract(epoch FROM alert.last_seen)::float8 AS last_seen_s,
       extract(epoch FROM alert.opened_at)::float8 AS opened_s,
       extract(epoch FROM alert.closed_at)::float8 AS closed_s,
       is_silenced, count(*) OVER () AS total
FROM alert
JOIN training_run AS run USING (workload_uid, serial)
LEFT JOIN watch_setting AS own USING (workload_uid)
CROSS JOIN LATERAL (SELECT alert.closed_at IS NULL AND coalesce(
    own.silenced_until > to_timestamp($4)
    AND (own.silenced_kinds = '{}' OR alert.kind = ANY(own.silenced_kinds)), false) AS is_silenced
) AS silence
WHERE ($2 = '' OR workload_uid = $2) AND ($3 = '' OR alert.kind = $3)
  AND CASE $1::text WHEN 'all' THEN true
           WHEN 'closed' THEN alert.closed_at IS NOT NULL
           WHEN 'silenced' THEN is_silenced
           ELSE alert.closed_at IS NULL AND NOT is_silenced END
ORDER BY alert.opened_at DESC, workload_uid, serial, alert.kind, alert.metric, alert.since_step
LIMIT $5 OFFSET $6;

-- name: alert_counts
-- How many alerts of each kind stand open, and how many of those are silenced. $1: now.
SELECT alert.kind, count(*) FILTER (WHERE NOT is_silenced) AS open,
       count(*) FILTER (WHERE is_silenced) AS silenced
FROM alert LEFT JOIN watch_setting AS own USING (workload_uid)
CROSS JOIN LATERAL (SELECT coalesce(
    own.silenced_until > to_timestamp($1)
    AND (own.silenced_kinds = '{}' OR alert.kind = ANY(own.silenced_kinds)), false) AS is_silenced
) AS silence
WHERE alert.closed_at IS NULL GROUP BY alert.kind;

-- name: untold
-- Alerts of which the webhook does not know all, but for silenced ones, the oldest first. $1: now.
-- $2: those opened before are past telling. $3: at most so many.
SELECT alert.*, run.run_id,
       extract(epoch FROM alert.since)::float8 AS since_s,
       extract(epoch FROM alert.last_seen)::float8 AS last_seen_s,
       extract(epoch FROM alert.opened_at)::float8 AS opened_s,
       extract(epoch FROM alert.closed_at)::float8 AS closed_s
FROM alert
JOIN training_run AS run USING (workload_uid, serial)
LEFT JOIN watch_setting AS own USING (workload_uid)
WHERE NOT alert.passing AND alert.opened_at >= to_timestamp($2)
  AND (alert.told_opened_at IS NULL
       OR alert.closed_at IS NOT NULL AND alert.told_closed_at IS NULL)
  AND NOT coalesce(own.silenced_until > to_timestamp($1)
                   AND (own.silenced_kinds = '{}' OR alert.kind = ANY(own.silenced_kinds)), false)
ORDER BY alert.opened_at, workload_uid, serial, alert.kind, alert.metric, alert.since_step
LIMIT $3;

-- name: note_told
-- The webhook has taken an alert's opening or, with $7, its closing.
UPDATE alert SET told_opened_at = coalesce(told_opened_at, to_timestamp($8)),
                 told_closed_at = CASE WHEN $7 THEN to_timestamp($8) ELSE told_closed_at END
WHERE workload_uid = $1 AND data_source = $2 AND serial = $3 AND kind = $4 AND metric = $5
  AND since_step = $6;

-- name: setting
-- What people set for a workload.
SELECT extract(epoch FROM silenced_until)::float8 AS silenced_until, silenced_kinds,
       thresholds::text AS thresholds
FROM watch_setting WHERE workload_uid = $1;

-- name: put_setting
-- Set the watch of a workload, whole.
INSERT INTO watch_setting (workload_uid, silenced_until, silenced_kinds, thresholds, updated_at)
VALUES ($1, to_timestamp($2), $3, $4::jsonb, to_timestamp($5))
ON CONFLICT (workload_uid) DO UPDATE SET
    silenced_until = excluded.silenced_until, silenced_kinds = excluded.silenced_kinds,
    thresholds = excluded.thresholds, updated_at = excluded.updated_at;

-- name: alerts_of_fleet
-- The open alerts of each workload that has any, but for silenced ones, as JSON, the oldest first.
-- $1: only these workloads, or NULL for all. $2: now.
SELECT workload_uid, json_agg(json_build_object(
           'kind', alert.kind, 'since', round(extract(epoch FROM alert.since) * 1000),
           'text', alert.text, 'run_id', run.run_id, 'metric', alert.metric, 'serial', serial)
           ORDER BY alert.opened_at, alert.kind, alert.metric)::text AS alerts
FROM alert
JOIN training_run AS run USING (workload_uid, serial)
LEFT JOIN watch_setting AS own USING (workload_uid)
WHERE alert.closed_at IS NULL AND ($1::text[] IS NULL OR workload_uid = ANY($1))
  AND NOT coalesce(own.silenced_until > to_timestamp($2)
                   AND (own.silenced_kinds = '{}' OR alert.kind = ANY(own.silenced_kinds)), false)
GROUP BY workload_uid;
