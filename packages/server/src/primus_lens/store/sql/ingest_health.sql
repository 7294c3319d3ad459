-- name: heard
-- Each run of a workload: when it was last heard, and what its clock said then.
SELECT extract(epoch FROM received_at)::float8 AS received_at,
       extract(epoch FROM last_at)::float8 AS last_at
FROM run_last WHERE workload_uid = $1 ORDER BY received_at DESC;

-- name: streams_of_workload
-- The streams that brought a workload's points, and how many of their records are stored.
SELECT stream, (SELECT coalesce(sum(upper(each) - lower(each)), 0)::bigint
                FROM unnest(known.accepted) AS each) AS records,
       extract(epoch FROM known.updated_at)::float8 AS updated_at
FROM run_stream JOIN ingest_stream AS known USING (stream)
WHERE workload_uid = $1 ORDER BY known.updated_at DESC, stream;

-- name: gaps_of_workload
-- Records that a workload's streams lost for good, the newest first.
SELECT run_id, first_record AS first, last_record AS last, points, reason,
       extract(epoch FROM reported_at)::float8 AS at
FROM ingest_gap WHERE workload_uid = $1
ORDER BY reported_at DESC, run_id, stream, first_record;

-- name: parked_of_workload
-- How many reports wait for the pods that a workload names or is known to have.
SELECT count(*) FROM parked_report WHERE pod_name IN (
    SELECT facts ->> 'pod_name' FROM training_run WHERE workload_uid = $1
    UNION SELECT pod_name FROM pod_cache WHERE workload_uid = $1);

-- name: note_stream
-- Which stream brings a run's points.
INSERT INTO run_stream (workload_uid, serial, stream) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;
