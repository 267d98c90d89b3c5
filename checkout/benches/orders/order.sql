-- One order as checkout writes it to PostgreSQL: the statements of the store's methods, in its transactions (each is one
-- statement), for pgbench with --protocol=prepared. pgbench.rs gives the texts: records as JSON, in which @ stands for the
-- order's number, # for a number at random, @a and @b for the products. The store makes them beside the server; here
-- the server puts the numbers in, which costs it a few microseconds more.
--
-- Whoever changes a statement of the store changes it here: otherwise the ratio compares two different things.

\set n :n + 1
\set id :base + :n * 4096 + :client_id
\set random random(1000000000000000000, 9000000000000000000)
\set a random(100, :last_a)
\set b random(150, 199)
\set unit random(0, 63)

-- Store::place_checkout (postgres/checkouts.rs, PLACE): the key, the checkout, its lines and its stock at once.
WITH wanted AS (
    SELECT w.product, w.quantity FROM unnest(replace(replace(:products, '@a', :a::text), '@b', :b::text)::text[], :quantities::bigint[]) AS w (product, quantity)
    WHERE NOT false::boolean OR EXISTS (SELECT FROM stock_products s WHERE s.product = w.product)
), picked AS MATERIALIZED (
    SELECT w.product, coalesce(above.unit, below.unit) AS unit, w.quantity
    FROM wanted w
    LEFT JOIN LATERAL (
        SELECT u.unit FROM stock_units u
        WHERE u.product = w.product AND u.unit >= :unit::int AND u.quantity >= w.quantity
        ORDER BY u.unit LIMIT 1 FOR UPDATE SKIP LOCKED
    ) above ON true
    LEFT JOIN LATERAL (
        SELECT u.unit FROM stock_units u
        WHERE above.unit IS NULL AND u.product = w.product AND u.unit < :unit::int AND u.quantity >= w.quantity
        ORDER BY u.unit LIMIT 1 FOR UPDATE SKIP LOCKED
    ) below ON true
), ready AS MATERIALIZED (
    SELECT coalesce(bool_and(unit IS NOT NULL), true) AS is_ready FROM picked
), claimed AS (
    INSERT INTO idempotency_keys
        (caller, endpoint, key, fingerprint, subject, lease_until_ms, created_ms, answer_status, answer_body)
    SELECT 'guest'::text, 'POST /checkout/v1/checkouts'::text, (:random::text || '-4c1d-8e2f-a3b4c5d6')::text, '\x7d0c1b2a39485766f5e4d3c2b1a0998877665544332211000fedcba987654321'::bytea, ('chk_0000000000000' || :id::text)::text, (:now_ms::bigint + 30000)::bigint, :now_ms::bigint, 201::int, convert_to(replace(:answer_placed, '@', :id::text), 'UTF8')::bytea
    FROM ready WHERE is_ready AND 'guest'::text IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING caller
), placed AS (
    INSERT INTO checkouts (id, state, version, market, currency, total_minor, snapshot, held_until_ms, cart_id, email,
        shipping_address, token_hash, created_ms, look_ms)
    SELECT c.id, c.state, c.version, c.market, c.currency, c.total_minor, c.snapshot, c.held_until_ms, c.cart_id,
        c.email, c.shipping_address, c.token_hash, c.created_ms, c.look_ms
    FROM ready, json_populate_record(NULL::checkouts, replace(:checkout, '@', :id::text)::text::json) c
    WHERE is_ready AND ('guest'::text IS NULL OR EXISTS (SELECT FROM claimed))
    ON CONFLICT DO NOTHING RETURNING id
), lines AS (
    INSERT INTO checkout_lines (checkout_id, line, product, title, quantity, unit_price_minor)
    SELECT placed.id, l.line, l.product, l.title, l.quantity, l.unit_price_minor
    FROM placed, json_populate_recordset(NULL::checkout_lines, replace(replace(:lines, '@a', :a::text), '@b', :b::text)::text::json) l
), taken AS (
    UPDATE stock_units u SET quantity = u.quantity - p.quantity FROM picked p, placed
    WHERE u.product = p.product AND u.unit = p.unit RETURNING u.product, u.quantity
), held AS (
    INSERT INTO stock_holds (checkout_id, product, unit, quantity)
    SELECT placed.id, p.product, p.unit, p.quantity FROM picked p, placed
), marked AS (
    INSERT INTO stock_dirty (product) SELECT product FROM taken WHERE quantity = 0
)
SELECT EXISTS (SELECT FROM placed);

