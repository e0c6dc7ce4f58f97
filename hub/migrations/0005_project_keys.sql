-- Epochs of projects' keys, as the hub carries them: records that a lead signed, and keys sealed to members, which the hub can't open.
CREATE TABLE epoch (
    project TEXT    NOT NULL PRIMARY KEY,
    epoch   INTEGER NOT NULL,
    key_id  TEXT    NOT NULL,
    record  TEXT    NOT NULL
) STRICT;

CREATE TABLE sealed_key (
    project    TEXT NOT NULL,
    controller TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (project, controller)
) STRICT;
