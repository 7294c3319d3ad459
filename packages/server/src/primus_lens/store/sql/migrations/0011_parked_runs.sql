-- A parked report that meets a bug of ours is set aside with what comes later of its run; others go on.
ALTER TABLE parked_report
    ADD COLUMN run_id   VARCHAR(255),  -- NULL: parked before this was kept, so it may be any run's
    ADD COLUMN retry_at TIMESTAMPTZ;   -- set aside; not tried again before
CREATE INDEX parked_report_set_aside ON parked_report (pod_name) WHERE retry_at IS NOT NULL;
