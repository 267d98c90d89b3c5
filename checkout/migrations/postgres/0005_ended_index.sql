-- A step of its own, so that nobody who reads checkouts waits for it. It is made while nobody writes to the table.

CREATE INDEX checkouts_ended ON checkouts (ended_ms) WHERE ended_ms IS NOT NULL;
