-- By which rules the numbers of a submission were let out: JSON, as it stands in its crate.
CREATE TABLE submission_rules (
    submission TEXT NOT NULL PRIMARY KEY REFERENCES submission (id),
    content    TEXT NOT NULL
) STRICT;
