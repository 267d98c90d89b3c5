"""The disk of an edge's cache is full when a new snapshot comes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from parts import edges, front, settings, shop
from parts.fault import Fault

from ..drill import Drill
from ..scene import Scene

REGION = "b"
SIZE_MIB = 256
CHUNK_BYTES = 64 * 1024


class DiskFull(Drill):
    name = "disk-full"
    breaks = f"The disk of region {REGION}'s edge cache fills up, and a snapshot of which it has nothing is published."
    detects = f"the edge of region {REGION} tells it in /healthz, and the other one serves the new snapshot"
    recovers = "both edges serve the new snapshot"
    # Its edge waits longer after each failure before it tries again.
    seconds = 40

    def __init__(self) -> None:
        self._disk = Path()
        self._old = 0
        self._new = 0

    def prepare(self, scene: Scene) -> None:
        if os.geteuid() != 0:
            raise Fault("disk-full mounts a small disk, which needs root")
        site = scene.site
        self._build_other(scene)
        edge = edges.name(REGION)
        site.end(edge)
        edges.forget_cache(site, edge)
        self._disk = edges.cache(site, edge)
        self._disk.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(self._disk)]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode != 0:
            raise Fault(f"no disk can be mounted: {done.stderr.strip()}")
        edges.start(site, REGION)
        scene.wait(lambda: front.is_up(site, edge), settings.START_TIMEOUT_S)
        self._old = edges.sequence(site, edge)

    def strike(self, scene: Scene) -> None:
        self._fill()
        shop.publish(scene.site, scene.site.folder / "other-built", "--override", "a drill")
        self._new = shop.live_sequence(scene.site)

    def is_detected(self, scene: Scene) -> bool:
        full = edges.health(scene.site, edges.name(REGION))
        if full.get("fault"):
            scene.facts["what the edge tells"] = full["fault"]
        return bool(full.get("fault")) and edges.sequence(scene.site, edges.name(settings.HOME)) >= self._new

    def heal(self, scene: Scene) -> None:
        served = edges.sequence(scene.site, edges.name(REGION))
        scene.must(served == self._old, f"an edge without room serves {served} in place of {self._old}")
        (self._disk / "filler").unlink()

    def is_recovered(self, scene: Scene) -> bool:
        return all(edges.sequence(scene.site, edges.name(region)) >= self._new for region in settings.REGIONS)

    def restore(self, scene: Scene) -> None:
        site, edge = scene.site, edges.name(REGION)
        site.end(edge)
        subprocess.run(["umount", str(self._disk)], check=True)
        edges.start(site, REGION)
        shop.rollback(site, "the drill is over")
        shop.resume(site)

    def _fill(self) -> None:
        with (self._disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"\0" * CHUNK_BYTES)
            except OSError:
                pass

    def _build_other(self, scene: Scene) -> None:
        """The same products, and descriptions that make every object another one."""
        site = scene.site
        other = site.folder / "other.jsonl"
        shutil.rmtree(site.folder / "other-built", ignore_errors=True)
        rows = [{**row, "description": f"{row.get('description', '')} (other)"} for row in shop.rows(site)]
        shop.write_rows(other, rows)
        shop.build(site, other, site.folder / "other-built")
