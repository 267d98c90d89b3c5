"""Drives the simulator with Stripe's own client, and says ok when all was as it should be."""

import http.server
import json
import os
import queue
import threading
import urllib.request

import stripe

URL = os.environ["STRIPE_SIM_URL"]
SECRET = "whsec_of_the_script"
PATIENCE_S = 60

client = stripe.StripeClient("sk_test_script", base_addresses={"api": URL}, max_network_retries=0)
v1 = client.v1


def tell(path, body):
    request = urllib.request.Request(URL + path, data=json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def card_intent(**more):
    params = {"amount": 1000, "currency": "eur", "payment_method_types": ["card"], "metadata": {"order_id": "o-1"}}
    return {**params, **more}


def paid(method="pm_card_visa", **more):
    return v1.payment_intents.create(params=card_intent(payment_method=method, confirm=True, **more))


def expect(kind, deed):
    try:
        deed()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")


def intents():
    created = v1.payment_intents.create(params=card_intent(description="boots"))
    assert created.status == "requires_payment_method" and created.metadata["order_id"] == "o-1"
    confirmed = v1.payment_intents.confirm(
        created.id, params={"payment_method": "pm_card_visa", "expand": ["latest_charge.balance_transaction"]}
    )
    assert confirmed.status == "succeeded" and confirmed.latest_charge.paid
    assert confirmed.latest_charge.balance_transaction.fee == 40
    read = v1.payment_intents.retrieve(created.id)
    assert read.latest_charge == confirmed.latest_charge.id
    changed = v1.payment_intents.update(created.id, params={"metadata": {"more": "1"}})
    assert changed.metadata["more"] == "1"

    other = v1.payment_intents.create(params=card_intent())
    canceled = v1.payment_intents.cancel(other.id, params={"cancellation_reason": "abandoned"})
    assert canceled.status == "canceled" and canceled.canceled_at

    held = paid(capture_method="manual")
    assert held.status == "requires_capture"
    captured = v1.payment_intents.capture(held.id, params={"amount_to_capture": 700})
    assert captured.amount_received == 700

    asked = paid("pm_card_authenticationRequired", return_url="https://shop.example/back")
    assert asked.status == "requires_action"
    assert asked.next_action.redirect_to_url.url.startswith(URL)
    assert v1.charges.retrieve(confirmed.latest_charge.id).amount == 1000
    return confirmed


def errors():
    error = expect(stripe.CardError, lambda: paid("pm_card_chargeDeclined"))
    assert error.code == "card_declined" and error.http_status == 402
    assert error.error.decline_code == "generic_decline"
    assert error.error.payment_intent.status == "requires_payment_method"

    key = {"idempotency_key": "script-1"}
    first = v1.payment_intents.create(params=card_intent(), options=key)
    again = v1.payment_intents.create(params=card_intent(), options=key)
    assert first.id == again.id and again.last_response.headers["Idempotent-Replayed"] == "true"
    expect(
        stripe.IdempotencyError, lambda: v1.payment_intents.create(params=card_intent(amount=2000), options=key)
    )
    error = expect(stripe.InvalidRequestError, lambda: v1.payment_intents.create(params={"amount": 1000}))
    assert error.param == "currency" and error.code == "parameter_missing"
    expect(stripe.InvalidRequestError, lambda: v1.payment_intents.retrieve("pi_of_nobody"))

    tell("/sim/faults", {"on": "GET /v1/payment_intents", "fault": "rate_limited"})
    expect(stripe.RateLimitError, v1.payment_intents.list)
    tell("/sim/faults", {"on": "GET /v1/payment_intents", "fault": "unavailable"})
    expect(stripe.APIError, v1.payment_intents.list)
    tell("/sim/faults", {"on": "GET /v1/payment_intents", "fault": "drop_before"})
    expect(stripe.APIConnectionError, v1.payment_intents.list)
    stranger = stripe.StripeClient("sk_live_script", base_addresses={"api": URL}, max_network_retries=0)
    expect(stripe.AuthenticationError, stranger.v1.payment_intents.list)


def refunds(intent):
    part = v1.refunds.create(params={"payment_intent": intent.id, "amount": 400, "reason": "duplicate"})
    assert part.status == "succeeded" and part.amount == 400
    assert v1.refunds.create(params={"payment_intent": intent.id}).amount == 600
    error = expect(stripe.InvalidRequestError, lambda: v1.refunds.create(params={"payment_intent": intent.id}))
    assert error.code == "charge_already_refunded"
    assert len(v1.refunds.list(params={"payment_intent": intent.id}).data) == 2
    kinds = {row.type for row in v1.balance_transactions.list(params={"limit": 100}).data}
    assert {"charge", "refund"} <= kinds, kinds


def sessions():
    line = {"quantity": 2, "price_data": {"currency": "eur", "unit_amount": 1250, "product_data": {"name": "Boots"}}}
    session = v1.checkout.sessions.create(
        params={
            "mode": "payment",
            "success_url": "https://shop.example/done",
            "line_items": [line],
            "client_reference_id": "o-1",
            "expand": ["line_items"],
        }
    )
    assert session.amount_total == 2500 and session.url.startswith(URL) and session.payment_intent is None
    assert session.line_items.data[0].price.unit_amount == 1250
    tell(f"/sim/checkout/sessions/{session.id}/pay", {"payment_method": "pm_card_visa", "email": "a@shop.example"})
    done = v1.checkout.sessions.retrieve(session.id, params={"expand": ["payment_intent"]})
    assert done.payment_status == "paid" and done.payment_intent.status == "succeeded"
    assert done.customer_details.email == "a@shop.example"
    other = v1.checkout.sessions.create(
        params={"mode": "payment", "success_url": "https://shop.example/done", "line_items": [line]}
    )
    assert v1.checkout.sessions.expire(other.id).status == "expired"


def lists():
    made = {v1.payment_intents.create(params=card_intent(customer="cus_pages")).id for _ in range(7)}
    pages = v1.payment_intents.list(params={"customer": "cus_pages", "limit": 2})
    listed = [intent.id for intent in pages.auto_paging_iter()]
    assert len(listed) == 7 and set(listed) == made
    disputed = paid("pm_card_createDispute")
    dispute = v1.disputes.list(params={"payment_intent": disputed.id}).data[0]
    assert dispute.evidence_details.submission_count == 0 and dispute.balance_transactions[0].net == -2500
    events = v1.events.list(params={"type": "charge.dispute.created"}).data
    assert events[0].data.object.id == dispute.id


def webhooks():
    received = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((body, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tell("/sim/webhooks/endpoints", {"url": f"http://127.0.0.1:{server.server_port}/", "secret": SECRET})
    created = v1.payment_intents.create(params=card_intent())
    body, signature = received.get(timeout=PATIENCE_S)
    event = stripe.Webhook.construct_event(body, signature, SECRET)
    assert event.type == "payment_intent.created" and event.data.object.id == created.id
    expect(
        stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event(body, signature, "whsec_of_another")
    )
    server.shutdown()


confirmed = intents()
errors()
refunds(confirmed)
sessions()
lists()
webhooks()
print("ok")
