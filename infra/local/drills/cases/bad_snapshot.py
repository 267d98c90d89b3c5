"""A snapshot that nobody wants is pushed past the checks, and taken back."""

from __future__ import annotations

from parts import front, shop, web

from ..drill import Drill
from ..publishing import all_serve
from ..scene import Scene


class BadSnapshot(Drill):
    name = "bad-snapshot"
    breaks = (
        "A snapshot with only the products that are in stock for drills replaces the catalogue: the checks refuse it, "
        "--override publishes it, and it is rolled back."
    )
    detects = "both edges serve the bad snapshot"
    recovers = "both edges serve the good one again"

    def __init__(self) -> None:
        self._good = ""
        self._live = 0

    def prepare(self, scene: Scene) -> None:
        site = scene.site
        kept = set(site.known["stocked"])
        rows = site.folder / "bad.jsonl"
        shop.write_rows(rows, [row for row in shop.rows(site) if row["id"] in kept])
        shop.build(site, rows, site.folder / "bad")
        self._good = self._served(scene)
        refused = shop.try_publish(site, site.folder / "bad")
        scene.facts["without --override"] = " ".join(refused.stderr.split())[:200] or "published"
        scene.must(refused.returncode != 0, "the checks let a snapshot pass that lacks nearly all products")

    def strike(self, scene: Scene) -> None:
        shop.publish(scene.site, scene.site.folder / "bad", "--override", "a drill")
        self._live = shop.live_sequence(scene.site)

    def is_detected(self, scene: Scene) -> bool:
        return all_serve(scene.site, self._live)

    def heal(self, scene: Scene) -> None:
        shop.rollback(scene.site, "a drill")
        self._live = shop.live_sequence(scene.site)

    def is_recovered(self, scene: Scene) -> bool:
        return all_serve(scene.site, self._live)

    def check(self, scene: Scene) -> None:
        scene.must(self._served(scene) == self._good, f"{self._good} is not what is served after the rollback")
        refused = shop.try_publish(scene.site, scene.site.folder / "bad", "--override", "a drill")
        scene.must(refused.returncode != 0, "a publisher was not stopped by a channel that is held")

    def restore(self, scene: Scene) -> None:
        shop.resume(scene.site)

    def _served(self, scene: Scene) -> str:
        answer = web.ask(scene.site.address(front.NAME), "/v1/snapshot")
        assert answer is not None, "the front answers"
        return str(answer.json()["markets"][0]["id"])