-- END OF HOLD

-- Store::checkout (postgres/checkouts.rs, READ): whether the token opens it.
SELECT json_build_object('checkout', c, 'lines', coalesce(
    (SELECT json_agg(l ORDER BY l.line) FROM checkout_lines l WHERE l.checkout_id = c.id), '[]'))::text
FROM checkouts c WHERE c.id = ('chk_0000000000000' || :id::text);

-- Store::open_order (postgres/at_once.rs): what is read,
SELECT json_build_object('checkout', c, 'lines', coalesce(
    (SELECT json_agg(l ORDER BY l.line) FROM checkout_lines l WHERE l.checkout_id = c.id), '[]'))::text
FROM checkouts c WHERE c.id = ('chk_0000000000000' || :id::text);

-- and what is written (postgres/order_writes.rs, OPEN).
WITH locked AS MATERIALIZED (
    SELECT id FROM checkouts WHERE id = ('chk_0000000000000' || :id::text)::text AND state = 'open' AND version = 1::bigint FOR UPDATE
), claimed AS (
    INSERT INTO idempotency_keys (caller, endpoint, key, fingerprint, subject, lease_until_ms, created_ms)
    SELECT (:random::text || 'f07e3c51a9d2846b0e7f9a1c3d5e7082b4c6d8e0f1a')::text, ('POST /checkout/v1/checkouts/chk_0000000000000' || :id::text || '/complete')::text, (:random::text || '-4c1d-8e2f-a3b4c5d6')::text, '\x7d0c1b2a39485766f5e4d3c2b1a0998877665544332211000fedcba987654321'::bytea, ('pay_0000000000000' || :id::text)::text, (:now_ms::bigint + 30000)::bigint, :now_ms::bigint
    FROM locked WHERE (:random::text || 'f07e3c51a9d2846b0e7f9a1c3d5e7082b4c6d8e0f1a')::text IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING caller
), ordered AS (
    INSERT INTO orders (id, checkout_id, state, dispute, version, market, currency, total_minor, snapshot, email,
        shipping_address, token_hash, cancel_requested, created_ms, updated_ms, changed_by)
    SELECT o.id, locked.id, o.state, o.dispute, o.version, o.market, o.currency, o.total_minor, o.snapshot, o.email,
        o.shipping_address, o.token_hash, o.cancel_requested, o.created_ms, o.updated_ms, o.changed_by
    FROM locked, json_populate_record(NULL::orders, replace(:order_opened, '@', :id::text)::text::json) o
    WHERE (:random::text || 'f07e3c51a9d2846b0e7f9a1c3d5e7082b4c6d8e0f1a')::text IS NULL OR EXISTS (SELECT FROM claimed)
    RETURNING id, snapshot, currency
), lines AS (
    INSERT INTO order_lines (order_id, line, product, title, quantity, unit_price_minor, currency, snapshot)
    SELECT o.id, l.line, l.product, l.title, l.quantity, l.unit_price_minor, o.currency, o.snapshot
    FROM ordered o, checkout_lines l WHERE l.checkout_id = ('chk_0000000000000' || :id::text)::text
), moved AS (
    UPDATE checkouts c SET state = 'completing' FROM ordered WHERE c.id = ('chk_0000000000000' || :id::text)::text
), paid AS (
    INSERT INTO payments (id, order_id, method, state, amount_minor, currency, intent, session, client_secret,
        hosted_url, return_url, captured_minor, refunded_minor, failure, created_ms, next_check_ms, checks)
    SELECT p.id, p.order_id, p.method, p.state, p.amount_minor, p.currency, p.intent, p.session, p.client_secret,
        p.hosted_url, p.return_url, p.captured_minor, p.refunded_minor, p.failure, p.created_ms, p.next_check_ms,
        p.checks
    FROM ordered, json_populate_recordset(NULL::payments, replace(:payment_requested, '@', :id::text)::text::json) p
), told AS (
    INSERT INTO outbox (id, kind, subject, version, data, created_ms, tries, next_ms, is_dead)
    SELECT t.id, t.kind, t.subject, t.version, t.data, :now_ms::bigint, 0, :now_ms::bigint, false
    FROM ordered, json_populate_recordset(NULL::outbox, replace(:told_created, '@', :id::text)::text::json) t
)
SELECT EXISTS (SELECT FROM ordered);

