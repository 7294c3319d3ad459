-- name: merge_steps
-- Lay new metrics over the steps that are stored; what they replace goes to history.
INSERT INTO training_performance AS stored
    (workload_uid, pod_uuid, serial, iteration, data_source, performance, created_at, point_times)
SELECT workload_uid, nullif(pod_uuid, ''), serial, iteration, data_source, performance,
       to_timestamp(at), point_times
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::text[], $6::jsonb[], $7::float8[],
            $8::jsonb[])
     AS given (workload_uid, pod_uuid, serial, iteration, data_source, performance, at, point_times)
ON CONFLICT (workload_uid, data_source, iteration, serial) DO UPDATE SET
    performance = lens_merge_step(stored.performance, excluded.performance),
    point_times = lens_merge_times(stored.performance, excluded.performance, stored.point_times,
                                   excluded.point_times, stored.created_at, excluded.created_at),
    pod_uuid    = coalesce(excluded.pod_uuid, stored.pod_uuid)
WHERE stored.performance || (excluded.performance - 'created_at') IS DISTINCT FROM stored.performance;

-- name: note_latest
-- Move the newest values of runs forward; a late delivery fills in only what is missing. Locks the
-- runs' rows until the transaction ends, and tells up to which step each is laid out in chunks.
INSERT INTO run_last AS stored
    (workload_uid, serial, data_source, last_step, last_at, received_at, last_values)
SELECT workload_uid, serial, data_source, last_step, to_timestamp(at), to_timestamp($7), last_values
FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::float8[], $6::jsonb[])
     AS given (workload_uid, serial, data_source, last_step, at, last_values)
ON CONFLICT (workload_uid, serial, data_source) DO UPDATE SET
    last_values = CASE WHEN excluded.last_at >= stored.last_at
                       THEN stored.last_values || excluded.last_values
                       ELSE excluded.last_values || stored.last_values END,
    last_step   = CASE WHEN excluded.last_at >= stored.last_at
                       THEN excluded.last_step ELSE stored.last_step END,
    last_at     = greatest(stored.last_at, excluded.last_at),
    received_at = greatest(stored.received_at, excluded.received_at)
RETURNING workload_uid, serial, data_source, sealed_step;
