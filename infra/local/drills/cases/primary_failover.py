"""The database's primary crashes, and the standby takes over."""

from __future__ import annotations

from parts import checkouts, postgres, settings

from ..drill import Drill
from ..scene import Scene

# Whoever watches a database asks more than once before he believes that it is gone.
PROBES = 3


class PrimaryFailover(Drill):
    name = "primary-failover"
    breaks = "The primary PostgreSQL crashes under load; its synchronous standby is promoted, and the service finds it."
    detects = "the primary did not answer three times"
    recovers = "an order is written to the new primary"

    def __init__(self) -> None:
        self._old = ""
        self._new = ""
        self._unanswered = 0
        self._marked = 0

    def prepare(self, scene: Scene) -> None:
        site = scene.site
        self._old, self._new = postgres.primary(site), postgres.standby(site)
        # What a client was told is then on both: an asynchronous standby may lack the last orders.
        postgres.set_synchronous(site, True)

    def strike(self, scene: Scene) -> None:
        postgres.crash(scene.site, self._old)

    def is_detected(self, scene: Scene) -> bool:
        answers = postgres.ask(scene.site, self._old, "SELECT 1") is not None
        self._unanswered = 0 if answers else self._unanswered + 1
        return self._unanswered >= PROBES

    def heal(self, scene: Scene) -> None:
        postgres.promote(scene.site, self._new)
        postgres.note_roles(scene.site, primary_server=self._new, standby_server=self._old)
        self._marked = self._orders(scene)

    def is_recovered(self, scene: Scene) -> bool:
        return self._orders(scene) > self._marked

    def restore(self, scene: Scene) -> None:
        site = scene.site
        # It must never come back as it was: what it has beyond the other one is nobody's.
        postgres.make_standby(site, self._old, of=self._new)
        postgres.set_synchronous(site, False)
        for region in settings.REGIONS:
            # They are told where the replica is now.
            site.end(checkouts.name(region))
            checkouts.start(site, region)
        scene.facts["primary afterwards"] = self._new

    def _orders(self, scene: Scene) -> int:
        return int(postgres.ask(scene.site, self._new, "SELECT count(*) FROM orders") or 0)
