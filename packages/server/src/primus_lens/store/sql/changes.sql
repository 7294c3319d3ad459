-- name: versions
-- How often each source of each run of a workload has been stored to.
SELECT run_last.serial, run_last.data_source, run.run_id, run_last.version
FROM run_last JOIN training_run AS run USING (workload_uid, serial)
WHERE workload_uid = $1;

-- name: touched
-- What some versions of some runs of a workload touched, in their order, at most $5 of each.
SELECT asked.serial, asked.data_source, change.version, change.touched
FROM unnest($2::int[], $3::text[], $4::bigint[]) AS asked (serial, data_source, seen)
CROSS JOIN LATERAL (
    SELECT version, touched FROM run_change
    WHERE run_change.workload_uid = $1 AND run_change.serial = asked.serial
      AND run_change.data_source = asked.data_source AND run_change.version > asked.seen
    ORDER BY version LIMIT $5
) AS change;

-- name: row_versions
-- What changes whenever a run says something of itself, and when there is one run more.
SELECT string_agg(concat_ws('/', serial, xmin), ' ' ORDER BY serial)
FROM training_run WHERE workload_uid = $1;

-- name: forget
-- Nobody has been away for so long.
DELETE FROM run_change WHERE stored_at < to_timestamp($1);
