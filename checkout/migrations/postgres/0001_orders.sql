-- Orders, the stock that they are made of, their money, and what waits to be told.
--
-- Ids are text, compared by bytes, and are made by us before the transaction that writes them. Times are milliseconds
-- since 1970. Amounts are minor units beside their currency. Rows that are changed in place leave room in their pages
-- (fillfactor), so that a change touches no index unless a column of an index changes.

CREATE TABLE idempotency_keys (
    caller TEXT COLLATE "C" NOT NULL,
    endpoint TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL CHECK (length(fingerprint) = 32),
    -- The id of the work, by which whoever resumes it finds it.
    subject TEXT COLLATE "C" NOT NULL,
    lease_until_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- Neither is there while the work is under way.
    answer_status INTEGER,
    answer_body BYTEA,
    CHECK ((answer_status IS NULL) = (answer_body IS NULL)),
    PRIMARY KEY (caller, endpoint, key)
) WITH (fillfactor = 80);
-- Rows are written in the order of time, which is what the oldest are found by.
CREATE INDEX idempotency_keys_by_age ON idempotency_keys USING brin (created_ms);

CREATE TABLE checkouts (
    id TEXT COLLATE "C" PRIMARY KEY,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'completing', 'completed', 'expired', 'cancelled')),
    version BIGINT NOT NULL,
    market TEXT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    total_minor BIGINT NOT NULL CHECK (total_minor >= 0),
    snapshot TEXT NOT NULL,
    held_until_ms BIGINT NOT NULL,
    cart_id TEXT COLLATE "C",
    email TEXT,
    shipping_address TEXT,
    token_hash BYTEA NOT NULL CHECK (length(token_hash) = 32),
    created_ms BIGINT NOT NULL,
    -- When recovery looks at it: at the end of the hold. None where nothing is left to do.
    look_ms BIGINT,
    CHECK ((look_ms IS NULL) = (state IN ('completed', 'expired', 'cancelled')))
) WITH (fillfactor = 80);
CREATE INDEX checkouts_to_look_at ON checkouts (look_ms) WHERE look_ms IS NOT NULL;

CREATE TABLE checkout_lines (
    checkout_id TEXT COLLATE "C" NOT NULL,
    line INTEGER NOT NULL,
    product TEXT COLLATE "C" NOT NULL,
    title TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    unit_price_minor BIGINT NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (checkout_id, line)
);

CREATE TABLE orders (
    id TEXT COLLATE "C" PRIMARY KEY,
    checkout_id TEXT COLLATE "C" NOT NULL UNIQUE,
    state TEXT COLLATE "C" NOT NULL
        CHECK (state IN ('pending_payment', 'paid', 'partially_refunded', 'refunded', 'cancelled')),
    dispute TEXT COLLATE "C" NOT NULL CHECK (dispute IN ('none', 'open', 'won', 'lost')),
    version BIGINT NOT NULL CHECK (version >= 1),
    market TEXT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    total_minor BIGINT NOT NULL CHECK (total_minor > 0),
    snapshot TEXT NOT NULL,
    email TEXT,
    shipping_address TEXT,
    token_hash BYTEA NOT NULL CHECK (length(token_hash) = 32),
    cancel_requested BOOLEAN NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    -- The transaction that changed it last, by an id that it was given before: whoever lost the acknowledgement of a
    -- commit sees here that it was committed.
    changed_by TEXT COLLATE "C" NOT NULL
) WITH (fillfactor = 80);

