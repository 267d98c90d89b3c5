"""Runs a drill: load, strike, watch, heal, watch, and then the books."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from parts import front, whole
from parts.fault import Fault
from parts.site import Site

from . import books
from .drill import Drill
from .report import Report
from .scene import PAUSE_S, Scene

# Of the time of a drill.
WARM_SHARE = 0.2
BROKEN_SHARE = 0.4
RECOVER_TIMEOUT_S = 90.0
# Load goes on after all is well again, so that a relapse is seen.
AFTER_S = 3.0


def conduct(drill: Drill, site: Site, seconds: float, reads_per_s: float, orders_per_s: float) -> Report:
    scene = Scene(site, reads_per_s, orders_per_s)
    say(f"{drill.name}: {drill.breaks}")
    tries_before = front.retries(site)
    drill.prepare(scene)
    started = time.monotonic()
    scene.readers.pace.start()
    scene.shoppers.pace.start()
    with noted(scene):
        _play(drill, scene, started, seconds)
    load_s = time.monotonic() - started
    _end_load(scene)
    say("  the load is over: adding up the books")
    found = books.Books()
    with noted(scene):
        scene.facts["tried again by the front"] = front.retries(site) - tries_before
        found = books.settle(site, scene.shoppers.purchases)
    with noted(scene):
        drill.restore(scene)
        whole.wait_until_whole(site)
    return Report.of(drill, scene, found, load_s)


@contextlib.contextmanager
def noted(scene: Scene) -> Iterator[None]:
    """What goes wrong stands in the report, which is written all the same."""
    try:
        yield
    except (Fault, OSError) as fault:
        scene.breaks.append(str(fault))


def say(text: str) -> None:
    print(text, flush=True, file=sys.stderr)


def _end_load(scene: Scene) -> None:
    stops = [threading.Thread(target=pace.stop) for pace in (scene.readers.pace, scene.shoppers.pace)]
    for stop in stops:
        stop.start()
    for stop in stops:
        stop.join()
    scene.end_aside()


def _play(drill: Drill, scene: Scene, started: float, seconds: float) -> None:
    time.sleep(WARM_SHARE * seconds)
    scene.strike_now()
    drill.strike(scene)
    say(f"  struck after {time.monotonic() - started:.1f} s")
    heal_at = max(time.monotonic(), started + (WARM_SHARE + BROKEN_SHARE) * seconds)
    if drill.detects:
        # What nobody noticed yet is waited for, or its healing would not be seen either.
        scene.detected_at = _watch(scene, drill.is_detected, heal_at + RECOVER_TIMEOUT_S)
        say(f"  detected after {scene.since_strike(scene.detected_at)} s")
        scene.must(scene.detected_at is not None, f"nobody noticed: {drill.detects}")
    time.sleep(max(0.0, heal_at - time.monotonic()))
    scene.healed_at = time.monotonic()
    drill.heal(scene)
    scene.recovered_at = _watch(scene, drill.is_recovered, time.monotonic() + RECOVER_TIMEOUT_S)
    scene.must(scene.recovered_at is not None, f"it did not come to be again: {drill.recovers}")
    if scene.recovered_at is not None:
        say(f"  healed, and well again after {scene.recovered_at - scene.healed_at:.1f} s")
    time.sleep(max(AFTER_S, started + seconds - time.monotonic()))
    drill.check(scene)


def _watch(scene: Scene, is_so: Callable[[Scene], bool], deadline: float) -> float | None:
    while not is_so(scene):
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE_S)
    return time.monotonic()
