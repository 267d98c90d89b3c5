-- When a checkout ended that never became an order: what old ones are found by, to be deleted. One that became an order has
-- no such time, and is kept with it.

ALTER TABLE checkouts ADD COLUMN ended_ms INTEGER;

UPDATE checkouts SET ended_ms = held_until_ms
WHERE state IN ('expired', 'cancelled') AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.checkout = checkouts.id);

CREATE INDEX ended_checkouts ON checkouts (ended_ms) WHERE ended_ms IS NOT NULL;
-- Before a checkout is deleted, it is looked whether a move of stock names it.
CREATE INDEX moves_of_checkout ON stock_moves (checkout);
