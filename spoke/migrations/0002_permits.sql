-- Questions counted against permits, and the people who are left out.
-- Holds ids, counts and stored pseudonyms; never a person number.

CREATE TABLE question_count (
    permit    TEXT NOT NULL,
    day       TEXT NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (permit, day)
) STRICT, WITHOUT ROWID;

-- Each change of the lists is a version; a permit records the one that it was signed at.
CREATE TABLE exclusion_version (
    version   INTEGER PRIMARY KEY,
    at        TEXT NOT NULL,
    kind      TEXT NOT NULL,
    added     INTEGER NOT NULL,
    removed   INTEGER NOT NULL,
    store_kid TEXT NOT NULL
) STRICT;

CREATE TABLE exclusion (
    person  BLOB NOT NULL CHECK (length(person) = 16),
    kind    TEXT NOT NULL CHECK (kind IN ('opt_out', 'withdrawn', 'erased')),
    added   INTEGER NOT NULL REFERENCES exclusion_version (version),
    removed INTEGER REFERENCES exclusion_version (version),
    PRIMARY KEY (person, kind, added)
) STRICT, WITHOUT ROWID;
