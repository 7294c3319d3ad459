-- Columnar chunks: settled steps a second time, packed by series. Derived from training_performance
-- and disposable; which steps they hold is exact at all times (docs/adr/0010-columnar-chunks.md).

-- Steps up to this one are laid out in ranges. Whoever stores a step at or below it marks its range
-- changed, in the same transaction and after this row was locked by note_latest.
ALTER TABLE run_last ADD COLUMN sealed_step BIGINT NOT NULL DEFAULT -1;

-- Ranges of steps of one source of one run. They follow one another without a hole from step 0 to
-- sealed_step. The axis is what all series of a range share.
CREATE TABLE chunk_axis (
    axis_id      BIGINT GENERATED ALWAYS AS IDENTITY,
    first_step   BIGINT       NOT NULL,  -- both ends belong to the range, stored or not
    last_step    BIGINT       NOT NULL,
    version      BIGINT       NOT NULL DEFAULT 1,  -- moves with every change of a step in the range
    built        BIGINT       NOT NULL DEFAULT 0,  -- the version the chunks hold; read when equal
    changed_at   TIMESTAMPTZ  NOT NULL,  -- the server's clock
    serial       INTEGER      NOT NULL,
    steps_stored INTEGER      NOT NULL,
    workload_uid VARCHAR(255) NOT NULL,
    data_source  VARCHAR(50)  NOT NULL,
    steps        BYTEA        NOT NULL DEFAULT '',  -- pcodec, int64
    times        BYTEA        NOT NULL DEFAULT '',  -- pcodec, int64, Unix milliseconds
    PRIMARY KEY (workload_uid, data_source, serial, first_step),
    UNIQUE (workload_uid, axis_id)
);
CREATE INDEX chunk_axis_changed ON chunk_axis (changed_at) WHERE built <> version;

-- The names of a workload's metrics, as they stand in training_performance.
CREATE TABLE series (
    series_id    BIGINT GENERATED ALWAYS AS IDENTITY,
    workload_uid VARCHAR(255) NOT NULL,
    key          TEXT         NOT NULL,
    PRIMARY KEY (workload_uid, key),
    UNIQUE (workload_uid, series_id)
);

-- One chunk: the points of one series in one range. Statistics are of the finite values, NULL
-- without any.
CREATE TABLE metrics_storage (
    axis_id      BIGINT       NOT NULL,
    series_id    BIGINT       NOT NULL,
    first_step   BIGINT       NOT NULL,
    last_step    BIGINT       NOT NULL,
    min          FLOAT8,
    max          FLOAT8,
    sum          FLOAT8,
    first        FLOAT8,
    last         FLOAT8,
    n            INTEGER      NOT NULL,
    nans         INTEGER      NOT NULL,
    infinities   INTEGER      NOT NULL,
    negative_infinities INTEGER NOT NULL,
    inexact      INTEGER      NOT NULL,  -- integers that float64 cannot hold; their rows must stay
    serial       INTEGER      NOT NULL,
    workload_uid VARCHAR(255) NOT NULL,
    data_source  VARCHAR(50)  NOT NULL,
    numbers      BYTEA        NOT NULL,  -- pcodec, float64
    positions    BYTEA,  -- pcodec, uint32: which steps of the axis; NULL: all of them
    times        BYTEA,  -- pcodec, int64, Unix milliseconds; NULL: those of the axis
    PRIMARY KEY (workload_uid, series_id, axis_id) INCLUDE (n)
);
-- Packed bytes do not pack again.
ALTER TABLE chunk_axis ALTER COLUMN steps SET STORAGE EXTERNAL, ALTER COLUMN times SET STORAGE EXTERNAL;
ALTER TABLE metrics_storage ALTER COLUMN numbers SET STORAGE EXTERNAL,
    ALTER COLUMN positions SET STORAGE EXTERNAL, ALTER COLUMN times SET STORAGE EXTERNAL;
