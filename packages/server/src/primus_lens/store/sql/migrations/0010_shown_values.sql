-- The newest values that a fleet shows, beside all of them: telling fifty numbers of a thousand runs as
-- JSON, to show six, was half of what the list of workloads cost.
ALTER TABLE run_last ADD COLUMN shown JSONB NOT NULL DEFAULT '{}';

-- As store/pulse chooses them: every loss, what progress is told by, and the first six of the others.
UPDATE run_last SET shown = coalesce((
    SELECT jsonb_object_agg(key, value) FROM (
        SELECT key, value, kept,
               row_number() OVER (PARTITION BY kept ORDER BY key COLLATE "C") AS place
        FROM jsonb_each(last_values) AS metric
        CROSS JOIN LATERAL (SELECT strpos(lower(key), 'loss') > 0 OR key IN
            ('target_iteration', 'iteration', 'global_step', 'train/global_step',
             'trainer/global_step') AS kept) AS of_metric
    ) AS placed WHERE kept OR place <= 6), '{}');
