-- name: add_token
-- Remember a new token by the digest of its secret.
INSERT INTO api_token (id, name, scopes, digest, created_at, expires_at)
VALUES ($1, $2, $3, $4, to_timestamp($5), to_timestamp($6));

-- name: list_tokens
-- Every token there ever was, the oldest first.
SELECT id, name, scopes, digest,
       extract(epoch FROM created_at)::float8 AS created_at,
       extract(epoch FROM expires_at)::float8 AS expires_at,
       extract(epoch FROM revoked_at)::float8 AS revoked_at,
       extract(epoch FROM last_used_at)::float8 AS last_used_at
FROM api_token ORDER BY api_token.created_at, id;

-- name: revoke_token
-- End a token for good; one that was revoked before keeps that time.
UPDATE api_token SET revoked_at = coalesce(revoked_at, to_timestamp($2)) WHERE id = $1 RETURNING id;

-- name: note_token_used
-- When a token was last used, to the minute, whichever replica saw it.
UPDATE api_token SET last_used_at = to_timestamp($2)
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= to_timestamp($2) - interval '1 minute');