-- Store::order (postgres/orders.rs, READ): the payment that Stripe is asked for.
SELECT json_build_object(
    'order', o,
    'checkout_state', c.state,
    'held_until_ms', c.held_until_ms,
    'lines', coalesce((SELECT json_agg(l ORDER BY l.line) FROM order_lines l WHERE l.order_id = o.id), '[]'),
    'payments', coalesce(
        (SELECT json_agg(p ORDER BY p.created_ms, p.id) FROM payments p WHERE p.order_id = o.id), '[]'),
    'refunds', coalesce(
        (SELECT json_agg(r ORDER BY r.created_ms, r.id) FROM refunds r WHERE r.order_id = o.id), '[]')
)::text
FROM orders o JOIN checkouts c ON c.id = o.checkout_id
WHERE o.id = ('ord_0000000000000' || :id::text);

-- Store::change_order (postgres/at_once.rs): what is read,
SELECT json_build_object(
    'order', o,
    'checkout_state', c.state,
    'held_until_ms', c.held_until_ms,
    'lines', coalesce((SELECT json_agg(l ORDER BY l.line) FROM order_lines l WHERE l.order_id = o.id), '[]'),
    'payments', coalesce(
        (SELECT json_agg(p ORDER BY p.created_ms, p.id) FROM payments p WHERE p.order_id = o.id), '[]'),
    'refunds', coalesce(
        (SELECT json_agg(r ORDER BY r.created_ms, r.id) FROM refunds r WHERE r.order_id = o.id), '[]')
)::text
FROM orders o JOIN checkouts c ON c.id = o.checkout_id
WHERE o.id = ('ord_0000000000000' || :id::text);

