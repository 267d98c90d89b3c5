"""Stripe becomes slow, and every shopper presses the button again and again."""

from __future__ import annotations

from parts import checkouts, edges, settings, stripe, web

from ..drill import Drill
from ..scene import Scene

LATENCY_MS = 4_000
# As many more come as at other times.
CROWD = 3
HEALTH_WITHIN_MS = 1_000
# Orders that are under way at any time at the rates of drills.
MAX_UNDER_WAY = 10


class RetryStorm(Drill):
    name = "retry-storm"
    breaks = (
        f"Stripe takes {LATENCY_MS} ms for each call, and three times as many shoppers send each request three times "
        "at once, and again without a pause when no answer comes within 2 s, with one key."
    )
    recovers = f"at most {MAX_UNDER_WAY} orders are under way, and health is told within {HEALTH_WITHIN_MS} ms"

    def __init__(self) -> None:
        self._attempts_before = 0

    def strike(self, scene: Scene) -> None:
        self._attempts_before = scene.shoppers.tally.attempts
        stripe.tell(scene.site, "settings", {"latency_ms": LATENCY_MS})
        scene.shoppers.is_storm.set()
        scene.shoppers.pace.rate_per_s *= CROWD

    def heal(self, scene: Scene) -> None:
        scene.facts["attempts in the storm"] = scene.shoppers.tally.attempts - self._attempts_before
        scene.shoppers.is_storm.clear()
        scene.shoppers.pace.rate_per_s /= CROWD
        stripe.tell(scene.site, "settings", {"latency_ms": 0})

    def is_recovered(self, scene: Scene) -> bool:
        address = [scene.site.address(checkouts.name(region)) for region in settings.REGIONS]
        timeout_s = HEALTH_WITHIN_MS / 1_000
        if any(web.ask(one, "/checkout/healthz", timeout_s=timeout_s) is None for one in address):
            return False
        ended = [purchase for purchase in scene.shoppers.purchases if purchase.is_seen_paid or purchase.fault]
        return len(scene.shoppers.purchases) - len(ended) <= MAX_UNDER_WAY

    def check(self, scene: Scene) -> None:
        for region in settings.REGIONS:
            for server in (checkouts.name(region), edges.name(region)):
                scene.must(scene.site.is_running(server), f"{server} died of the storm")
