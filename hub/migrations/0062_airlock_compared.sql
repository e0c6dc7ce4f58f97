-- How often answers of the platform were compared with a submission: whoever asks outside reads something of it by each.
ALTER TABLE submission ADD COLUMN compared INTEGER NOT NULL DEFAULT 0;
