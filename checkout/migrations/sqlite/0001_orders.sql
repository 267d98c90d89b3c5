-- Orders and all that belongs to them. Ids are texts that we make; times are milliseconds since 1970; money is in minor
-- units; states are the words that the API has for them.

-- A key while its request is worked on, and its answer afterwards. An answer that is a fault of ours is never kept.
CREATE TABLE idempotency_keys (
    caller         TEXT    NOT NULL,
    endpoint       TEXT    NOT NULL,
    key            TEXT    NOT NULL,
    fingerprint    BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    subject        TEXT    NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    created_ms     INTEGER NOT NULL,
    status         INTEGER CHECK (status BETWEEN 100 AND 499),
    body           BLOB,
    PRIMARY KEY (caller, endpoint, key),
    CHECK ((status IS NULL) = (body IS NULL))
) STRICT;

CREATE INDEX keys_by_time ON idempotency_keys (created_ms);

CREATE TABLE checkouts (
    id               TEXT    NOT NULL PRIMARY KEY,
    state            TEXT    NOT NULL CHECK (state IN ('open', 'completing', 'completed', 'expired', 'cancelled')),
    version          INTEGER NOT NULL CHECK (version >= 0),
    market           TEXT    NOT NULL,
    currency         TEXT    NOT NULL CHECK (length(currency) = 3),
    total_minor      INTEGER NOT NULL CHECK (total_minor >= 0),
    snapshot         TEXT    NOT NULL,
    held_until_ms    INTEGER NOT NULL,
    cart             TEXT,
    email            TEXT,
    shipping_address TEXT,
    token_hash       BLOB    NOT NULL CHECK (length(token_hash) = 32),
    created_ms       INTEGER NOT NULL
) STRICT;

CREATE INDEX open_checkouts ON checkouts (held_until_ms) WHERE state = 'open';

