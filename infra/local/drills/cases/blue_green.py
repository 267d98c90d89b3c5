"""A new edge and a new checkout take over from old ones under load, and those come back the same way."""

from __future__ import annotations

import time

from parts import checkouts, edges, front, settings

from ..drill import Drill
from ..scene import Scene

REGION = "a"
# Of the traffic of the region, for the new pair; it is looked at each time.
STEPS_PERCENT = (5, 25, 50, 100)
STEP_S = 1.0
REQUESTS = {"edge": "vitrine_edge_requests_total", "checkout": "vitrine_checkout_requests_total"}


class BlueGreen(Drill):
    name = "blue-green"
    breaks = (
        f"Nothing: the edge and the checkout of region {REGION} are replaced by new processes, by weights at the "
        "front, and back again."
    )
    recovers = "the pair that was there before serves alone again"
    # A rollout is no fault: not one request may be lost.
    reads_may_fail = 0.0

    def strike(self, scene: Scene) -> None:
        self._replace(scene, old_is_green=False)

    def heal(self, scene: Scene) -> None:
        self._replace(scene, old_is_green=True)

    def is_recovered(self, scene: Scene) -> bool:
        return all(front.is_up(scene.site, server) for server in _pair(is_green=False))

    def check(self, scene: Scene) -> None:
        reasons = scene.shoppers.tally.reasons
        scene.must(not reasons, f"attempts to order failed in a rollout: {dict(reasons)}")

    def _replace(self, scene: Scene, old_is_green: bool) -> None:
        site = scene.site
        old, new = _pair(old_is_green), _pair(not old_is_green)
        edges.start(site, REGION, is_green=not old_is_green)
        checkouts.start(site, REGION, is_green=not old_is_green)
        for server in new:
            front.set_weight(site, server, 0)
            front.enable(site, server)
        is_in = scene.wait(lambda: all(front.is_up(site, server) for server in new), settings.START_TIMEOUT_S)
        scene.must(is_in is not None, f"{new} are not taken in")
        for percent in STEPS_PERCENT:
            self._weigh(scene, new, old, percent)
            time.sleep(STEP_S)
            if edges.health(site, new[0]).get("fault"):
                self._weigh(scene, new, old, 0)
                scene.must(False, f"{new[0]} tells a fault, and was taken out again")
                return
        for server in old:
            front.drain(site, server)
        # The checkout asks its edge for prices until its own end.
        for server in reversed(old):
            site.end(server)
            # Its probes fail now, and it is not missed.
            front.disable(site, server)
        for server in new:
            counted = edges.metric_sum(site, server, REQUESTS[server.split("-")[0]])
            scene.facts[f"requests that {server} answered"] = int(counted)

    def _weigh(self, scene: Scene, new: tuple[str, str], old: tuple[str, str], percent: int) -> None:
        for server in new:
            front.set_weight(scene.site, server, percent)
        for server in old:
            front.set_weight(scene.site, server, 100 - percent)


def _pair(is_green: bool) -> tuple[str, str]:
    return edges.name(REGION, is_green), checkouts.name(REGION, is_green)
