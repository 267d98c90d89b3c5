-- What is due of the outbox is found by its time, however much waits for later.
--
-- The index is made while nobody writes to its table.

CREATE INDEX outbox_due ON outbox (next_ms, id) WHERE delivered_ms IS NULL AND NOT is_dead;
