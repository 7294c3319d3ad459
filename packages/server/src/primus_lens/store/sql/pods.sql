-- name: workloads_of_pods
-- The workloads of each asked pod.
SELECT asked.place, found.workload_uid
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
         AS asked (namespace, pod_name, pod_uid, place)
CROSS JOIN LATERAL lens_workloads_of_pod(asked.namespace, asked.pod_name, asked.pod_uid) AS found
ORDER BY asked.place, found.workload_uid;

-- name: add_pods
-- Remember which pods belong to which workloads; one that is known keeps the time it was seen.
INSERT INTO pod_cache (workload_uid, namespace, pod_name, pod_uid, seen_at)
SELECT given.*, to_timestamp($5)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
     AS given (workload_uid, namespace, pod_name, pod_uid)
WHERE NOT EXISTS (
    SELECT FROM pod_cache AS cached
    WHERE cached.workload_uid = given.workload_uid AND cached.namespace = given.namespace
      AND cached.pod_name = given.pod_name AND cached.pod_uid = given.pod_uid)
ORDER BY 1, 2, 3, 4
ON CONFLICT DO NOTHING
RETURNING workload_uid;

-- name: list_pods
-- Pods in order, those of one workload or pod name where one is given. $3, $4: page.
SELECT workload_uid, namespace, pod_name, pod_uid,
       (extract(epoch FROM seen_at) * 1000)::bigint AS seen_at
FROM pod_cache
WHERE ($1 = '' OR workload_uid = $1) AND ($2 = '' OR pod_name = $2)
ORDER BY pod_cache.workload_uid, namespace, pod_name, pod_uid LIMIT $3 OFFSET $4;

-- name: count_pods
-- How many pods there are on all pages.
SELECT count(*) FROM pod_cache
WHERE ($1 = '' OR workload_uid = $1) AND ($2 = '' OR pod_name = $2);

-- name: remove_pods
-- Forget pods of a workload; '' means any.
DELETE FROM pod_cache
WHERE workload_uid = $1 AND ($2 = '' OR namespace = $2) AND ($3 = '' OR pod_name = $3)
  AND ($4 = '' OR pod_uid = $4)
RETURNING workload_uid;

-- name: park_report
-- Keep a report of a pod nobody has seen yet.
INSERT INTO parked_report (namespace, pod_name, pod_uid, kind, run_id, body, received_at, points)
VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7), $8);

-- name: claim_parked
-- The oldest parked reports whose pod is known by now, but for those that are set aside until after
-- $2 and what came later of their runs.
SELECT id, namespace, pod_name, pod_uid, kind, run_id, body, retry_at IS NOT NULL AS was_set_aside
FROM parked_report AS parked
WHERE (namespace, pod_name, pod_uid) IN (
    SELECT namespace, pod_name, pod_uid
    FROM (SELECT DISTINCT namespace, pod_name, pod_uid FROM parked_report) AS waiting
    WHERE EXISTS (SELECT FROM lens_workloads_of_pod(namespace, pod_name, pod_uid)))
  AND NOT EXISTS (
    SELECT FROM parked_report AS ahead
    WHERE ahead.retry_at > to_timestamp($2) AND ahead.id <= parked.id
      AND (ahead.namespace, ahead.pod_name, ahead.pod_uid, ahead.kind)
          = (parked.namespace, parked.pod_name, parked.pod_uid, parked.kind)
      AND (ahead.run_id = parked.run_id) IS NOT FALSE)
ORDER BY id LIMIT $1 FOR UPDATE;

-- name: set_aside
-- Not to try parked reports again before $2.
UPDATE parked_report SET retry_at = to_timestamp($2) WHERE id = ANY($1::bigint[]);

-- name: try_lock_parked
-- Whether this transaction is now the only one that attaches parked reports: their order matters.
SELECT pg_try_advisory_xact_lock(7236102947002);

-- name: pods_that_wait
-- Those of the asked pods of which points are parked.
SELECT DISTINCT namespace, pod_name, pod_uid
FROM parked_report JOIN unnest($1::text[], $2::text[], $3::text[])
    AS asked (namespace, pod_name, pod_uid) USING (namespace, pod_name, pod_uid)
WHERE kind = 'report';

-- name: unpark
-- Forget parked reports that wait no longer.
DELETE FROM parked_report WHERE id = ANY($1::bigint[]);

-- name: expire_parked
-- Forget some of the reports parked before $1 whose pod never appeared; at most $2.
WITH old AS (
    SELECT id FROM parked_report WHERE received_at < to_timestamp($1)
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM parked_report WHERE id IN (SELECT id FROM old) RETURNING points
)
SELECT count(*) AS reports, coalesce(sum(points), 0)::bigint AS points FROM gone;
