-- When a checkout ended that never became an order: what old ones are found by, to be deleted. One that became an order has
-- no such time, and is kept with it.

ALTER TABLE checkouts ADD COLUMN ended_ms BIGINT;

-- A process of the version before this one, which may go on for a while, notes no time. An open checkout has no order.
CREATE FUNCTION note_end_of_checkout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.ended_ms := NEW.held_until_ms;
    RETURN NEW;
END
$$;
CREATE TRIGGER checkouts_note_end BEFORE UPDATE OF state ON checkouts FOR EACH ROW
    WHEN (OLD.state = 'open' AND NEW.state IN ('expired', 'cancelled') AND NEW.ended_ms IS NULL)
    EXECUTE FUNCTION note_end_of_checkout();
