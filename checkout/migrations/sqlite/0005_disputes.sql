-- Each dispute of an order with its state, as JSON; the column dispute says where they stand together. Nothing where none was told
-- of since this step.

ALTER TABLE orders ADD COLUMN disputes TEXT;
