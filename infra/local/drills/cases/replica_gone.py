"""The replica that lists are read from is away."""

from __future__ import annotations

import time

from parts import checkouts, front, postgres, web

from ..drill import Drill
from ..scene import Scene

LIST = "/checkout/v1/orders?limit=5"
LIST_PAUSE_S = 0.1
STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"


class ReplicaGone(Drill):
    name = "replica-gone"
    breaks = "The PostgreSQL replica crashes; the staff goes on listing orders, which are read from the primary then."
    detects = "the primary has nobody who follows it"
    recovers = "the replica follows again"

    def __init__(self) -> None:
        self._lists = 0
        self._lost: list[str] = []
        self._longest_s = 0.0

    def prepare(self, scene: Scene) -> None:
        site = scene.site

        def list_orders() -> None:
            while not scene.is_over.is_set():
                asked = time.monotonic()
                answer = web.ask(site.address(front.NAME), LIST, headers=checkouts.staff_header(site), timeout_s=10)
                self._longest_s = max(self._longest_s, time.monotonic() - asked)
                self._lists += 1
                if answer is None or answer.status != 200:
                    self._lost.append(str(answer.status if answer else "no answer"))
                scene.is_over.wait(LIST_PAUSE_S)

        scene.aside(list_orders)

    def strike(self, scene: Scene) -> None:
        postgres.crash(scene.site, postgres.standby(scene.site))

    def is_detected(self, scene: Scene) -> bool:
        return postgres.ask(scene.site, postgres.primary(scene.site), STREAMING) == "0"

    def heal(self, scene: Scene) -> None:
        postgres.start(scene.site, postgres.standby(scene.site))

    def is_recovered(self, scene: Scene) -> bool:
        return postgres.ask(scene.site, postgres.primary(scene.site), STREAMING) == "1"

    def check(self, scene: Scene) -> None:
        scene.facts["lists of orders, lost"] = f"{self._lists}, {len(self._lost)}"
        scene.facts["longest list in s"] = round(self._longest_s, 2)
        scene.must(not self._lost, f"lists of orders failed: {self._lost[:5]}")
