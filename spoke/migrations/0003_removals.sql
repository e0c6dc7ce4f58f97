-- Up to which version of each list of people the hub was asked to remove what it holds.

CREATE TABLE removal_asked (
    kind    TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
