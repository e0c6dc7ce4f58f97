-- Personal access tokens. Only the hash of the secret part is kept.
CREATE TABLE token (
    id          TEXT    NOT NULL PRIMARY KEY,
    secret_hash BLOB    NOT NULL,
    user        TEXT    NOT NULL,
    project     TEXT,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;

CREATE INDEX token_user ON token (user);
