"""The simulator of Stripe. It tells of events through the front, as Stripe would."""

from __future__ import annotations

import signal
from typing import Any

from . import settings, web
from .fault import Fault
from .site import Site

NAME = "stripe-sim"


def start(site: Site) -> None:
    environment = {
        "STRIPE_SIM_LISTEN": site.address(NAME),
        "STRIPE_SIM_WEBHOOKS": f"{site.url('front')}/checkout/webhooks/stripe",
        "STRIPE_SIM_WEBHOOK_SECRETS": settings.WEBHOOK_SECRET,
        # What is tried here is not Stripe's limit.
        "STRIPE_SIM_RATE_LIMIT": "0",
        "STRIPE_SIM_STATE": str(site.folder / "stripe.json"),
        "STRIPE_SIM_LOG": "warn",
    }
    site.start(NAME, [site.binary("stripe-sim")], environment)
    site.wait_ready(NAME, lambda: web.is_ok(site.address(NAME), "/sim"))


def stop(site: Site) -> None:
    site.end(NAME, signal.SIGTERM)


def tell(site: Site, path: str, body: Any) -> Any:
    """Tells the simulator what is to happen."""
    answer = web.ask(site.address(NAME), f"/sim/{path}", "POST", body)
    if answer is None or answer.status != 200:
        raise Fault(f"stripe-sim does not take {path} {body}: {answer}")
    return answer.json()


def ledger(site: Site) -> dict[str, Any]:
    """All that was charged, by Stripe's own books."""
    answer = web.ask(site.address(NAME), "/sim/ledger", timeout_s=30)
    if answer is None or answer.status != 200:
        raise Fault(f"stripe-sim shows no ledger: {answer}")
    found: dict[str, Any] = answer.json()
    return found
