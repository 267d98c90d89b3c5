-- Checkouts that ended before that was noted. A step of its own: nobody waits for it, since nobody changes such rows.

UPDATE checkouts c SET ended_ms = c.held_until_ms
WHERE c.state IN ('expired', 'cancelled') AND c.ended_ms IS NULL
    AND NOT EXISTS (SELECT FROM orders o WHERE o.checkout_id = c.id);
