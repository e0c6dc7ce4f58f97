-- Controllers that were invited, their one-time codes (hashed) and the certificates of their links.
CREATE TABLE controller (
    id          TEXT    NOT NULL PRIMARY KEY,
    invited_at  INTEGER NOT NULL,
    joined_at   INTEGER,
    -- Never taken back: certificates that this table doesn't list count only while nothing stands here.
    expelled_at INTEGER,
    -- Links that the serving hub holds, and when it said so.
    links       INTEGER NOT NULL DEFAULT 0,
    links_at    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE invite (
    id          INTEGER NOT NULL PRIMARY KEY,
    controller  TEXT    NOT NULL REFERENCES controller (id),
    secret_hash BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    -- Used, or taken back by a later code or an expulsion.
    closed_at   INTEGER
) STRICT;

CREATE INDEX invite_controller ON invite (controller);

CREATE TABLE link_certificate (
    fingerprint TEXT    NOT NULL PRIMARY KEY,
    controller  TEXT    NOT NULL REFERENCES controller (id),
    issued_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;

CREATE INDEX link_certificate_controller ON link_certificate (controller);
