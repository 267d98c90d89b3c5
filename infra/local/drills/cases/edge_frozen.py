"""An edge takes connections, and answers none."""

from __future__ import annotations

import signal

from parts import checkouts, edges, front

from ..drill import Drill
from ..scene import Scene

EDGE = edges.name("a")
CHECKOUT = checkouts.name("a")


class EdgeFrozen(Drill):
    name = "edge-frozen"
    breaks = "The edge of region a is stopped (SIGSTOP): it answers no connection. Its checkout has no prices."
    detects = "the front has taken it out"

    def strike(self, scene: Scene) -> None:
        scene.site.send(EDGE, signal.SIGSTOP)

    def is_detected(self, scene: Scene) -> bool:
        return front.is_down(scene.site, EDGE)

    def heal(self, scene: Scene) -> None:
        scene.site.send(EDGE, signal.SIGCONT)

    def is_recovered(self, scene: Scene) -> bool:
        return front.is_up(scene.site, EDGE) and front.is_up(scene.site, CHECKOUT)
