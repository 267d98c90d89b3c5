-- When a person had dealt with a break, who it was, and what was done. One that comes again opens again.

ALTER TABLE reconciliation_breaks
    ADD COLUMN resolved_ms BIGINT,
    ADD COLUMN resolved_by TEXT,
    ADD COLUMN resolved_why TEXT;