CREATE TABLE checkout_lines (
    checkout         TEXT    NOT NULL REFERENCES checkouts (id),
    position         INTEGER NOT NULL,
    product          TEXT    NOT NULL,
    title            TEXT    NOT NULL,
    quantity         INTEGER NOT NULL CHECK (quantity >= 0),
    unit_price_minor INTEGER NOT NULL,
    currency         TEXT    NOT NULL CHECK (length(currency) = 3),
    -- Whether its product was tracked when it was placed, so that stock was taken for it.
    is_held          INTEGER NOT NULL CHECK (is_held IN (0, 1)),
    PRIMARY KEY (checkout, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    id               TEXT    NOT NULL PRIMARY KEY,
    checkout         TEXT    NOT NULL UNIQUE REFERENCES checkouts (id),
    state            TEXT    NOT NULL
        CHECK (state IN ('pending_payment', 'paid', 'partially_refunded', 'refunded', 'cancelled')),
    dispute          TEXT    NOT NULL CHECK (dispute IN ('none', 'open', 'won', 'lost')),
    version          INTEGER NOT NULL CHECK (version >= 1),
    market           TEXT    NOT NULL,
    currency         TEXT    NOT NULL CHECK (length(currency) = 3),
    total_minor      INTEGER NOT NULL CHECK (total_minor > 0),
    snapshot         TEXT    NOT NULL,
    email            TEXT,
    shipping_address TEXT,
    token_hash       BLOB    NOT NULL CHECK (length(token_hash) = 32),
    cancel_requested INTEGER NOT NULL CHECK (cancel_requested IN (0, 1)),
    -- Until when recovery leaves it alone, where no payment says so.
    checked_until_ms INTEGER NOT NULL DEFAULT 0,
    created_ms       INTEGER NOT NULL,
    updated_ms       INTEGER NOT NULL
) STRICT;

CREATE INDEX pending_orders ON orders (checkout) WHERE state = 'pending_payment';

CREATE TABLE order_lines (
    order_id         TEXT    NOT NULL REFERENCES orders (id),
    position         INTEGER NOT NULL,
    product          TEXT    NOT NULL,
    title            TEXT    NOT NULL,
    quantity         INTEGER NOT NULL CHECK (quantity >= 0),
    unit_price_minor INTEGER NOT NULL,
    currency         TEXT    NOT NULL CHECK (length(currency) = 3),
    snapshot         TEXT    NOT NULL,
    PRIMARY KEY (order_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE payments (
    id             TEXT    NOT NULL PRIMARY KEY,
    order_id       TEXT    NOT NULL REFERENCES orders (id),
    -- Its place among the payments of its order, oldest first.
    position       INTEGER NOT NULL,
    method         TEXT    NOT NULL CHECK (method IN ('payment_intent', 'hosted_page')),
    state          TEXT    NOT NULL CHECK (state IN (
        'prepared', 'requesting', 'unknown', 'requires_action', 'processing', 'succeeded', 'failed')),
    amount_minor   INTEGER NOT NULL,
    currency       TEXT    NOT NULL CHECK (length(currency) = 3),
    intent         TEXT    UNIQUE,
    session        TEXT    UNIQUE,
    client_secret  TEXT,
    hosted_url     TEXT,
    return_url     TEXT,
    captured_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    failure        TEXT,
    created_ms     INTEGER NOT NULL,
    next_check_ms  INTEGER,
    checks         INTEGER NOT NULL,
    UNIQUE (order_id, position),
    CHECK (0 <= refunded_minor AND refunded_minor <= captured_minor AND captured_minor <= amount_minor)
) STRICT;

-- An order has at most one attempt that may still succeed.
CREATE UNIQUE INDEX one_live_payment ON payments (order_id) WHERE state NOT IN ('succeeded', 'failed');
CREATE INDEX payments_to_check ON payments (next_check_ms) WHERE next_check_ms IS NOT NULL;
CREATE INDEX payments_by_time ON payments (created_ms);

CREATE TABLE refunds (
    id            TEXT    NOT NULL PRIMARY KEY,
    order_id      TEXT    NOT NULL REFERENCES orders (id),
    payment       TEXT    NOT NULL REFERENCES payments (id),
    -- Its place among the refunds of its order, oldest first.
    position      INTEGER NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('requesting', 'unknown', 'pending', 'succeeded', 'failed')),
    amount_minor  INTEGER NOT NULL CHECK (amount_minor > 0),
    currency      TEXT    NOT NULL CHECK (length(currency) = 3),
    stripe_refund TEXT    UNIQUE,
    reason        TEXT,
    failure       TEXT,
    created_ms    INTEGER NOT NULL,
    next_check_ms INTEGER,
    checks        INTEGER NOT NULL,
    UNIQUE (order_id, position)
) STRICT;

CREATE INDEX refunds_of_payment ON refunds (payment);
CREATE INDEX refunds_to_check ON refunds (next_check_ms) WHERE next_check_ms IS NOT NULL;

-- Products whose stock is tracked.
CREATE TABLE stock_products (
    product    TEXT    NOT NULL PRIMARY KEY,
    -- How often others were told whether it is in stock.
    version    INTEGER NOT NULL CHECK (version >= 0),
    -- What they were told last; nothing where they never were.
    announced  INTEGER CHECK (announced IN (0, 1)),
    created_ms INTEGER NOT NULL
) STRICT;

-- What can be sold now. One row a product is enough: this database has one writer.
CREATE TABLE stock (
    product   TEXT    NOT NULL PRIMARY KEY REFERENCES stock_products (product),
    available INTEGER NOT NULL CHECK (available >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE stock_holds (
    checkout TEXT    NOT NULL REFERENCES checkouts (id),
    product  TEXT    NOT NULL REFERENCES stock_products (product),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (checkout, product)
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_of_product ON stock_holds (product);

-- The ledger: every unit that came or went. What was set is written as its difference; what was sold is below zero. The
-- sum of a product is what can be sold and what is held.
CREATE TABLE stock_moves (
    id         INTEGER PRIMARY KEY,
    product    TEXT    NOT NULL REFERENCES stock_products (product),
    kind       TEXT    NOT NULL CHECK (kind IN ('set', 'adjust', 'sale')),
    quantity   INTEGER NOT NULL,
    reason     TEXT,
    checkout   TEXT    REFERENCES checkouts (id),
    created_ms INTEGER NOT NULL,
    CHECK ((kind = 'sale') = (checkout IS NOT NULL) AND (kind != 'sale' OR quantity < 0))
) STRICT;

CREATE INDEX moves_of_product ON stock_moves (product);
-- What is sold is sold once.
CREATE UNIQUE INDEX one_sale ON stock_moves (checkout, product) WHERE kind = 'sale';

-- Products that came into stock or went out of it since others were told.
CREATE TABLE stock_dirty (
    product  TEXT    NOT NULL PRIMARY KEY REFERENCES stock_products (product),
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_inbox (
    id          TEXT    NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    received_ms INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    next_ms     INTEGER NOT NULL,
    settled_ms  INTEGER,
    why         TEXT
) STRICT;

CREATE INDEX waiting_inbox ON webhook_inbox (received_ms) WHERE settled_ms IS NULL;
CREATE INDEX settled_inbox ON webhook_inbox (settled_ms) WHERE settled_ms IS NOT NULL;

CREATE TABLE outbox (
    sequence     INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    kind         TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    version      INTEGER NOT NULL CHECK (version >= 1),
    data         TEXT    NOT NULL,
    created_ms   INTEGER NOT NULL,
    tries        INTEGER NOT NULL DEFAULT 0,
    next_ms      INTEGER NOT NULL,
    delivered_ms INTEGER,
    is_dead      INTEGER NOT NULL DEFAULT 0 CHECK (is_dead IN (0, 1)),
    why          TEXT,
    UNIQUE (subject, version),
    CHECK (is_dead = 0 OR delivered_ms IS NULL)
) STRICT;

CREATE INDEX waiting_outbox ON outbox (next_ms) WHERE delivered_ms IS NULL AND is_dead = 0;
CREATE INDEX undelivered_outbox ON outbox (subject, version) WHERE delivered_ms IS NULL;
CREATE INDEX dead_outbox ON outbox (sequence) WHERE is_dead = 1;
CREATE INDEX delivered_outbox ON outbox (delivered_ms) WHERE delivered_ms IS NOT NULL;

CREATE TABLE reconciliation_breaks (
    id          INTEGER PRIMARY KEY,
    kind        TEXT    NOT NULL,
    reference   TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    found_ms    INTEGER NOT NULL,
    -- When a person had dealt with it.
    resolved_ms INTEGER,
    UNIQUE (kind, reference)
) STRICT;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL
) STRICT;

CREATE TABLE carts (
    id         TEXT    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL CHECK (version >= 1),
    market     TEXT    NOT NULL,
    lines      TEXT    NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX carts_by_end ON carts (expires_ms);
