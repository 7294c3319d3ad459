-- What may be given up after a time: rows of built ranges, and which records of a stream are stored.

-- A range may live by its chunks alone. Whoever stores a step in it brings its rows back first, in
-- the same transaction; so what is not built has its rows, which compaction relies on.
ALTER TABLE chunk_axis
    ADD COLUMN rows_dropped BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN keep_rows    BOOLEAN NOT NULL DEFAULT false,  -- the chunks alone do not tell all
    ADD COLUMN from_ms      BIGINT,  -- of a range without rows: the earliest time of its points
    ADD CONSTRAINT chunk_axis_has_rows_or_chunks CHECK (NOT rows_dropped OR built = version);
UPDATE chunk_axis AS axis SET keep_rows = true
WHERE EXISTS (
    SELECT FROM metrics_storage AS chunk
    WHERE chunk.workload_uid = axis.workload_uid AND chunk.axis_id = axis.axis_id
      AND chunk.inexact > 0);
CREATE INDEX chunk_axis_droppable ON chunk_axis (changed_at)
    WHERE built = version AND NOT rows_dropped AND NOT keep_rows;
CREATE INDEX chunk_axis_dropped ON chunk_axis (workload_uid) WHERE rows_dropped;

-- A stream that is forgotten could be told again. So what is as old as that is refused of every
-- stream that is first seen afterwards.
ALTER TABLE ingest_stream ADD COLUMN opened_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity';
CREATE INDEX ingest_stream_by_age ON ingest_stream (updated_at);
CREATE TABLE stream_horizon (
    only_row        BOOLEAN     PRIMARY KEY DEFAULT true CHECK (only_row),
    forgotten_up_to TIMESTAMPTZ NOT NULL  -- streams not heard since are forgotten
);
