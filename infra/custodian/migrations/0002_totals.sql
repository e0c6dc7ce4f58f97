-- Blind totals: which hubs may ask, over whom a project's totals are, and what was answered. Nothing of a mask stands here.

CREATE TABLE hubs (
    name        TEXT PRIMARY KEY,
    key         TEXT NOT NULL,            -- SHA-256 of the public key that may ask, hex
    enrolled    TEXT NOT NULL             -- RFC 3339, UTC
) STRICT;

-- The members that a project's first total was over. They never change: totals over two sets tell the difference.
CREATE TABLE total_sets (
    project     TEXT PRIMARY KEY,
    members     TEXT NOT NULL,            -- ascending, each on a line
    since       TEXT NOT NULL             -- RFC 3339, UTC
) STRICT;

-- The versions of the members' tables that a project's last total was over.
CREATE TABLE total_versions (
    project     TEXT NOT NULL,
    tbl         TEXT NOT NULL,
    controller  TEXT NOT NULL,
    version     INTEGER NOT NULL,
    PRIMARY KEY (project, tbl, controller)
) STRICT, WITHOUT ROWID;

CREATE TABLE total_days (
    project     TEXT PRIMARY KEY,
    day         TEXT NOT NULL,            -- the UTC day that answered is of
    answered    INTEGER NOT NULL
) STRICT;

-- Lately answered. A signed seed counts for an hour, so that two days are enough.
CREATE TABLE totals_answered (
    total       TEXT PRIMARY KEY,
    day         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE seeds_used (
    digest      BLOB PRIMARY KEY,         -- SHA-256 of the seed
    day         TEXT NOT NULL
) STRICT, WITHOUT ROWID;
