-- Public keys of controllers' approvers. What a controller signs is believed when one of its own keys signed it.
CREATE TABLE approver (
    controller TEXT NOT NULL,
    key        TEXT NOT NULL,
    name       TEXT NOT NULL,
    added_at   TEXT NOT NULL,
    PRIMARY KEY (controller, key)
) STRICT;

-- Applications. An amendment is a row of its own, with the next number of its project.
CREATE TABLE application (
    id           TEXT    NOT NULL PRIMARY KEY,
    project      TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    content      TEXT    NOT NULL,
    digest       TEXT    NOT NULL,
    submitted_by TEXT    NOT NULL,
    issuer       TEXT,
    submitted_at TEXT    NOT NULL,
    complete_at  TEXT,
    extended_at  TEXT,
    decided_at   TEXT,
    decide_by    TEXT,
    answer_by    TEXT,
    overdue      INTEGER NOT NULL DEFAULT 0,
    lapsed       INTEGER NOT NULL DEFAULT 0,
    idempotency  TEXT,
    revision     INTEGER NOT NULL DEFAULT 1,
    UNIQUE (project, number),
    UNIQUE (submitted_by, idempotency)
) STRICT;

-- What each controller decides on.
CREATE TABLE part (
    id           TEXT NOT NULL PRIMARY KEY,
    application  TEXT NOT NULL REFERENCES application (id),
    project      TEXT NOT NULL,
    controller   TEXT NOT NULL,
    state        TEXT NOT NULL,
    content      TEXT NOT NULL,
    delivered_at TEXT,
    decided_at   TEXT,
    trouble      TEXT
) STRICT;

CREATE INDEX part_application ON part (application);
CREATE INDEX part_project ON part (project, controller);
CREATE INDEX part_state ON part (state);

-- What controllers signed: permits, refusals, revocations, as compact JWS. `problem` says why one is not believed.
CREATE TABLE statement (
    digest      TEXT NOT NULL,
    controller  TEXT NOT NULL,
    kind        TEXT NOT NULL,
    compact     TEXT NOT NULL,
    signer      TEXT,
    project     TEXT,
    part        TEXT,
    permit      TEXT,
    state       TEXT,
    decided_at  TEXT,
    received_at TEXT NOT NULL,
    problem     TEXT,
    PRIMARY KEY (controller, digest)
) STRICT;

CREATE INDEX statement_project ON statement (project);
CREATE UNIQUE INDEX statement_permit ON statement (controller, permit) WHERE kind = 'permit' AND problem IS NULL;

-- Questions to applicants, each about one field.
CREATE TABLE question (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    application TEXT    NOT NULL REFERENCES application (id),
    field       TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    asked_by    TEXT    NOT NULL,
    asked_at    TEXT    NOT NULL,
    answer      TEXT,
    answered_at TEXT
) STRICT;

-- Whether a project's workspace has been open, so that what is still being asked for doesn't close it.
CREATE TABLE workspace (
    project   TEXT NOT NULL PRIMARY KEY,
    state     TEXT NOT NULL,
    reason    TEXT NOT NULL,
    opened_at TEXT,
    closed_at TEXT
) STRICT;

-- What happened, in order, UTC. Only ever added to.
CREATE TABLE event (
    seq         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at          TEXT    NOT NULL,
    project     TEXT    NOT NULL,
    application TEXT,
    controller  TEXT,
    actor       TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    detail      TEXT    NOT NULL
) STRICT;

CREATE INDEX event_project ON event (project, seq);

CREATE TRIGGER event_keeps BEFORE UPDATE ON event
BEGIN
    SELECT RAISE(ABORT, 'the event log is only added to');
END;

CREATE TRIGGER event_stays BEFORE DELETE ON event
BEGIN
    SELECT RAISE(ABORT, 'the event log is only added to');
END;
