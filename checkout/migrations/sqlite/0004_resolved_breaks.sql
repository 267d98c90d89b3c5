-- Who dealt with a break, and what was done; when is there already. One that comes again opens again.

ALTER TABLE reconciliation_breaks ADD COLUMN resolved_by TEXT;
ALTER TABLE reconciliation_breaks ADD COLUMN resolved_why TEXT;
