-- The first house: steps, runs, latest values, detections, pods, parked reports, streams.

-- One row per step of a run: the specification's table. The unique key leads to a run's latest rows
-- in its own order, so `ORDER BY iteration DESC LIMIT 1` reads one index page.
CREATE TABLE training_performance (
    id           BIGINT GENERATED ALWAYS AS IDENTITY,
    iteration    BIGINT       NOT NULL,
    created_at   TIMESTAMPTZ  NOT NULL,  -- when the job logged the step's first point; never moves
    serial       INTEGER      NOT NULL DEFAULT 1,
    workload_uid VARCHAR(255) NOT NULL,
    pod_uuid     VARCHAR(255),
    data_source  VARCHAR(50)  NOT NULL,
    performance  JSONB        NOT NULL,
    point_times  JSONB,  -- Unix seconds of the metrics that were logged at another time than created_at
    PRIMARY KEY (workload_uid, data_source, iteration, serial)
);

-- The runs of a workload, numbered from 1 in the order they were first seen.
CREATE TABLE training_run (
    workload_uid VARCHAR(255) NOT NULL,
    serial       INTEGER      NOT NULL,
    run_id       VARCHAR(255) NOT NULL,
    first_seen   TIMESTAMPTZ  NOT NULL,
    facts        JSONB        NOT NULL DEFAULT '{}',
    definitions  JSONB        NOT NULL DEFAULT '{}',
    PRIMARY KEY (workload_uid, serial),
    UNIQUE (workload_uid, run_id)
);

-- The newest value of every metric of a run, so that a fleet is one row per run.
CREATE TABLE run_last (
    last_step    BIGINT       NOT NULL,
    last_at      TIMESTAMPTZ  NOT NULL,  -- the job's clock
    received_at  TIMESTAMPTZ  NOT NULL,  -- the server's clock
    serial       INTEGER      NOT NULL,
    workload_uid VARCHAR(255) NOT NULL,
    data_source  VARCHAR(50)  NOT NULL,
    last_values  JSONB        NOT NULL,
    PRIMARY KEY (workload_uid, serial, data_source)
) WITH (fillfactor = 70);

-- What framework a workload runs, from all sources together. Without a framework the row keeps the
-- evidence alone.
CREATE TABLE framework_detection (
    workload_uid      VARCHAR(255) PRIMARY KEY,
    framework         VARCHAR(100),
    framework_layer   VARCHAR(20),
    wrapper_framework VARCHAR(100),
    base_framework    VARCHAR(100),
    workload_type     VARCHAR(50)      NOT NULL DEFAULT 'training',
    confidence        DOUBLE PRECISION NOT NULL DEFAULT 0,
    status            VARCHAR(20)      NOT NULL DEFAULT 'unknown',
    method            VARCHAR(50),
    sources           JSONB            NOT NULL DEFAULT '{}',  -- each source's surest report
    conflicts         JSONB            NOT NULL DEFAULT '[]',
    created_at        TIMESTAMPTZ      NOT NULL,
    updated_at        TIMESTAMPTZ      NOT NULL
);

-- Which pods belong to which workloads; a pod may belong to several.
CREATE TABLE pod_cache (
    workload_uid VARCHAR(255) NOT NULL,
    namespace    VARCHAR(255) NOT NULL DEFAULT '',
    pod_name     VARCHAR(255) NOT NULL,
    pod_uid      VARCHAR(255) NOT NULL DEFAULT '',
    seen_at      TIMESTAMPTZ  NOT NULL DEFAULT now(),
    PRIMARY KEY (workload_uid, namespace, pod_name, pod_uid)
);
CREATE INDEX pod_cache_by_name ON pod_cache (pod_name);

-- Reports of pods nobody has seen yet, kept as they came until pod_cache knows the pod.
CREATE TABLE parked_report (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace   VARCHAR(255) NOT NULL,
    pod_name    VARCHAR(255) NOT NULL,
    pod_uid     VARCHAR(255) NOT NULL,
    kind        VARCHAR(20)  NOT NULL,
    body        BYTEA        NOT NULL,
    received_at TIMESTAMPTZ  NOT NULL
);
CREATE INDEX parked_report_by_pod ON parked_report (pod_name);

-- Which records of a stream are stored; written in the transaction that stores them.
CREATE TABLE ingest_stream (
    stream     VARCHAR(128)   PRIMARY KEY,
    accepted   INT8MULTIRANGE NOT NULL DEFAULT '{}',
    updated_at TIMESTAMPTZ    NOT NULL
) WITH (fillfactor = 70);

-- Records a stream confessed to have lost.
CREATE TABLE ingest_gap (
    workload_uid VARCHAR(255) NOT NULL,
    run_id       VARCHAR(255) NOT NULL,
    stream       VARCHAR(128) NOT NULL,
    first_record BIGINT       NOT NULL,
    last_record  BIGINT       NOT NULL,
    points       BIGINT       NOT NULL,
    reason       VARCHAR(20)  NOT NULL,
    reported_at  TIMESTAMPTZ  NOT NULL,
    PRIMARY KEY (workload_uid, run_id, stream, first_record, last_record)
);

-- Whether a step's new document changes a value that is stored.
CREATE FUNCTION lens_replaces(old JSONB, new JSONB) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT EXISTS (
        SELECT FROM jsonb_each(new - 'created_at') AS n
        WHERE old ? n.key AND old -> n.key IS DISTINCT FROM n.value
    )
$$;

-- A step's document with a newer one laid over it. What it replaces goes to history, newest last,
-- 64 kept, all counted.
CREATE FUNCTION lens_merge_step(old JSONB, new JSONB) RETURNS JSONB
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    merged  JSONB := old || (new - 'created_at')
                  || jsonb_build_object('updated_at', new -> 'created_at');
    history JSONB;
BEGIN
    IF NOT lens_replaces(old, new) THEN
        RETURN merged;
    END IF;
    history := coalesce(old -> 'history', '[]') || jsonb_build_array(
        (old - '{history,history_total}'::text[])
        || jsonb_build_object('updated_at', coalesce(old -> 'updated_at', old -> 'created_at')));
    IF jsonb_array_length(history) > 64 THEN
        history := history - 0;
    END IF;
    RETURN merged || jsonb_build_object(
        'history', history,
        'history_total', coalesce((old ->> 'history_total')::BIGINT, 0) + 1);
END
$$;

-- The times of a step's points after a newer document is laid over it: every metric that is new or
-- changed has the newer time.
CREATE FUNCTION lens_merge_times(
    old JSONB, new JSONB,
    old_times JSONB, new_times JSONB,
    old_at TIMESTAMPTZ, new_at TIMESTAMPTZ
) RETURNS JSONB
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN old_at = new_at AND new_times IS NULL THEN old_times ELSE
        coalesce(old_times, '{}') || coalesce((
            SELECT jsonb_object_agg(
                n.key, coalesce(new_times -> n.key, to_jsonb(extract(epoch FROM new_at))))
            FROM jsonb_each(new - '{source,run_id,step,created_at}'::text[]) AS n
            WHERE old -> n.key IS DISTINCT FROM n.value
        ), '{}')
    END
$$;
