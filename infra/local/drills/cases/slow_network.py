"""A region is far from Blob storage and from the database."""

from __future__ import annotations

from parts import azurite, checkouts, edges, front, postgres, proxies, settings, shop

from ..drill import Drill
from ..publishing import Publisher, all_serve
from ..scene import Scene

REGION = "b"
# Each way, and so twice that for a question and its answer.
BLOB_DELAY_MS = 250
SQL_DELAY_MS = 50
SERVED_WITHIN_S = 60.0


class SlowNetwork(Drill):
    name = "slow-network"
    breaks = (
        f"Region {REGION} is far away: what it says to Blob storage and hears from there takes {BLOB_DELAY_MS} ms "
        f"each way, and {SQL_DELAY_MS} ms to and from the database."
    )
    recovers = "an update that was published meanwhile is served in both regions"

    def __init__(self) -> None:
        self._live = 0

    def prepare(self, scene: Scene) -> None:
        site = scene.site
        blob = proxies.start(site, "proxy-blob", site.address(azurite.NAME))
        sql = proxies.start(site, "proxy-sql", site.address(postgres.primary(site)))
        url = postgres.url(site, postgres.primary(site), sql)
        self._restart(scene, blob, {"PRIMARY_SQL_URL": url, "READ_SQL_URL": url})

    def strike(self, scene: Scene) -> None:
        site = scene.site
        proxies.delay(site, "proxy-blob", BLOB_DELAY_MS)
        proxies.delay(site, "proxy-sql", SQL_DELAY_MS)
        publisher = Publisher(site, self.name)
        scene.must(publisher.once(), f"a publish fails: {publisher.last_fault}")
        self._live = shop.live_sequence(site)
        served_s = scene.wait(lambda: all_serve(site, self._live), SERVED_WITHIN_S)
        scene.facts["a publish was served over the slow network after, in s"] = served_s
        scene.must(served_s is not None, f"sequence {self._live} is not served over a slow network")

    def heal(self, scene: Scene) -> None:
        for name in ("proxy-blob", "proxy-sql"):
            proxies.delay(scene.site, name, 0)

    def is_recovered(self, scene: Scene) -> bool:
        return all_serve(scene.site, self._live)

    def restore(self, scene: Scene) -> None:
        self._restart(scene, None, {})
        for name in ("proxy-blob", "proxy-sql"):
            scene.site.end(name)

    def _restart(self, scene: Scene, blob: str | None, sql: dict[str, str]) -> None:
        site = scene.site
        for server in (edges.name(REGION), checkouts.name(REGION)):
            site.end(server)
        edges.start(site, REGION, store_address=blob)
        checkouts.start(site, REGION, more=sql)
        servers = (edges.name(REGION), checkouts.name(REGION))
        scene.wait(lambda: all(front.is_up(site, server) for server in servers), settings.START_TIMEOUT_S)
