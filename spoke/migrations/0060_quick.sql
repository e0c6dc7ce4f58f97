-- Legs of quick tests that were answered or begun in the last hour: none is answered twice, and nobody has more than their
-- share. Holds no value of a request; who asked stands here as a digest.

CREATE TABLE quick_seen (
    nonce  BLOB    NOT NULL CHECK (length(nonce) = 16),
    leg    TEXT    NOT NULL,
    -- of the whole request: a nonce goes with one request only
    digest BLOB    NOT NULL CHECK (length(digest) = 32),
    person TEXT    NOT NULL,
    -- milliseconds, by this spoke's clock
    at     INTEGER NOT NULL,
    PRIMARY KEY (nonce, leg)
) STRICT, WITHOUT ROWID;

CREATE INDEX quick_seen_at ON quick_seen (at);
CREATE INDEX quick_seen_person ON quick_seen (person, at);
