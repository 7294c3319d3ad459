-- name: workloads_of_pods
-- The workloads of each asked pod. An empty namespace or uid on either side matches any.
SELECT DISTINCT asked.place, cached.workload_uid
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
         AS asked (namespace, pod_name, pod_uid, place)
JOIN pod_cache AS cached ON cached.pod_name = asked.pod_name
    AND (asked.namespace = '' OR cached.namespace = '' OR cached.namespace = asked.namespace)
    AND (asked.pod_uid = '' OR cached.pod_uid = '' OR cached.pod_uid = asked.pod_uid)
ORDER BY asked.place, cached.workload_uid;

-- name: park_report
-- Keep a report of a pod nobody has seen yet.
INSERT INTO parked_report (namespace, pod_name, pod_uid, kind, body, received_at)
VALUES ($1, $2, $3, $4, $5, to_timestamp($6));

-- name: claim_parked
-- The oldest parked reports whose pod is known by now, locked; another replica takes others.
SELECT id, namespace, pod_name, pod_uid, kind, body, received_at
FROM parked_report AS parked
WHERE EXISTS (
    SELECT FROM pod_cache AS cached
    WHERE cached.pod_name = parked.pod_name
      AND (parked.namespace = '' OR cached.namespace = '' OR cached.namespace = parked.namespace)
      AND (parked.pod_uid = '' OR cached.pod_uid = '' OR cached.pod_uid = parked.pod_uid))
ORDER BY id LIMIT $1
FOR UPDATE SKIP LOCKED;

-- name: unpark
-- Forget parked reports that have been stored.
DELETE FROM parked_report WHERE id = ANY($1::bigint[]);
