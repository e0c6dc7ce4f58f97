-- Who vouches for a personal token's user: two issuers may each know an anna@example.org. NULL: the hub's operator made it.
ALTER TABLE token ADD COLUMN issuer TEXT;
