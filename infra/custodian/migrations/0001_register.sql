-- The controllers whose spokes may ask, and what they have asked. Counts only: nothing of an element stands here.

CREATE TABLE controllers (
    name        TEXT PRIMARY KEY,
    approver    TEXT NOT NULL,            -- public key of the controller's approver, hex
    population  INTEGER NOT NULL CHECK (population > 0),
    added       TEXT NOT NULL,            -- RFC 3339, UTC
    removed     TEXT,                     -- when it was removed; its counts stay
    enrolled    TEXT,                     -- when its present key was enrolled
    key         TEXT,                     -- SHA-256 of the public key that may ask, hex
    signing     TEXT,                     -- public key with which the spoke signs checkpoints, hex
    endorsed_at TEXT,                     -- of the endorsement that was used last: none is used twice, none older
    used        INTEGER NOT NULL DEFAULT 0,   -- elements evaluated, ever
    day         TEXT NOT NULL DEFAULT '',     -- the UTC day that day_used is of
    day_used    INTEGER NOT NULL DEFAULT 0    -- elements beyond the quota on that day
) STRICT;

-- Batches counted lately, by digest: an answer lost with its connection is not counted again.
CREATE TABLE counted (
    controller  TEXT NOT NULL,
    digest      BLOB NOT NULL,
    day         TEXT NOT NULL,
    PRIMARY KEY (controller, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE alarms (
    id          INTEGER PRIMARY KEY,
    at          TEXT NOT NULL,
    day         TEXT NOT NULL,
    controller  TEXT NOT NULL,
    kind        TEXT NOT NULL,            -- near (80 %), spent (100 %), refused
    used        INTEGER NOT NULL,
    quota       INTEGER NOT NULL,
    UNIQUE (controller, kind, day)
) STRICT;
