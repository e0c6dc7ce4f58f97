-- When a submission was last moved: drafts that nobody goes on with are withdrawn some time after.
ALTER TABLE submission ADD COLUMN changed_at TEXT;
UPDATE submission SET changed_at = COALESCE(released_at, decided_at, sent_at, begun_at);
