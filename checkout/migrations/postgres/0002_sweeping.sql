-- What old rows are found by. A block range remembers the oldest row that it ever had, so that where rows are deleted and
-- their room is used again, in the end every range seems to have old ones, and each look would read the whole table.
--
-- Each index is made while nobody writes to its table.

CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_ms);
DROP INDEX idempotency_keys_by_age;

CREATE INDEX webhook_inbox_by_time ON webhook_inbox (received_ms);
DROP INDEX webhook_inbox_by_age;

CREATE INDEX carts_by_end ON carts (expires_ms);
