-- Submissions to the airlock. The files themselves lie encrypted beside the database, under the submission's id.
CREATE TABLE submission (
    id           TEXT    NOT NULL PRIMARY KEY,
    project      TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    content      TEXT    NOT NULL,
    earlier      TEXT    REFERENCES submission (id),
    submitted_by TEXT    NOT NULL,
    issuer       TEXT    NOT NULL,
    -- What the tables' versions were when it was sent, as the spokes told.
    snapshots    TEXT    NOT NULL DEFAULT '{}',
    -- The platform has computed it itself: no people reviewed it.
    computed     INTEGER NOT NULL DEFAULT 0,
    begun_at     TEXT    NOT NULL,
    sent_at      TEXT,
    decided_at   TEXT,
    released_at  TEXT
) STRICT;

CREATE INDEX submission_project ON submission (project, id);
CREATE INDEX submission_state ON submission (state, id);

CREATE TABLE submission_file (
    submission TEXT    NOT NULL REFERENCES submission (id),
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    bytes      INTEGER NOT NULL,
    sha256     TEXT    NOT NULL,
    findings   TEXT    NOT NULL DEFAULT '[]',
    PRIMARY KEY (submission, name)
) STRICT;

-- One review of each organisation. Only ever added to.
CREATE TABLE submission_review (
    submission   TEXT NOT NULL REFERENCES submission (id),
    organisation TEXT NOT NULL,
    reviewer     TEXT NOT NULL,
    issuer       TEXT NOT NULL,
    content      TEXT NOT NULL,
    at           TEXT NOT NULL,
    PRIMARY KEY (submission, organisation),
    UNIQUE (submission, reviewer, issuer)
) STRICT;

CREATE TRIGGER submission_file_is_frozen BEFORE UPDATE OF name, kind, bytes, sha256 ON submission_file
BEGIN
    SELECT RAISE(ABORT, 'a file of a submission is frozen');
END;

CREATE TRIGGER submission_review_keeps BEFORE UPDATE ON submission_review
BEGIN
    SELECT RAISE(ABORT, 'a review is only added');
END;

CREATE TRIGGER submission_review_stays BEFORE DELETE ON submission_review
BEGIN
    SELECT RAISE(ABORT, 'a review is only added');
END;