-- and what is written (postgres/order_writes.rs, CHANGE): Stripe has made the intent, and the client has its answer.
WITH locked AS MATERIALIZED (
    SELECT id FROM checkouts WHERE id = ('chk_0000000000000' || :id::text)::text FOR UPDATE
), ordered AS (
    UPDATE orders o SET state = n.state, dispute = n.dispute, disputes = n.disputes, version = n.version,
        email = n.email, shipping_address = n.shipping_address, cancel_requested = n.cancel_requested, updated_ms = n.updated_ms,
        changed_by = n.changed_by
    FROM locked, json_populate_record(NULL::orders, replace(:order_asked, '@', :id::text)::text::json) n
    WHERE o.id = n.id AND o.checkout_id = locked.id AND o.changed_by = 'opened'::text
    RETURNING o.id
), moved AS (
    UPDATE checkouts c SET state = 'completing'::text,
        look_ms = CASE WHEN 'completing'::text IN ('open', 'completing') THEN c.look_ms END
    FROM ordered WHERE c.id = ('chk_0000000000000' || :id::text)::text AND c.state <> 'completing'::text
), paid AS (
    INSERT INTO payments (id, order_id, method, state, amount_minor, currency, intent, session, client_secret,
        hosted_url, return_url, captured_minor, refunded_minor, failure, created_ms, next_check_ms, checks)
    SELECT p.id, p.order_id, p.method, p.state, p.amount_minor, p.currency, p.intent, p.session, p.client_secret,
        p.hosted_url, p.return_url, p.captured_minor, p.refunded_minor, p.failure, p.created_ms, p.next_check_ms,
        p.checks
    FROM ordered, json_populate_recordset(NULL::payments, replace(replace(:payment_asked, '@', :id::text), '#', :random::text)::text::json) p
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, intent = excluded.intent, session = excluded.session,
        client_secret = excluded.client_secret, hosted_url = excluded.hosted_url,
        captured_minor = excluded.captured_minor, refunded_minor = excluded.refunded_minor, failure = excluded.failure,
        next_check_ms = excluded.next_check_ms, checks = excluded.checks
), refunded AS (
    INSERT INTO refunds (id, order_id, payment_id, state, amount_minor, currency, stripe_refund, reason, failure,
        created_ms, next_check_ms, checks)
    SELECT r.id, r.order_id, r.payment_id, r.state, r.amount_minor, r.currency, r.stripe_refund, r.reason, r.failure,
        r.created_ms, r.next_check_ms, r.checks
    FROM ordered, json_populate_recordset(NULL::refunds, '[]'::text::json) r
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, stripe_refund = excluded.stripe_refund,
        failure = excluded.failure, next_check_ms = excluded.next_check_ms, checks = excluded.checks
), told AS (
    INSERT INTO outbox (id, kind, subject, version, data, created_ms, tries, next_ms, is_dead)
    SELECT t.id, t.kind, t.subject, t.version, t.data, :now_ms::bigint, 0, :now_ms::bigint, false
    FROM ordered, json_populate_recordset(NULL::outbox, '[]'::text::json) t
), broken AS (
    INSERT INTO reconciliation_breaks (kind, reference, detail, created_ms)
    SELECT b.kind, b.reference, b.detail, :now_ms::bigint
    FROM ordered, json_populate_recordset(NULL::reconciliation_breaks, '[]'::text::json) b
    ON CONFLICT (kind, reference) DO UPDATE SET detail = excluded.detail, created_ms = excluded.created_ms,
        resolved_ms = NULL, resolved_by = NULL, resolved_why = NULL
    WHERE reconciliation_breaks.resolved_ms IS NOT NULL AND reconciliation_breaks.detail <> excluded.detail
), gone AS (
    DELETE FROM stock_holds h USING ordered WHERE false::boolean AND h.checkout_id = ('chk_0000000000000' || :id::text)::text
    RETURNING h.product, h.quantity, ordered.id AS order_id
), sold AS (
    INSERT INTO stock_moves (product, kind, change, reason, order_id, created_ms)
    SELECT product, 'sale', -sum(quantity)::bigint, 'sold', order_id, :now_ms::bigint
    FROM gone GROUP BY product, order_id ORDER BY product
), settled AS (
    UPDATE webhook_inbox i SET applied_ms = :now_ms::bigint, why = NULL
    FROM ordered WHERE i.id = NULL::text AND i.applied_ms IS NULL
), answered AS (
    UPDATE idempotency_keys k SET answer_status = 200::int, answer_body = convert_to(replace(replace(:answer_completed, '@', :id::text), '#', :random::text), 'UTF8')::bytea
    FROM ordered
    WHERE k.caller = (:random::text || 'f07e3c51a9d2846b0e7f9a1c3d5e7082b4c6d8e0f1a')::text AND k.endpoint = ('POST /checkout/v1/checkouts/chk_0000000000000' || :id::text || '/complete')::text AND k.key = (:random::text || '-4c1d-8e2f-a3b4c5d6')::text AND k.answer_status IS NULL
    RETURNING k.caller
)
SELECT EXISTS (SELECT FROM ordered), EXISTS (SELECT FROM answered);

-- Store::receive (postgres/inbox.rs, RECEIVE): payment_intent.created.
INSERT INTO webhook_inbox (id, kind, body, received_ms, tries, next_ms) VALUES (('evt_' || :random::text || '0'), 'payment_intent.created', convert_to(replace(replace(:event_payment_intent_created, '@', :id::text), '#', :random::text), 'UTF8'), :now_ms, 0, :now_ms)
ON CONFLICT DO NOTHING;

