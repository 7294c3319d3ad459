-- What is newest, and which attempt of a run is the later one, are told by the server's clock.

ALTER TABLE run_last  -- last_at by the server's clock, which the newest values are those of
    ADD COLUMN last_at_ours TIMESTAMPTZ NOT NULL DEFAULT '-infinity';
UPDATE run_last SET last_at_ours = last_at;

-- When each attempt of the run began by the server's clock, by what the job's clock said.
ALTER TABLE training_run ADD COLUMN attempts JSONB NOT NULL DEFAULT '{}';

-- Whether an attempt is later (1) or earlier (-1) than the one that is known. told_at: its beginning by
-- the server's clock, as far as what tells of it now shows; what told of it first knew better.
CREATE FUNCTION lens_attempts_compared(attempts JSONB, told TEXT, told_at FLOAT8, known TEXT)
RETURNS FLOAT8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sign(coalesce((attempts ->> told)::float8, told_at, known_at) - known_at)
    FROM (SELECT coalesce((attempts ->> known)::float8, known::float8, 0) AS known_at) AS known_one
$$;
