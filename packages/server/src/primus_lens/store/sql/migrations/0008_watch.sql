-- The watch over running runs: what it found, what it remembers, what people set.

-- One row per trouble of a run. A trouble is known by where it began, so that judging the same rows
-- again, after a restart or by another replica, writes the same row.
CREATE TABLE alert (
    since_step     BIGINT       NOT NULL,
    since          TIMESTAMPTZ  NOT NULL,  -- the job's clock
    last_step      BIGINT       NOT NULL,  -- up to where it was judged
    last_seen      TIMESTAMPTZ  NOT NULL,  -- the job's clock
    opened_at      TIMESTAMPTZ  NOT NULL,  -- the server's clock
    closed_at      TIMESTAMPTZ,            -- NULL while it is open
    told_opened_at TIMESTAMPTZ,            -- to the webhook
    told_closed_at TIMESTAMPTZ,
    serial         INTEGER      NOT NULL,
    passing        BOOLEAN      NOT NULL,  -- over before it was worth telling
    workload_uid   VARCHAR(255) NOT NULL,
    data_source    VARCHAR(50)  NOT NULL,
    kind           VARCHAR(20)  NOT NULL,
    metric         TEXT         NOT NULL,  -- '' for what concerns the whole run
    text           TEXT         NOT NULL,
    PRIMARY KEY (workload_uid, data_source, serial, kind, metric, since_step)
);
CREATE INDEX alert_open ON alert (workload_uid) WHERE closed_at IS NULL;
CREATE INDEX alert_untold ON alert (opened_at)
    WHERE NOT passing AND (told_opened_at IS NULL OR told_closed_at IS NULL);
CREATE INDEX alert_newest ON alert (opened_at);

-- What the watch remembers of a run, so that its rows are judged once.
CREATE TABLE watch_state (
    saved_at     TIMESTAMPTZ  NOT NULL,
    serial       INTEGER      NOT NULL,
    workload_uid VARCHAR(255) NOT NULL,
    data_source  VARCHAR(50)  NOT NULL,
    state        BYTEA        NOT NULL,
    PRIMARY KEY (workload_uid, data_source, serial)
);

-- What people set for one workload.
CREATE TABLE watch_setting (
    updated_at     TIMESTAMPTZ   NOT NULL,
    silenced_until TIMESTAMPTZ,
    workload_uid   VARCHAR(255)  PRIMARY KEY,
    silenced_kinds VARCHAR(20)[] NOT NULL DEFAULT '{}',  -- empty: all
    thresholds     JSONB         NOT NULL DEFAULT '{}'   -- what differs from the server's
);

-- Which streams bring a run's points, for the health of what comes.
CREATE TABLE run_stream (
    serial       INTEGER      NOT NULL,
    workload_uid VARCHAR(255) NOT NULL,
    stream       VARCHAR(128) NOT NULL,
    PRIMARY KEY (workload_uid, serial, stream)
);
