-- Quick tests of the last hour, for each person's share. Who asked stands here as a digest of issuer and person id.
CREATE TABLE count_request (
    person TEXT    NOT NULL,
    -- milliseconds
    at     INTEGER NOT NULL
) STRICT;

CREATE INDEX count_request_person ON count_request (person, at);
CREATE INDEX count_request_at ON count_request (at);

-- What decides whether a count is rounded up or down: the same for the same request, and known to nobody who asks.
CREATE TABLE count_secret (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    secret BLOB    NOT NULL CHECK (length(secret) = 32)
) STRICT;