-- What was sold at which price, which outlives its checkout.
CREATE TABLE order_lines (
    order_id TEXT COLLATE "C" NOT NULL,
    line INTEGER NOT NULL,
    product TEXT COLLATE "C" NOT NULL,
    title TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    unit_price_minor BIGINT NOT NULL CHECK (unit_price_minor >= 0),
    currency TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    snapshot TEXT NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE payments (
    id TEXT COLLATE "C" PRIMARY KEY,
    order_id TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL CHECK (method IN ('payment_intent', 'hosted_page')),
    state TEXT COLLATE "C" NOT NULL CHECK (state IN
        ('prepared', 'requesting', 'unknown', 'requires_action', 'processing', 'succeeded', 'failed')),
    amount_minor BIGINT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    intent TEXT COLLATE "C" UNIQUE,
    session TEXT COLLATE "C" UNIQUE,
    client_secret TEXT,
    hosted_url TEXT,
    return_url TEXT,
    captured_minor BIGINT NOT NULL,
    refunded_minor BIGINT NOT NULL,
    failure TEXT,
    created_ms BIGINT NOT NULL,
    next_check_ms BIGINT,
    checks BIGINT NOT NULL,
    CHECK (0 <= refunded_minor AND refunded_minor <= captured_minor AND captured_minor <= amount_minor)
) WITH (fillfactor = 70);
CREATE INDEX payments_of_order ON payments (order_id);
-- Two attempts that may both succeed would charge twice.
CREATE UNIQUE INDEX payments_one_live_an_order ON payments (order_id) WHERE state NOT IN ('succeeded', 'failed');
CREATE INDEX payments_to_check ON payments (next_check_ms) WHERE next_check_ms IS NOT NULL;
CREATE INDEX payments_by_age ON payments USING brin (created_ms);

CREATE TABLE refunds (
    id TEXT COLLATE "C" PRIMARY KEY,
    order_id TEXT COLLATE "C" NOT NULL,
    payment_id TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('requesting', 'unknown', 'pending', 'succeeded', 'failed')),
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    currency TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    stripe_refund TEXT COLLATE "C" UNIQUE,
    reason TEXT,
    failure TEXT,
    created_ms BIGINT NOT NULL,
    next_check_ms BIGINT,
    checks BIGINT NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX refunds_of_order ON refunds (order_id);
CREATE INDEX refunds_to_check ON refunds (next_check_ms) WHERE next_check_ms IS NOT NULL;

-- Products whose stock is counted.
CREATE TABLE stock_products (
    product TEXT COLLATE "C" PRIMARY KEY,
    -- The version of the last event about it.
    version BIGINT NOT NULL,
    -- What the last event said; nothing where none was written.
    announced BOOLEAN
) WITH (fillfactor = 80);

-- What can be sold, spread over several rows a product, so that those who buy the same do not wait for each other.
CREATE TABLE stock_units (
    product TEXT COLLATE "C" NOT NULL,
    unit INTEGER NOT NULL CHECK (unit BETWEEN 0 AND 63),
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (product, unit)
) WITH (fillfactor = 40);

-- What was taken out of which row for whom. Releasing and selling delete these rows, so that neither is done twice.
CREATE TABLE stock_holds (
    checkout_id TEXT COLLATE "C" NOT NULL,
    product TEXT COLLATE "C" NOT NULL,
    unit INTEGER NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (checkout_id, product, unit)
);

-- The ledger: for each product, what can be sold and what is held is the sum of its changes.
CREATE TABLE stock_moves (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('set', 'adjust', 'sale')),
    change BIGINT NOT NULL,
    reason TEXT NOT NULL,
    order_id TEXT COLLATE "C",
    created_ms BIGINT NOT NULL,
    CHECK ((kind = 'sale') = (order_id IS NOT NULL))
);

-- Products that may have sold out, or be back. A row each time, and not one a product: a mark that was there already
-- could be dealt with before the change that it is meant for is committed.
CREATE TABLE stock_dirty (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product TEXT COLLATE "C" NOT NULL
);

CREATE TABLE webhook_inbox (
    id TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT NOT NULL,
    body BYTEA NOT NULL,
    received_ms BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    next_ms BIGINT NOT NULL,
    applied_ms BIGINT,
    why TEXT
) WITH (fillfactor = 80);
-- Without the column that a lease changes, so that a lease touches no index.
CREATE INDEX webhook_inbox_waiting ON webhook_inbox (received_ms) WHERE applied_ms IS NULL;
CREATE INDEX webhook_inbox_by_age ON webhook_inbox USING brin (received_ms);

CREATE TABLE outbox (
    id TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    next_ms BIGINT NOT NULL,
    delivered_ms BIGINT,
    is_dead BOOLEAN NOT NULL,
    why TEXT,
    UNIQUE (subject, version)
) WITH (fillfactor = 80);
CREATE INDEX outbox_waiting ON outbox (subject, version) WHERE delivered_ms IS NULL;

CREATE TABLE reconciliation_breaks (
    kind TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C" NOT NULL,
    detail TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, reference)
);

CREATE TABLE audit (
    -- Of the transaction, as orders have it.
    id TEXT COLLATE "C" PRIMARY KEY,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- Used where no Redis keeps carts.
CREATE TABLE carts (
    id TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL CHECK (version >= 1),
    market TEXT NOT NULL,
    lines TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
) WITH (fillfactor = 80);
