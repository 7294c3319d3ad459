-- Pods: found by uid, a name meaning its newest life; what waits for its pod says how much it is.

CREATE INDEX pod_cache_by_uid ON pod_cache (pod_uid);
ALTER TABLE parked_report ADD COLUMN points INTEGER NOT NULL DEFAULT 0;  -- numbers it holds
CREATE INDEX parked_report_by_age ON parked_report (received_at);

-- The workloads of a pod. A uid is decisive; a name without one means the pod of that name and
-- namespace that was seen last. An empty namespace or uid on either side matches any.
CREATE FUNCTION lens_workloads_of_pod(asked_namespace TEXT, asked_name TEXT, asked_uid TEXT)
RETURNS TABLE (workload_uid VARCHAR)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT DISTINCT cached.workload_uid FROM pod_cache AS cached
    WHERE (asked_uid <> '' AND cached.pod_uid = asked_uid)
       OR (asked_name <> '' AND cached.pod_name = asked_name
           AND (asked_namespace = '' OR cached.namespace IN ('', asked_namespace))
           AND (cached.pod_uid = '' OR (asked_uid = '' AND NOT EXISTS (
               SELECT FROM pod_cache AS later
               WHERE later.pod_name = cached.pod_name AND later.namespace = cached.namespace
                 AND later.pod_uid NOT IN ('', cached.pod_uid) AND later.seen_at > cached.seen_at
           ))))
$$;
