"""Publishes while something is broken: each changes a few products of what is live."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from parts import edges, settings, shop
from parts.site import Site

# Products whose popularity a publish changes; their prices stay, so that no order is refused for them.
CHANGED = 20
# A publish that cannot reach the store gives up by itself within this.
PUBLISH_TIMEOUT_S = 150.0


class Publisher:
    """Counts what became of publishes."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.done = 0
        self.refused = 0
        self.longest_s = 0.0
        self.last_fault = ""
        self._folder = site.folder / f"publish-{name}"
        self._rows = shop.rows(site)[: settings.STOCKED_PRODUCTS]
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()

    def once(self, *flags: str, more: dict[str, str] | None = None) -> bool:
        """Builds on what is live, and publishes. `more` is for the environment of both."""
        started = time.monotonic()
        at = self.done + self.refused
        chosen = self._rows[at * CHANGED % len(self._rows) :][:CHANGED]
        # What says nothing new is no change, so that it has to be another one each time, over all drills.
        popularity = f"{time.time() % 10_000:.3f}"
        changes = self._folder / f"changes-{at}.jsonl"
        shop.write_rows(changes, [{**row, "popularity": popularity} for row in chosen])
        built = self._folder / f"built-{at}"
        said = self._update(built, changes, more) or self._publish(built, flags, more)
        self.longest_s = max(self.longest_s, round(time.monotonic() - started, 2))
        shutil.rmtree(built, ignore_errors=True)
        if said:
            self.refused += 1
            self.last_fault = said.strip().splitlines()[-1]
        else:
            self.done += 1
        return not said

    def _update(self, built: Path, changes: Path, more: dict[str, str] | None) -> str:
        flags = ["--out", str(built), "--base", settings.STORE, "--rejects", str(self._folder / "rejects")]
        done = shop.run(self.site, ["update", *flags, str(changes)], more, PUBLISH_TIMEOUT_S)
        return "" if done.returncode == 0 else f"it ended with {done.returncode}\n{done.stderr}"

    def _publish(self, built: Path, flags: tuple[str, ...], more: dict[str, str] | None) -> str:
        done = shop.try_publish(self.site, built, *flags, more=more, timeout_s=PUBLISH_TIMEOUT_S)
        return "" if done.returncode == 0 else f"it ended with {done.returncode}\n{done.stderr}"


def all_serve(site: Site, sequence: int) -> bool:
    return all(edges.sequence(site, edges.name(region)) >= sequence for region in settings.REGIONS)
