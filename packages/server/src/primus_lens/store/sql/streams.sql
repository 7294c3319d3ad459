-- name: open_streams
-- Make a row for streams seen for the first time.
INSERT INTO ingest_stream (stream, updated_at, opened_at)
SELECT stream, to_timestamp($2), to_timestamp($2) FROM unnest($1::text[]) AS given (stream) ORDER BY stream
ON CONFLICT DO NOTHING;

-- name: lock_streams
-- Which records are known, locked in one order so that replicas cannot deadlock; and of a stream that
-- was first seen after others were forgotten, up to which Unix second it may be one of those.
SELECT stream, accepted,
       (SELECT extract(epoch FROM forgotten_up_to)::float8 FROM stream_horizon
        WHERE forgotten_up_to < opened_at) AS forgotten_up_to
FROM ingest_stream WHERE stream = ANY($1::text[]) ORDER BY stream FOR UPDATE;

-- name: mark_records
-- Remember records as stored.
UPDATE ingest_stream AS s
SET accepted = s.accepted + given.records, updated_at = to_timestamp($4)
FROM (
    SELECT stream, range_agg(int8range(first_record, last_record, '[]')) AS records
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS g (stream, first_record, last_record)
    GROUP BY stream
) AS given
WHERE s.stream = given.stream;

-- name: note_gaps
-- Records a stream lost for good; told twice is told once.
INSERT INTO ingest_gap
    (workload_uid, run_id, stream, first_record, last_record, points, reason, reported_at)
SELECT $1, $2, $3, first_record, last_record, points, reason, to_timestamp($8)
FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
     AS given (first_record, last_record, points, reason)
ON CONFLICT DO NOTHING;