-- Store::receive (postgres/inbox.rs, RECEIVE): charge.succeeded.
INSERT INTO webhook_inbox (id, kind, body, received_ms, tries, next_ms) VALUES (('evt_' || :random::text || '1'), 'charge.succeeded', convert_to(replace(replace(:event_charge_succeeded, '@', :id::text), '#', :random::text), 'UTF8'), :now_ms, 0, :now_ms)
ON CONFLICT DO NOTHING;

-- Store::receive (postgres/inbox.rs, RECEIVE): payment_intent.succeeded.
INSERT INTO webhook_inbox (id, kind, body, received_ms, tries, next_ms) VALUES (('evt_' || :random::text || '2'), 'payment_intent.succeeded', convert_to(replace(replace(:event_payment_intent_succeeded, '@', :id::text), '#', :random::text), 'UTF8'), :now_ms, 0, :now_ms)
ON CONFLICT DO NOTHING;

-- Store::receive (postgres/inbox.rs, RECEIVE): charge.updated.
INSERT INTO webhook_inbox (id, kind, body, received_ms, tries, next_ms) VALUES (('evt_' || :random::text || '3'), 'charge.updated', convert_to(replace(replace(:event_charge_updated, '@', :id::text), '#', :random::text), 'UTF8'), :now_ms, 0, :now_ms)
ON CONFLICT DO NOTHING;

-- Store::due_events (postgres/inbox.rs, DUE): a look at the inbox for as many events as an order has.
WITH due AS MATERIALIZED (
    SELECT id FROM webhook_inbox WHERE applied_ms IS NULL AND next_ms <= :now_ms::bigint
    ORDER BY received_ms LIMIT 4 FOR UPDATE SKIP LOCKED
)
UPDATE webhook_inbox i SET next_ms = :now_ms::bigint + 4000, tries = i.tries + 1
FROM due, set_config('synchronous_commit', 'off', true) WHERE i.id = due.id
RETURNING i.id, i.kind, i.body, i.tries, i.received_ms;

-- Store::settle_event (postgres/inbox.rs, SETTLE_ALONE): payment_intent.created means nothing here.
UPDATE webhook_inbox SET applied_ms = :now_ms, why = NULL
FROM set_config('synchronous_commit', 'off', true) WHERE id = ('evt_' || :random::text || '0') AND applied_ms IS NULL;

-- Store::settle_event (postgres/inbox.rs, SETTLE_ALONE): charge.succeeded means nothing here.
UPDATE webhook_inbox SET applied_ms = :now_ms, why = NULL
FROM set_config('synchronous_commit', 'off', true) WHERE id = ('evt_' || :random::text || '1') AND applied_ms IS NULL;

-- Store::settle_event (postgres/inbox.rs, SETTLE_ALONE): charge.updated means nothing here.
UPDATE webhook_inbox SET applied_ms = :now_ms, why = NULL
FROM set_config('synchronous_commit', 'off', true) WHERE id = ('evt_' || :random::text || '3') AND applied_ms IS NULL;

-- Store::find_payment (postgres/reading.rs): whose intent it is.
SELECT order_id, id FROM payments WHERE id = ('pay_0000000000000' || :id::text);

-- Store::order (postgres/orders.rs, READ): whether the order still wants it.
SELECT json_build_object(
    'order', o,
    'checkout_state', c.state,
    'held_until_ms', c.held_until_ms,
    'lines', coalesce((SELECT json_agg(l ORDER BY l.line) FROM order_lines l WHERE l.order_id = o.id), '[]'),
    'payments', coalesce(
        (SELECT json_agg(p ORDER BY p.created_ms, p.id) FROM payments p WHERE p.order_id = o.id), '[]'),
    'refunds', coalesce(
        (SELECT json_agg(r ORDER BY r.created_ms, r.id) FROM refunds r WHERE r.order_id = o.id), '[]')
)::text
FROM orders o JOIN checkouts c ON c.id = o.checkout_id
WHERE o.id = ('ord_0000000000000' || :id::text);

