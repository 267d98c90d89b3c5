"""A region dies at once."""

from __future__ import annotations

import signal

from parts import checkouts, edges, front

from ..drill import Drill
from ..scene import Scene

REGION = "a"


class RegionKill(Drill):
    name = "region-kill"
    breaks = f"The edge and the checkout of region {REGION} are killed (SIGKILL), and come back later."
    detects = "the front has taken both out"

    def strike(self, scene: Scene) -> None:
        for server in (edges.name(REGION), checkouts.name(REGION)):
            scene.site.send(server, signal.SIGKILL)

    def is_detected(self, scene: Scene) -> bool:
        return all(front.is_down(scene.site, server) for server in (edges.name(REGION), checkouts.name(REGION)))

    def heal(self, scene: Scene) -> None:
        edges.start(scene.site, REGION)
        checkouts.start(scene.site, REGION)

    def is_recovered(self, scene: Scene) -> bool:
        return all(front.is_up(scene.site, server) for server in (edges.name(REGION), checkouts.name(REGION)))

    def check(self, scene: Scene) -> None:
        # Once it is known that the region is gone, nothing goes there.
        if scene.detected_at is not None and scene.healed_at is not None:
            lost = scene.readers.tally.failures_between(scene.detected_at, scene.healed_at)
            scene.must(lost == 0, f"{lost} reads were lost after the front knew that the region is gone")
