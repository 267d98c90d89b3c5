-- A step of its own, so that nobody who reads the inbox waits for it. It is made while nobody writes to the table.

CREATE INDEX webhook_inbox_dead ON webhook_inbox (received_ms) WHERE dead_ms IS NOT NULL;