-- Store::change_order (postgres/at_once.rs): what is read,
SELECT json_build_object(
    'order', o,
    'checkout_state', c.state,
    'held_until_ms', c.held_until_ms,
    'lines', coalesce((SELECT json_agg(l ORDER BY l.line) FROM order_lines l WHERE l.order_id = o.id), '[]'),
    'payments', coalesce(
        (SELECT json_agg(p ORDER BY p.created_ms, p.id) FROM payments p WHERE p.order_id = o.id), '[]'),
    'refunds', coalesce(
        (SELECT json_agg(r ORDER BY r.created_ms, r.id) FROM refunds r WHERE r.order_id = o.id), '[]')
)::text
FROM orders o JOIN checkouts c ON c.id = o.checkout_id
WHERE o.id = ('ord_0000000000000' || :id::text);

-- and what is written (postgres/order_writes.rs, CHANGE): the order is paid, its stock is sold, the event is applied.
WITH locked AS MATERIALIZED (
    SELECT id FROM checkouts WHERE id = ('chk_0000000000000' || :id::text)::text FOR UPDATE
), ordered AS (
    UPDATE orders o SET state = n.state, dispute = n.dispute, disputes = n.disputes, version = n.version,
        email = n.email, shipping_address = n.shipping_address, cancel_requested = n.cancel_requested, updated_ms = n.updated_ms,
        changed_by = n.changed_by
    FROM locked, json_populate_record(NULL::orders, replace(:order_paid, '@', :id::text)::text::json) n
    WHERE o.id = n.id AND o.checkout_id = locked.id AND o.changed_by = 'asked'::text
    RETURNING o.id
), moved AS (
    UPDATE checkouts c SET state = 'completed'::text,
        look_ms = CASE WHEN 'completed'::text IN ('open', 'completing') THEN c.look_ms END
    FROM ordered WHERE c.id = ('chk_0000000000000' || :id::text)::text AND c.state <> 'completed'::text
), paid AS (
    INSERT INTO payments (id, order_id, method, state, amount_minor, currency, intent, session, client_secret,
        hosted_url, return_url, captured_minor, refunded_minor, failure, created_ms, next_check_ms, checks)
    SELECT p.id, p.order_id, p.method, p.state, p.amount_minor, p.currency, p.intent, p.session, p.client_secret,
        p.hosted_url, p.return_url, p.captured_minor, p.refunded_minor, p.failure, p.created_ms, p.next_check_ms,
        p.checks
    FROM ordered, json_populate_recordset(NULL::payments, replace(replace(:payment_paid, '@', :id::text), '#', :random::text)::text::json) p
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, intent = excluded.intent, session = excluded.session,
        client_secret = excluded.client_secret, hosted_url = excluded.hosted_url,
        captured_minor = excluded.captured_minor, refunded_minor = excluded.refunded_minor, failure = excluded.failure,
        next_check_ms = excluded.next_check_ms, checks = excluded.checks
), refunded AS (
    INSERT INTO refunds (id, order_id, payment_id, state, amount_minor, currency, stripe_refund, reason, failure,
        created_ms, next_check_ms, checks)
    SELECT r.id, r.order_id, r.payment_id, r.state, r.amount_minor, r.currency, r.stripe_refund, r.reason, r.failure,
        r.created_ms, r.next_check_ms, r.checks
    FROM ordered, json_populate_recordset(NULL::refunds, '[]'::text::json) r
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, stripe_refund = excluded.stripe_refund,
        failure = excluded.failure, next_check_ms = excluded.next_check_ms, checks = excluded.checks
), told AS (
    INSERT INTO outbox (id, kind, subject, version, data, created_ms, tries, next_ms, is_dead)
    SELECT t.id, t.kind, t.subject, t.version, t.data, :now_ms::bigint, 0, :now_ms::bigint, false
    FROM ordered, json_populate_recordset(NULL::outbox, replace(:told_paid, '@', :id::text)::text::json) t
), broken AS (
    INSERT INTO reconciliation_breaks (kind, reference, detail, created_ms)
    SELECT b.kind, b.reference, b.detail, :now_ms::bigint
    FROM ordered, json_populate_recordset(NULL::reconciliation_breaks, '[]'::text::json) b
    ON CONFLICT (kind, reference) DO UPDATE SET detail = excluded.detail, created_ms = excluded.created_ms,
        resolved_ms = NULL, resolved_by = NULL, resolved_why = NULL
    WHERE reconciliation_breaks.resolved_ms IS NOT NULL AND reconciliation_breaks.detail <> excluded.detail
), gone AS (
    DELETE FROM stock_holds h USING ordered WHERE true::boolean AND h.checkout_id = ('chk_0000000000000' || :id::text)::text
    RETURNING h.product, h.quantity, ordered.id AS order_id
), sold AS (
    INSERT INTO stock_moves (product, kind, change, reason, order_id, created_ms)
    SELECT product, 'sale', -sum(quantity)::bigint, 'sold', order_id, :now_ms::bigint
    FROM gone GROUP BY product, order_id ORDER BY product
), settled AS (
    UPDATE webhook_inbox i SET applied_ms = :now_ms::bigint, why = NULL
    FROM ordered WHERE i.id = ('evt_' || :random::text || '2')::text AND i.applied_ms IS NULL
), answered AS (
    UPDATE idempotency_keys k SET answer_status = NULL::int, answer_body = NULL::bytea
    FROM ordered
    WHERE k.caller = NULL::text AND k.endpoint = NULL::text AND k.key = NULL::text AND k.answer_status IS NULL
    RETURNING k.caller
)
SELECT EXISTS (SELECT FROM ordered), EXISTS (SELECT FROM answered);

