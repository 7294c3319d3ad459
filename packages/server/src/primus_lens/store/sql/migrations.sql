-- name: one_at_a_time
-- A number of our own choosing; replicas that start together migrate one after another.
SELECT pg_advisory_xact_lock(7236102947001);

-- name: create_schema_migration
-- The list of what was applied.
CREATE TABLE IF NOT EXISTS schema_migration (
    name       VARCHAR(255) PRIMARY KEY,
    checksum   CHAR(64)     NOT NULL,
    applied_at TIMESTAMPTZ  NOT NULL DEFAULT now()
);

-- name: list_applied
-- What was applied, oldest first.
SELECT name, checksum FROM schema_migration ORDER BY name;

-- name: note_applied
-- Remember a migration and what it was.
INSERT INTO schema_migration (name, checksum) VALUES ($1, $2);
