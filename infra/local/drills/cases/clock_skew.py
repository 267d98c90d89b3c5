"""Clocks are wrong: that of an edge, and those of publishers."""

from __future__ import annotations

from parts import edges, front, shop, skew

from ..drill import Drill
from ..publishing import Publisher, all_serve
from ..scene import Scene

REGION = "b"
SKEW = "10m"
SERVED_WITHIN_S = 30.0
# That the edge's clock was wrong is seen in how old it takes for what was announced.
LEAST_AGE_S = 500


class ClockSkew(Drill):
    name = "clock-skew"
    breaks = f"The clock of region {REGION}'s edge is {SKEW} ahead; publishers are {SKEW} behind, then {SKEW} ahead."
    recovers = "'publish --wait' by a true clock found both edges, and they serve it"

    def __init__(self) -> None:
        self._publisher: Publisher | None = None
        self._live = 0
        self._ages: list[int] = []

    def prepare(self, scene: Scene) -> None:
        self._publisher = Publisher(scene.site, self.name)
        self._start_edge(scene, skew.environment(f"+{SKEW}"))

    def strike(self, scene: Scene) -> None:
        for sign, what in (("-", "behind"), ("+", "ahead")):
            served_s = self._publish(scene, skew.environment(f"{sign}{SKEW}"))
            scene.facts[f"published {SKEW} {what}, served in both regions after, in s"] = served_s
            scene.must(served_s is not None, f"what a publisher announced that is {SKEW} {what} is not served")
            self._ages.append(int(edges.health(scene.site, edges.name(REGION)).get("age_s") or 0))
        scene.facts["how old the edge took these for, in s"] = str(self._ages)
        scene.must(self._ages[0] > LEAST_AGE_S, "no clock was wrong")
        waited = shop.run(scene.site, ["status", *shop.place(scene.site)])
        scene.facts["nodes in indexer status"] = "; ".join(
            " ".join(line.split()) for line in waited.stdout.splitlines() if " edge-" in line
        )

    def heal(self, scene: Scene) -> None:
        served_s = self._publish(scene, {}, "--wait", "--wait-timeout-s", "30")
        scene.must(served_s is not None, "what a publisher with a true clock announced afterwards is not served")

    def is_recovered(self, scene: Scene) -> bool:
        return all_serve(scene.site, self._live)

    def restore(self, scene: Scene) -> None:
        self._start_edge(scene, {})

    def _publish(self, scene: Scene, more: dict[str, str], *flags: str) -> float | None:
        assert self._publisher is not None, "prepared"
        if not self._publisher.once(*flags, more=more):
            scene.must(False, f"a publish fails: {self._publisher.last_fault}")
            return None
        self._live = shop.live_sequence(scene.site)
        return scene.wait(lambda: all_serve(scene.site, self._live), SERVED_WITHIN_S)

    def _start_edge(self, scene: Scene, more: dict[str, str]) -> None:
        edge = edges.name(REGION)
        scene.site.end(edge)
        edges.start(scene.site, REGION, more=more)
        scene.wait(lambda: front.is_up(scene.site, edge), SERVED_WITHIN_S)
