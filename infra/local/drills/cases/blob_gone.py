"""The store of snapshots is away while publishes go on."""

from __future__ import annotations

from parts import azurite, edges, settings, shop

from ..drill import Drill
from ..publishing import Publisher, all_serve
from ..scene import Scene


class BlobGone(Drill):
    name = "blob-gone"
    breaks = "Blob storage of both regions ends while publishes follow one another; edges serve what they have."
    detects = "the edges of both regions tell it in /healthz"
    recovers = "a publish is done, and both edges serve it"
    # The last publish before the store is back is given the time to give up.
    seconds = 40

    def __init__(self) -> None:
        self._publisher: Publisher | None = None
        self._done_before = 0

    def prepare(self, scene: Scene) -> None:
        publisher = Publisher(scene.site, self.name)
        self._publisher = publisher

        def publish() -> None:
            while not scene.is_over.is_set():
                publisher.once()
                # The processor is for those who shop, too.
                scene.is_over.wait(1.0)

        scene.aside(publish)

    def strike(self, scene: Scene) -> None:
        azurite.stop(scene.site)

    def is_detected(self, scene: Scene) -> bool:
        return all(edges.health(scene.site, edges.name(region)).get("fault") for region in settings.REGIONS)

    def heal(self, scene: Scene) -> None:
        publisher = self._publish()
        scene.facts["publishes before, done and failed"] = f"{publisher.done}, {publisher.refused}"
        self._done_before = publisher.done
        azurite.start(scene.site)

    def is_recovered(self, scene: Scene) -> bool:
        if self._publish().done <= self._done_before:
            return False
        return all_serve(scene.site, shop.live_sequence(scene.site))

    def check(self, scene: Scene) -> None:
        publisher = self._publish()
        scene.facts["publishes in all, done and failed"] = f"{publisher.done}, {publisher.refused}"
        scene.facts["longest publish in s"] = publisher.longest_s
        if publisher.last_fault:
            scene.facts["what a publish said"] = publisher.last_fault
        faults = [edges.health(scene.site, edges.name(region)).get("fault") for region in settings.REGIONS]
        scene.must(not any(faults), f"edges tell a fault after the store is back: {faults}")

    def _publish(self) -> Publisher:
        assert self._publisher is not None, "prepared"
        return self._publisher
