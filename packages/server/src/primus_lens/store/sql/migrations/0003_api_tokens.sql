-- Who may report and who may read.

-- Tokens are few, and kept after they are revoked: the list says what was once allowed.
CREATE TABLE api_token (
    id           VARCHAR(12)   PRIMARY KEY,
    digest       BYTEA         NOT NULL,  -- SHA-256 of the secret, which is stored nowhere
    name         VARCHAR(255)  NOT NULL DEFAULT '',
    scopes       VARCHAR(20)[] NOT NULL,
    created_at   TIMESTAMPTZ   NOT NULL,
    expires_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ
);
