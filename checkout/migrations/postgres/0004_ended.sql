-- When a checkout ended that never became an order: what old ones are found by, to be deleted. One that became an order has
-- no such time, and is kept with it.
--
-- The index is made while nobody writes to the table.

ALTER TABLE checkouts ADD COLUMN ended_ms BIGINT;
CREATE INDEX checkouts_ended ON checkouts (ended_ms) WHERE ended_ms IS NOT NULL;
