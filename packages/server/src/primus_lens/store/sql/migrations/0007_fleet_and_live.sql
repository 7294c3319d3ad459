-- What a fleet shows of a run without reading its curves, and what lets readers follow a run live.

-- Rings of the newest 32: little pairs of float64, so that a fleet is read without unpacking JSON.
ALTER TABLE run_last
    ADD COLUMN version      BIGINT NOT NULL DEFAULT 0,  -- moves with every transaction of the run
    ADD COLUMN loss_rank    SMALLINT,  -- how surely loss_metric is the loss; the lowest is the surest
    ADD COLUMN loss_metric  TEXT,
    ADD COLUMN recent_steps BYTEA NOT NULL DEFAULT '',  -- (step, Unix seconds), oldest first
    ADD COLUMN recent_losses BYTEA NOT NULL DEFAULT '';  -- (step, value) of loss_metric, oldest first

-- The newest `bytes` bytes of a ring.
CREATE FUNCTION lens_newest(ring BYTEA, bytes INT) RETURNS BYTEA
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT substr(ring, greatest(1, octet_length(ring) - bytes + 1))
$$;

-- How far the job means to go, as its config says; and its facts without what may be large.
ALTER TABLE training_run
    ADD COLUMN target_step BIGINT,
    ADD COLUMN brief JSONB GENERATED ALWAYS AS (facts - '{config,summary}'::text[]) STORED;

-- Which steps and metrics each transaction of a run touched, for as long as a live reader may have
-- been away. Not logged: after a crash readers read anew.
CREATE UNLOGGED TABLE run_change (
    version      BIGINT       NOT NULL,  -- of run_last
    stored_at    TIMESTAMPTZ  NOT NULL,  -- the server's clock
    serial       INTEGER      NOT NULL,
    workload_uid VARCHAR(255) NOT NULL,
    data_source  VARCHAR(50)  NOT NULL,
    touched      TEXT         NOT NULL,  -- JSON: [[[first step, last step], ...], [name, ...]], ...
    PRIMARY KEY (workload_uid, serial, data_source, version)
);
CREATE INDEX run_change_by_age ON run_change USING brin (stored_at);

-- Whether a step's history holds something, so that replaced points are found without a search.
ALTER TABLE training_performance ADD COLUMN replaced BOOLEAN NOT NULL DEFAULT false;
UPDATE training_performance SET replaced = true WHERE performance ? 'history';
CREATE INDEX training_performance_replaced
    ON training_performance (workload_uid, data_source, serial, iteration) WHERE replaced;
