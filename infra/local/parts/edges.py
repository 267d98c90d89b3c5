"""Edges. A region has one, and room for a second one (green) that takes over from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from . import azurite, redis, settings, web
from .site import Site

GREEN = "-green"
# The front is to note that it drains before it goes.
DRAIN_MS = 3_000


def name(region: str, is_green: bool = False) -> str:
    return f"edge-{region}{GREEN if is_green else ''}"


def cache(site: Site, edge: str) -> Path:
    return site.folder / "caches" / edge


def status_store(site: Site) -> str:
    """One for all regions. An edge has one account, so that it cannot be in the home account; a folder serves here."""
    folder = site.folder / "status"
    folder.mkdir(exist_ok=True)
    return f"file://{folder}"


def start(
    site: Site,
    region: str,
    is_green: bool = False,
    store_address: str | None = None,
    more: dict[str, str] | None = None,
) -> str:
    """Starts an edge, and waits until it serves."""
    edge = name(region, is_green)
    cache(site, edge).mkdir(parents=True, exist_ok=True)
    environment = {
        **azurite.environment(site, region, store_address),
        "VITRINE_MARKETS": f"{settings.MARKET}={settings.STORE}",
        "VITRINE_REGION": region,
        "VITRINE_NODE": edge,
        "VITRINE_STATUS_STORE": status_store(site),
        "VITRINE_CACHE_DIR": str(cache(site, edge)),
        "VITRINE_LISTEN": site.address(edge),
        "VITRINE_ADMIN_LISTEN": site.address(f"{edge}-admin"),
        "VITRINE_POLL_INTERVAL_MS": str(settings.POLL_INTERVAL_MS),
        "VITRINE_REDIS_URL": redis.url(site),
        "VITRINE_DRAIN_MS": str(DRAIN_MS),
        "VITRINE_NO_ACCESS_LOG": "true",
        **(more or {}),
    }
    site.start(edge, [site.binary("edge")], environment)
    site.wait_ready(edge, lambda: web.is_ok(site.address(edge), "/healthz"))
    return edge


def forget_cache(site: Site, edge: str) -> None:
    shutil.rmtree(cache(site, edge), ignore_errors=True)


def health(site: Site, edge: str) -> dict[str, Any]:
    """What the market of an edge tells; empty where no answer comes."""
    answer = web.ask(site.address(edge), "/healthz", timeout_s=1.0)
    if answer is None:
        return {}
    markets = answer.json().get("markets") or [{}]
    return dict(markets[0])


def sequence(site: Site, edge: str) -> int:
    return int(health(site, edge).get("sequence") or 0)


def metric(site: Site, edge: str, metric_name: str) -> float | None:
    """The first value of a metric."""
    return next(iter(_values(site, edge, metric_name)), None)


def metric_sum(site: Site, edge: str, metric_name: str) -> float:
    """All values of a metric, whatever their labels."""
    return sum(_values(site, edge, metric_name))


def _values(site: Site, edge: str, metric_name: str) -> list[float]:
    answer = web.ask(site.address(f"{edge}-admin"), "/metrics", timeout_s=1.0)
    lines = answer.body.decode().splitlines() if answer is not None else []
    return [
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith(metric_name) and line[len(metric_name)] in " {"
    ]
