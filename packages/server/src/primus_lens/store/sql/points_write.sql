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
    pod_uuid    = coalesce(excluded.pod_uuid, stored.pod_uuid),
    replaced    = stored.replaced OR lens_replaces(stored.performance, excluded.performance)
WHERE stored.performance || (excluded.performance - 'created_at') IS DISTINCT FROM stored.performance;

-- name: note_latest
-- Move the newest values of runs forward; a late delivery fills in only what is missing. Locks the
-- runs' rows until the transaction ends, so that a run's versions are committed in their order; notes
-- what each version touched, wakes who follows the run, and tells up to which step each is laid out
-- in chunks. $7, $8: the loss and how surely it
-- is one. $9, $10: the rings, oldest first. $11: see run_change. $12: those of the newest values that a
-- fleet shows. $14: when the newest row was logged by our clock; the newest values are told by it alone.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::float8[], $6::jsonb[],
                         $7::text[], $8::smallint[], $9::bytea[], $10::bytea[], $11::text[],
                         $12::jsonb[], $14::float8[])
        AS given (workload_uid, serial, data_source, last_step, at, last_values, loss_metric,
                  loss_rank, recent_steps, recent_losses, touched, shown, at_ours)
), noted AS (
    INSERT INTO run_last AS stored
        (workload_uid, serial, data_source, last_step, last_at, received_at, last_values, version,
         loss_metric, loss_rank, recent_steps, recent_losses, shown, last_at_ours)
    SELECT workload_uid, serial, data_source, last_step, to_timestamp(at), to_timestamp($13),
           last_values, 1, loss_metric, loss_rank, recent_steps, recent_losses, shown,
           to_timestamp(at_ours)
    FROM given
    ON CONFLICT (workload_uid, serial, data_source) DO UPDATE SET
        last_values = CASE WHEN excluded.last_at_ours >= stored.last_at_ours
                           THEN stored.last_values || excluded.last_values
                           ELSE excluded.last_values || stored.last_values END,
        shown       = CASE WHEN excluded.last_at_ours >= stored.last_at_ours
                           THEN stored.shown || excluded.shown
                           ELSE excluded.shown || stored.shown END,
        last_step   = CASE WHEN excluded.last_at_ours >= stored.last_at_ours
                           THEN excluded.last_step ELSE stored.last_step END,
        last_at     = CASE WHEN excluded.last_at_ours >= stored.last_at_ours
                           THEN excluded.last_at ELSE stored.last_at END,
        last_at_ours = greatest(stored.last_at_ours, excluded.last_at_ours),
        received_at = greatest(stored.received_at, excluded.received_at),
        version     = stored.version + 1,
        recent_steps =
            CASE WHEN (excluded.last_at_ours, excluded.last_step)
                      > (stored.last_at_ours, stored.last_step)
                 THEN lens_newest(stored.recent_steps || excluded.recent_steps, 512)
                 ELSE stored.recent_steps END,
        recent_losses =
            CASE WHEN excluded.loss_metric = stored.loss_metric THEN
                      CASE WHEN (excluded.last_at_ours, excluded.last_step)
                                > (stored.last_at_ours, stored.last_step)
                           THEN lens_newest(stored.recent_losses || excluded.recent_losses, 512)
                           ELSE stored.recent_losses END
                 WHEN stored.loss_metric IS NULL OR excluded.loss_rank < stored.loss_rank
                 THEN excluded.recent_losses
                 ELSE stored.recent_losses END,
        loss_metric = CASE WHEN stored.loss_metric IS NULL OR excluded.loss_rank < stored.loss_rank
                           THEN excluded.loss_metric ELSE stored.loss_metric END,
        loss_rank   = least(stored.loss_rank, excluded.loss_rank)
    RETURNING workload_uid, serial, data_source, sealed_step, version
), logged AS (
    INSERT INTO run_change (workload_uid, serial, data_source, version, stored_at, touched)
    SELECT workload_uid, serial, data_source, version, to_timestamp($13), touched
    FROM noted JOIN given USING (workload_uid, serial, data_source)
)
SELECT workload_uid, serial, data_source, sealed_step,
       pg_notify('lens_stored', workload_uid) AS told
FROM noted;
