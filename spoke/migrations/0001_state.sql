-- What was ingested, from which files, and which versions projects have pinned.
-- Holds file names, digests, counts and versions; never a value from a table.

CREATE TABLE ingest (
    id             TEXT PRIMARY KEY,
    table_name     TEXT NOT NULL,
    started_at     TEXT NOT NULL,
    finished_at    TEXT,
    -- running: nothing is published yet; prepared: the commit was tried; published, failed: known end
    status         TEXT NOT NULL CHECK (status IN ('running', 'prepared', 'published', 'failed')),
    mode           TEXT NOT NULL CHECK (mode IN ('replace', 'append')),
    declaration    BLOB NOT NULL,
    parent_version INTEGER,
    version        INTEGER,
    summary        TEXT
) STRICT;

CREATE INDEX ingest_by_table ON ingest (table_name, status, started_at);

CREATE TABLE ingest_source (
    ingest   TEXT NOT NULL REFERENCES ingest (id) ON DELETE CASCADE,
    location TEXT NOT NULL,
    size     INTEGER NOT NULL,
    sha256   BLOB NOT NULL,
    PRIMARY KEY (ingest, location)
) STRICT;

CREATE TABLE pin (
    project    TEXT NOT NULL,
    table_name TEXT NOT NULL,
    version    INTEGER NOT NULL,
    pinned_at  TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (project, table_name)
) STRICT;