-- Store::due_outbox (postgres/outbox.rs, LOCK and JUDGE): a look at the outbox for as many events as an order has.
BEGIN;
SELECT coalesce(array_agg(f.id), '{}') AS found FROM (
    SELECT o.id FROM outbox o
    WHERE o.delivered_ms IS NULL AND NOT o.is_dead AND o.next_ms <= :now_ms::bigint
    ORDER BY o.next_ms, o.id LIMIT 2 FOR UPDATE SKIP LOCKED
) f \gset
WITH judged AS (
    SELECT f.id, held.until_ms AS held_until_ms FROM outbox f LEFT JOIN LATERAL (
        SELECT CASE WHEN e.is_dead THEN :now_ms::bigint + 3600000 ELSE greatest(e.next_ms, :now_ms::bigint + 5000) END AS until_ms FROM outbox e
        WHERE e.subject = f.subject AND e.version < f.version AND e.delivered_ms IS NULL
        ORDER BY e.version LIMIT 1
    ) held ON true
    WHERE f.id = ANY (:found::text[])
)
UPDATE outbox o SET next_ms = coalesce(j.held_until_ms, :now_ms::bigint + 5000),
    tries = o.tries + CASE WHEN j.held_until_ms IS NULL THEN 1 ELSE 0 END
FROM judged j, set_config('synchronous_commit', 'off', true) WHERE o.id = j.id
RETURNING o.id, o.kind, o.subject, o.version, o.data, o.created_ms, o.tries, j.held_until_ms IS NULL AS is_taken;
COMMIT;

-- Store::delivered (postgres/outbox.rs, DELIVERED).
WITH done AS (
    UPDATE outbox o SET delivered_ms = :now_ms, is_dead = false, why = NULL
    FROM set_config('synchronous_commit', 'off', true) WHERE o.id = ANY (ARRAY['evn_0000000000001' || :id::text, 'evn_0000000000002' || :id::text]::text[]) AND o.delivered_ms IS NULL
    RETURNING o.subject, o.version
)
UPDATE outbox o SET next_ms = least(o.next_ms, :now_ms::bigint) FROM done d
WHERE o.subject = d.subject AND o.version = d.version + 1 AND o.delivered_ms IS NULL
    AND o.id <> ALL (ARRAY['evn_0000000000001' || :id::text, 'evn_0000000000002' || :id::text]::text[]);
