"""The demo shop: made up, built and published to both regions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from . import azurite, edges, redis, settings
from .fault import Fault
from .site import Site


def make(site: Site, products: int) -> None:
    """Makes the catalogue, publishes it, and notes which products are sold."""
    shop = site.folder / "shop"
    indexer(site, ["demo-catalogue", "--products", str(products), "--seed", "1", "--out", str(shop)])
    build(site, shop / "products.jsonl", site.folder / "built")
    publish(site, site.folder / "built")
    sold = [row["id"] for row in rows(site) if row.get("availability") == "in_stock" and "price" in row]
    site.known["stocked"] = sold[: settings.STOCKED_PRODUCTS]
    site.save()


def rows(site: Site) -> list[dict[str, Any]]:
    with (site.folder / "shop/products.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def write_rows(file: Path, found: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in found))


def build(site: Site, products: Path, out: Path) -> None:
    catalogue = site.folder / "shop/catalogue.toml"
    rejects = site.folder / "rejects.jsonl"
    indexer(site, ["build", "--catalogue", str(catalogue), "--rejects", str(rejects), "--out", str(out), str(products)])


def publish(site: Site, built: Path, *flags: str) -> str:
    return indexer(site, ["publish", *place(site), *flags, str(built)])


def try_publish(
    site: Site, built: Path, *flags: str, more: dict[str, str] | None = None, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """The same where it may fail."""
    return run(site, ["publish", *place(site), *flags, str(built)], more, timeout_s)


def rollback(site: Site, reason: str) -> str:
    return indexer(site, ["rollback", *place(site), "--reason", reason])


def resume(site: Site) -> str:
    return indexer(site, ["resume", *_regions(site)])


def sync(site: Site) -> str:
    return indexer(site, ["sync", *_regions(site)])


def status(site: Site) -> str:
    return indexer(site, ["status", *_regions(site), "--status-store", edges.status_store(site)])


def live_sequence(site: Site) -> int:
    """What the channel in the home store is at."""
    said = indexer(site, ["--json", "status", "--store", settings.STORE])
    for line in said.splitlines():
        channels = json.loads(line).get("channels") or []
        for channel in channels:
            if channel.get("channel") == "live":
                return int(channel["sequence"])
    raise Fault(f"indexer status tells of no live channel: {said}")


def indexer(site: Site, arguments: list[str]) -> str:
    done = run(site, arguments)
    if done.returncode != 0:
        raise Fault(f"indexer {' '.join(arguments)} fails:\n{done.stdout}{done.stderr}")
    return done.stdout


def run(
    site: Site, arguments: list[str], more: dict[str, str] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    environment = site.environment({**azurite.publisher_environment(site), **(more or {})})
    command = [site.binary("indexer"), *arguments]
    with site.log("indexer").open("a") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        try:
            done = subprocess.run(
                command, cwd=site.folder, env=environment, capture_output=True, text=True, timeout=timeout_s
            )
        except subprocess.TimeoutExpired as expired:
            said = f"it was ended after {timeout_s} s"
            done = subprocess.CompletedProcess(expired.args, 124, "", said)
        log.write(f"{done.stdout}{done.stderr}")
    return done


def _regions(site: Site) -> list[str]:
    flags = ["--store", settings.STORE]
    for region in settings.REGIONS:
        if region != settings.HOME:
            flags += ["--region", f"{region}={settings.STORE}"]
    return [*flags, "--redis-url", redis.url(site)]


def place(site: Site) -> list[str]:
    return [*_regions(site), "--status-store", edges.status_store(site)]
