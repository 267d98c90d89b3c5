"""The books after a drill: what shoppers were told, what the database has and what Stripe charged must agree."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from parts import checkouts, postgres, stripe
from parts.site import Site

from .load.shoppers import Purchase

# How long what was begun may take to come right.
SETTLE_TIMEOUT_S = 120.0
PAUSE_S = 0.5
MAX_TOLD = 10
PAID = ("paid", "partially_refunded", "refunded")
# Brings forward what would be looked at again in a minute.
HURRY = (
    "UPDATE payments SET next_check_ms = 0 WHERE next_check_ms IS NOT NULL;"
    "UPDATE webhook_inbox SET next_ms = 0 WHERE applied_ms IS NULL AND next_ms > 0;"
)
ORDERS = "SELECT o.id, o.state, o.total_minor, c.id, c.email FROM orders o JOIN checkouts c ON c.id = o.checkout_id"
CHECKOUTS = "SELECT id, email FROM checkouts"


@dataclass
class Books:
    """What was found, and how much was looked at."""

    orders: int = 0
    paid: int = 0
    charged: int = 0
    lost: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        self.faults.append(fault)


def settle(site: Site, purchases: list[Purchase]) -> Books:
    """Adds everything up, again while what was begun is under way."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        books = look(site, purchases)
        if not books.faults or time.monotonic() > deadline:
            break
        postgres.ask(site, postgres.primary(site), HURRY)
        time.sleep(PAUSE_S)
    books.faults += [f"checkout verify: {violation}" for violation in checkouts.verify(site)]
    return books


def look(site: Site, purchases: list[Purchase]) -> Books:
    books = Books()
    server = postgres.primary(site)
    orders = {row[0]: row for row in _rows(site, server, ORDERS)}
    checkouts_by_email: dict[str, list[str]] = {}
    for checkout, email in _rows(site, server, CHECKOUTS):
        checkouts_by_email.setdefault(email, []).append(checkout)
    books.orders = len(orders)
    books.paid = sum(row[1] in PAID for row in orders.values())
    _compare_promises(books, purchases, orders, checkouts_by_email)
    _compare_charges(site, books, orders)
    return books


def _compare_promises(
    books: Books, purchases: list[Purchase], orders: dict[str, list[str]], by_email: dict[str, list[str]]
) -> None:
    """Whatever a shopper was told is in the database, once."""
    for purchase in purchases:
        kept = by_email.get(purchase.email, [])
        if len(kept) > 1:
            books.doubled += 1
            books.add(f"one key made several checkouts: {purchase.email} {kept}")
        if purchase.checkout and purchase.checkout not in kept:
            books.lost += 1
            books.add(f"a checkout that its shopper was told of is lost: {purchase.checkout}")
        order = orders.get(purchase.order)
        if purchase.order and order is None:
            books.lost += 1
            books.add(f"an order that its shopper was told of is lost: {purchase.order}")
        if purchase.is_paid and order is not None and order[1] not in PAID:
            books.add(f"an order that was paid does not say so: {purchase.order} is {order[1]}")


def _compare_charges(site: Site, books: Books, orders: dict[str, list[str]]) -> None:
    """An order is paid if and only if Stripe charged for it, once and all of it."""
    charged: dict[str, list[int]] = {}
    for intent in stripe.ledger(site)["payment_intents"]:
        if intent["status"] == "succeeded":
            charged.setdefault(intent["metadata"]["order_id"], []).append(intent["amount_received"])
    books.charged = len(charged)
    for order, amounts in charged.items():
        if order not in orders:
            books.lost += 1
            books.add(f"who was charged has no order: {order} {amounts}")
        if len(amounts) > 1:
            books.doubled += 1
            books.add(f"an order is charged for more than once: {order} {amounts}")
    for order, row in orders.items():
        amounts = charged.get(order, [])
        if (row[1] in PAID) != bool(amounts):
            books.add(f"an order is {row[1]} and was charged {amounts}: {order}")
        if amounts and amounts[0] != int(row[2]):
            books.add(f"an order of {row[2]} was charged {amounts}: {order}")


def _rows(site: Site, server: str, sql: str) -> list[list[str]]:
    return [line.split("|") for line in postgres.execute(site, server, sql).splitlines()]
