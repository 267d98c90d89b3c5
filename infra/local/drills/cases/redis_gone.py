"""Redis is away: hints are not heard, and polling brings what is new."""

from __future__ import annotations

import signal

from parts import edges, redis, settings, shop

from ..drill import Drill
from ..publishing import Publisher, all_serve
from ..scene import Scene

CONNECTED = "vitrine_edge_redis_connected"
# A poll, give or take a fifth, and the opening.
SEEN_WITHIN_S = 30.0


class RedisGone(Drill):
    name = "redis-gone"
    breaks = "Redis is killed. Orders and searches need none of it; a publish is seen at the next poll."
    detects = "the edges of both regions tell that they lost it"
    recovers = "both are connected again"

    def strike(self, scene: Scene) -> None:
        site = scene.site
        site.end(redis.NAME, signal.SIGKILL)

        def publish() -> None:
            publisher = Publisher(site, self.name)
            scene.must(publisher.once(), f"a publish needs Redis: {publisher.last_fault}")
            live = shop.live_sequence(site)
            seen_s = scene.wait(lambda: all_serve(site, live), SEEN_WITHIN_S)
            scene.facts["a publish without Redis was served after, in s"] = seen_s
            scene.must(seen_s is not None, f"sequence {live} is not served without Redis")

        scene.aside(publish)

    def is_detected(self, scene: Scene) -> bool:
        return all(edges.metric(scene.site, edges.name(region), CONNECTED) == 0 for region in settings.REGIONS)

    def heal(self, scene: Scene) -> None:
        redis.start(scene.site)

    def is_recovered(self, scene: Scene) -> bool:
        return all(edges.metric(scene.site, edges.name(region), CONNECTED) == 1 for region in settings.REGIONS)
