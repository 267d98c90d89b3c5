"""Shoppers who buy: they place, complete and pay, and ask again with the same key whenever an answer does not come."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

from parts import settings

from . import client
from .client import Reply
from .pace import Pace
from .tally import Tally

MAX_AT_ONCE = 200
# A page gives up an attempt, and a shopper all of them.
ATTEMPT_TIMEOUT_S = 10.0
PATIENCE_S = 60.0
FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 1.0
LOOK_PAUSE_S = 0.25
# How many of the same request a shopper in a storm sends at the same moment, and how long the page waits then.
STORM_COPIES = 3
STORM_ATTEMPT_TIMEOUT_S = 2.0


@dataclass
class Purchase:
    """What a shopper knows of an order; empty where an answer never came."""

    email: str
    checkout: str = ""
    order: str = ""
    is_paid: bool = False
    is_seen_paid: bool = False
    fault: str = ""


class Shoppers:
    def __init__(self, address: str, stripe: str, products: list[str], rate_per_s: float) -> None:
        self.tally = Tally()
        self.purchases: list[Purchase] = []
        # In a storm nobody pauses, and everybody presses the button several times.
        self.is_storm = threading.Event()
        self._address = address
        self._stripe = stripe
        self._products = products
        self._run = uuid.uuid4().hex[:12]
        self._dice = random.Random(2)
        self.pace = Pace(rate_per_s, MAX_AT_ONCE, self._visit)

    def _visit(self, due: float) -> None:
        purchase = Purchase(email=f"drill-{self._run}-{uuid.uuid4().hex}@example.com")
        self.purchases.append(purchase)
        deadline = time.monotonic() + PATIENCE_S
        purchase.fault = self._buy(purchase, deadline)
        self.tally.end(bool(purchase.fault), time.monotonic() - due)

    def _buy(self, purchase: Purchase, deadline: float) -> str:
        """Why it came to nothing; empty where the order is paid."""
        lines = [{"product": self._dice.choice(self._products), "quantity": self._dice.randint(1, 3)}]
        placed = self._post("/checkout/v1/checkouts", {"lines": lines, "email": purchase.email}, {}, deadline)
        if placed.status != 201:
            return f"not placed: {_told(placed)}"
        body = json.loads(placed.body)
        purchase.checkout = body["checkout"]["id"]
        token = {"Authorization": f"Bearer {body['token']}"}
        path = f"/checkout/v1/checkouts/{purchase.checkout}"
        wanted = {"method": "payment_intent", "return_url": f"{settings.SHOP_ORIGIN}/thanks"}
        completed = self._post(f"{path}/complete", wanted, token, deadline)
        if completed.status not in (200, 202):
            return f"not completed: {_told(completed)}"
        body = json.loads(completed.body)
        purchase.order = body["order"]["id"]
        intent = _intent(body) or self._look_for_intent(path, token, deadline)
        if intent is None:
            return "nothing to pay with"
        if not self._pay(intent, deadline):
            return "not paid"
        purchase.is_paid = True
        purchase.is_seen_paid = self._look_for_paid(f"/checkout/v1/orders/{purchase.order}", token, deadline)
        return "" if purchase.is_seen_paid else "paid, and the order does not say so in time"

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str], deadline: float) -> Reply:
        """Asks until there is an answer that is final, with one key."""
        sent = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4()), **headers}
        data = json.dumps(body).encode()
        pause_s = FIRST_PAUSE_S
        while True:
            reply = self._send_copies(path, data, sent) if self.is_storm.is_set() else self._send(path, data, sent)
            if not _is_to_be_asked_again(reply) or time.monotonic() > deadline:
                return reply
            if not self.is_storm.is_set():
                time.sleep(pause_s * self._dice.uniform(0.5, 1.5))
                pause_s = min(pause_s * 2, LAST_PAUSE_S)

    def _send(self, path: str, data: bytes, headers: dict[str, str]) -> Reply:
        timeout_s = STORM_ATTEMPT_TIMEOUT_S if self.is_storm.is_set() else ATTEMPT_TIMEOUT_S
        reply = client.send(self._address, "POST", path, data, headers, timeout_s)
        self.tally.attempt(_told(reply) if _is_to_be_asked_again(reply) else None)
        return reply

    def _send_copies(self, path: str, data: bytes, headers: dict[str, str]) -> Reply:
        """The same several times at once; the answer that is final, where one is."""
        replies: list[Reply] = []
        copies = [
            threading.Thread(target=lambda: replies.append(self._send(path, data, headers)))
            for _ in range(STORM_COPIES)
        ]
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.join()
        final = [reply for reply in replies if not _is_to_be_asked_again(reply)]
        return final[0] if final else replies[0]

    def _get(self, path: str, headers: dict[str, str]) -> Any:
        reply = client.send(self._address, "GET", path, None, headers, ATTEMPT_TIMEOUT_S)
        self.tally.attempt(None if reply.status == 200 else _told(reply))
        return json.loads(reply.body) if reply.status == 200 else {}

    def _look_for_intent(self, path: str, token: dict[str, str], deadline: float) -> str | None:
        while time.monotonic() < deadline:
            intent = _intent(self._get(path, token))
            if intent is not None:
                return intent
            time.sleep(LOOK_PAUSE_S)
        return None

    def _pay(self, intent: str, deadline: float) -> bool:
        data = json.dumps({"payment_method": "pm_card_visa"}).encode()
        headers = {"Content-Type": "application/json"}
        while time.monotonic() < deadline:
            path = f"/sim/payment_intents/{intent}/pay"
            reply = client.send(self._stripe, "POST", path, data, headers, ATTEMPT_TIMEOUT_S)
            # One that is paid already says so.
            if reply.status == 200 and json.loads(reply.body)["payment_intent"]["status"] == "succeeded":
                return True
            time.sleep(LOOK_PAUSE_S)
        return False

    def _look_for_paid(self, path: str, token: dict[str, str], deadline: float) -> bool:
        while True:
            order = self._get(path, token).get("order") or {}
            if order.get("state") == "paid":
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_PAUSE_S)


def _intent(body: Any) -> str | None:
    secret = (body.get("payment") or {}).get("client_secret")
    return secret.split("_secret")[0] if secret else None


def _is_to_be_asked_again(reply: Reply) -> bool:
    return reply.status in (0, 429) or reply.status >= 500 or _code(reply) == "idempotency_key_in_flight"


def _code(reply: Reply) -> str:
    try:
        body = json.loads(reply.body)
    except ValueError:
        return ""
    return str(body.get("code", "")) if isinstance(body, dict) else ""


def _told(reply: Reply) -> str:
    """The reason of a failure, short enough to be counted by."""
    return reply.reason or f"status {reply.status} {_code(reply)}".strip()
