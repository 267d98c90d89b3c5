-- Webhooks that were given up. Such a one counts as dealt with, so that nobody looks at it again, but it is kept with the
-- reason until somebody replays it.

ALTER TABLE webhook_inbox ADD COLUMN dead_ms INTEGER;
CREATE INDEX dead_inbox ON webhook_inbox (received_ms) WHERE dead_ms IS NOT NULL;
