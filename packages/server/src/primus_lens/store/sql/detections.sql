-- name: lock_detection
-- A workload's row, made when it is the first, locked until the transaction ends.
INSERT INTO framework_detection AS stored (workload_uid, created_at, updated_at)
VALUES ($1, to_timestamp($2), to_timestamp($2))
ON CONFLICT (workload_uid) DO UPDATE SET workload_uid = stored.workload_uid
RETURNING sources;

-- name: write_detection
-- What all sources together say now.
UPDATE framework_detection SET
    framework = $2, framework_layer = $3, wrapper_framework = nullif($4, ''),
    base_framework = nullif($5, ''), confidence = $6, status = $7, method = $8,
    conflicts = $9, updated_at = to_timestamp($10)
WHERE workload_uid = $1;

-- name: write_no_detection
-- No source names a framework (any more).
UPDATE framework_detection SET
    framework = NULL, framework_layer = NULL, wrapper_framework = NULL, base_framework = NULL,
    confidence = 0, status = 'unknown', method = NULL, conflicts = '[]',
    updated_at = to_timestamp($2)
WHERE workload_uid = $1;

-- name: write_sources
-- What each source last said, with its evidence.
UPDATE framework_detection SET sources = $2, updated_at = to_timestamp($3) WHERE workload_uid = $1;

-- name: read_detection
-- All that is known of a workload's framework.
SELECT framework, framework_layer, wrapper_framework, base_framework, workload_type, confidence,
       status, method, sources, conflicts, created_at, updated_at
FROM framework_detection WHERE workload_uid = $1;
