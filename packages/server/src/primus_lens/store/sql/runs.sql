-- name: find_runs
-- The serials of runs that are known.
SELECT workload_uid, run_id, serial
FROM training_run JOIN unnest($1::text[], $2::text[]) AS asked (workload_uid, run_id)
     USING (workload_uid, run_id);

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
-- What a run says of itself; fields given later replace those given earlier.
UPDATE training_run
SET facts = facts || $3, definitions = definitions || $4
WHERE workload_uid = $1 AND serial = $2;
