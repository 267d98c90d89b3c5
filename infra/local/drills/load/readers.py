"""Shoppers who look: they search, type, and open products. Nobody repeats a request that failed: it was lost."""

from __future__ import annotations

import random
import time
import urllib.parse
from typing import Any

from . import client
from .pace import Pace
from .tally import Tally

TIMEOUT_S = 10.0
MAX_AT_ONCE = 256
# Of a hundred requests; the rest opens products.
SEARCHES = 45
FACETED = 20
SUGGESTIONS = 20


class Readers:
    """What is searched for are words of the shop's own titles, the first ones more often than the later ones."""

    def __init__(self, address: str, rows: list[dict[str, Any]], products: list[str], rate_per_s: float) -> None:
        self.tally = Tally()
        self._address = address
        self._titles = [str(row["title"]) for row in rows]
        self._products = products
        self._dice = random.Random(1)
        self.pace = Pace(rate_per_s, MAX_AT_ONCE, self._visit)

    def _visit(self, due: float) -> None:
        reply = client.send(self._address, "GET", self._path(), None, {}, TIMEOUT_S)
        reason = None if reply.status == 200 else reply.reason or f"status {reply.status}"
        self.tally.attempt(reason)
        is_empty = b'"found":0,' in reply.body
        self.tally.end(reason is not None, time.monotonic() - due, is_empty)

    def _path(self) -> str:
        dice = self._dice
        roll = dice.randrange(100)
        if roll >= SEARCHES + FACETED + SUGGESTIONS:
            return f"/v1/products/{urllib.parse.quote(dice.choice(self._products))}"
        # The smaller of two numbers favours the first titles, which a cache then knows.
        title = self._titles[min(dice.randrange(len(self._titles)), dice.randrange(len(self._titles)))]
        words = title.replace(",", "").split()
        if roll >= SEARCHES + FACETED:
            word = dice.choice(words)
            return f"/v1/suggest?q={urllib.parse.quote(word[: max(2, len(word) // 2)])}"
        query = urllib.parse.quote(" ".join(dice.sample(words, min(2, len(words)))))
        facets = "&facets=brand,price,category" if roll >= SEARCHES else ""
        return f"/v1/search?q={query}&per_page=12{facets}"
