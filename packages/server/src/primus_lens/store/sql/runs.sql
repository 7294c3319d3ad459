-- name: find_runs
-- The serials of runs that are known, and whether they told what they are; they stay until the transaction ends: whoever deletes their
-- workload waits, and what was deleted meanwhile is not known. In one order for all replicas.
SELECT workload_uid, run_id, serial, brief ? 'state' AS told
FROM training_run JOIN unnest($1::text[], $2::text[]) AS asked (workload_uid, run_id)
     USING (workload_uid, run_id)
ORDER BY workload_uid, serial FOR KEY SHARE OF training_run;

-- name: lock_workload
-- One run at a time is numbered within a workload, whichever replica does it.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- name: open_run
-- Give a new run the workload's next serial; a run that is known keeps its own.
INSERT INTO training_run AS stored (workload_uid, serial, run_id, first_seen, facts)
SELECT $1::text, coalesce(max(serial), 0) + 1, $2::text, to_timestamp($3), $4::jsonb
FROM training_run WHERE workload_uid = $1::text
ON CONFLICT (workload_uid, run_id) DO UPDATE SET run_id = stored.run_id
RETURNING serial;

-- name: note_run_facts
-- What a run says of itself. A later attempt starts without the earlier one's end; a late word about
-- an earlier attempt fills in only what is missing. $6: when its attempt began, by our clock. Wakes who
-- follows the run. A sender that calls every word an attempt must not make the row grow for ever.
WITH noted AS (
    UPDATE training_run
    SET facts = CASE lens_attempts_compared(attempts, $3::jsonb ->> 'attempt', $6, facts ->> 'attempt')
                    WHEN 1 THEN (facts - '{exit_code,ended_at}'::text[]) || $3::jsonb
                    WHEN 0 THEN facts || $3::jsonb
                    ELSE ($3::jsonb - '{exit_code,ended_at}'::text[]) || facts END,
        attempts = CASE WHEN $6::float8 IS NULL OR pg_column_size(attempts) > 4096 THEN attempts
                        ELSE jsonb_build_object($3::jsonb ->> 'attempt', $6::float8) || attempts END,
        definitions = definitions || $4::jsonb,
        target_step = CASE WHEN lens_attempts_compared(attempts, $3::jsonb ->> 'attempt', $6,
                                                       facts ->> 'attempt') >= 0
                           THEN coalesce($5::bigint, target_step)
                           ELSE coalesce(target_step, $5::bigint) END
    WHERE workload_uid = $1 AND serial = $2
    RETURNING workload_uid
)
SELECT pg_notify('lens_stored', workload_uid) FROM noted;
