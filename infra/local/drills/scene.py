"""A drill under way: the site, the load, and the moments that matter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from parts import front, shop, stripe
from parts.site import Site

from .load.readers import Readers
from .load.shoppers import Shoppers

PAUSE_S = 0.05


class Scene:
    def __init__(self, site: Site, reads_per_s: float, orders_per_s: float) -> None:
        self.site = site
        address = site.address(front.NAME)
        products: list[str] = site.known["stocked"]
        self.readers = Readers(address, shop.rows(site), products, reads_per_s)
        self.shoppers = Shoppers(address, site.address(stripe.NAME), products, orders_per_s)
        self.is_over = threading.Event()
        # Moments, by the clock that never goes back.
        self.struck_at: float | None = None
        self.detected_at: float | None = None
        self.healed_at: float | None = None
        self.recovered_at: float | None = None
        # What a drill saw and wants told, and what it saw that must not be.
        self.facts: dict[str, Any] = {}
        self.breaks: list[str] = []
        self._aside: list[threading.Thread] = []

    def strike_now(self) -> None:
        """Something is broken from now on."""
        self.struck_at = time.monotonic()

    def must(self, is_so: bool, what: str) -> None:
        """Something that has to be so whatever breaks."""
        if not is_so:
            self.breaks.append(what)

    def aside(self, work: Callable[[], None]) -> None:
        """Goes on beside the drill until the scene is over; a fault in it breaks the drill."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the drill has to fail
                self.breaks.append(f"beside the drill: {error!r}")

        thread = threading.Thread(target=guarded, daemon=True)
        self._aside.append(thread)
        thread.start()

    def end_aside(self) -> None:
        self.is_over.set()
        for thread in self._aside:
            thread.join(timeout=180)

    def wait(self, is_so: Callable[[], bool], timeout_s: float) -> float | None:
        """How long it took in seconds; None where it did not come to be."""
        started = time.monotonic()
        while not is_so():
            if time.monotonic() - started > timeout_s:
                return None
            time.sleep(PAUSE_S)
        return round(time.monotonic() - started, 2)

    def since_strike(self, moment: float | None) -> float | None:
        if moment is None or self.struck_at is None:
            return None
        return round(moment - self.struck_at, 2)
