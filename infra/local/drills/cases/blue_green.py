"""A new edge takes over from an old one under load, and the old one comes back the same way."""

from __future__ import annotations

import time

from parts import edges, front, settings

from ..drill import Drill
from ..scene import Scene

REGION = "a"
# Of the traffic of the region, for the new one; it is looked at each time.
STEPS_PERCENT = (5, 25, 50, 100)
STEP_S = 1.0
REQUESTS = "vitrine_edge_requests_total"


class BlueGreen(Drill):
    name = "blue-green"
    breaks = f"Nothing: the edge of region {REGION} is replaced by a new process by weights at the front, and back again."
    recovers = "the edge that was there before serves alone again"
    # A rollout is no fault: not one request may be lost.
    reads_may_fail = 0.0

    def strike(self, scene: Scene) -> None:
        self._replace(scene, old_is_green=False)

    def heal(self, scene: Scene) -> None:
        self._replace(scene, old_is_green=True)

    def is_recovered(self, scene: Scene) -> bool:
        return front.is_up(scene.site, edges.name(REGION))

    def check(self, scene: Scene) -> None:
        lost = scene.shoppers.tally.failed_attempts
        scene.must(lost == 0, f"{lost} attempts to order failed in a rollout")

    def _replace(self, scene: Scene, old_is_green: bool) -> None:
        site = scene.site
        old, new = edges.name(REGION, old_is_green), edges.name(REGION, not old_is_green)
        edges.start(site, REGION, is_green=not old_is_green)
        front.set_weight(site, new, 0)
        front.enable(site, new)
        is_in = scene.wait(lambda: front.is_up(site, new), settings.START_TIMEOUT_S)
        scene.must(is_in is not None, f"{new} is not taken in: {front.standing(site, new)}")
        for percent in STEPS_PERCENT:
            front.set_weight(site, new, percent)
            front.set_weight(site, old, 100 - percent)
            time.sleep(STEP_S)
            if edges.health(site, new).get("fault"):
                front.set_weight(site, old, 100)
                front.set_weight(site, new, 0)
                scene.must(False, f"{new} tells a fault, and was taken out again")
                return
        front.drain(site, old)
        site.end(old)
        # Its probes fail now, and it is not missed.
        front.disable(site, old)
        scene.facts[f"{old} was replaced by {new}, requests it answered"] = edges.metric_sum(site, new, REQUESTS)
