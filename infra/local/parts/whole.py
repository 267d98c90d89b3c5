"""Everything, up and down."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from . import azurite, checkouts, edges, front, identity, install, postgres, redis, settings, shop, skew, stripe
from .fault import Fault
from .site import MARKER, Site

# Nothing that is held is wanted any more, so that all but these end by force. PostgreSQL takes its processes along, and
# removes what it shares with them.
ENDS_BY = {server: signal.SIGQUIT for server in postgres.SERVERS}
QUICK_END_S = 10.0


def port_names() -> list[str]:
    names = [front.NAME, azurite.NAME, redis.NAME, stripe.NAME, *postgres.SERVERS]
    for region in settings.REGIONS:
        for is_green in (False, True):
            for server in (edges.name(region, is_green), checkouts.name(region, is_green)):
                names += [server, f"{server}-admin"]
    return [*names, "proxy-blob", "proxy-blob-control", "proxy-sql", "proxy-sql-control"]


def up(binaries: list[str], products: int, is_synchronous: bool) -> Site:
    """Starts all parts, publishes the demo shop, and imports its stock."""
    left = Site.load()
    if left is not None and any(left.is_running(name) for name in left.names()):
        raise Fault("two regions are up already: 'regions status' shows them, 'regions down' ends them")
    down(is_quiet=True)
    install.all_parts()
    site = Site.create(settings.FOLDER, port_names(), binaries)
    for binary in ("edge", "indexer", "checkout", "stripe-sim"):
        site.binary(binary)
    azurite.start(site)
    azurite.create_containers(site)
    redis.start(site)
    postgres.create(site, is_synchronous)
    shop.make(site, products)
    checkouts.make_staff(site)
    checkouts.migrate(site)
    checkouts.import_stock(site, site.known["stocked"])
    stripe.start(site)
    for region in settings.REGIONS:
        edges.start(site, region)
        checkouts.start(site, region)
    front.start(site)
    wait_until_whole(site)
    return site


def servers() -> list[str]:
    """What the front sends requests to."""
    return [name(region) for region in settings.REGIONS for name in (edges.name, checkouts.name)]


def wait_until_whole(site: Site, timeout_s: float = settings.START_TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while faults := what_is_wrong(site):
        if time.monotonic() > deadline:
            raise Fault("; ".join(faults))
        time.sleep(settings.PAUSE_S)


def what_is_wrong(site: Site) -> list[str]:
    """Why the two regions are not what they are after `up`; empty where they are."""
    expected = [azurite.NAME, redis.NAME, stripe.NAME, front.NAME, *postgres.SERVERS, *servers()]
    faults = [f"{name} does not run" for name in expected if not site.is_running(name)]
    if faults:
        return faults
    faults = [f"{name} is {front.standing(site, name)}" for name in servers() if not front.is_up(site, name)]
    streaming = "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'"
    if postgres.ask(site, postgres.primary(site), streaming) != "t":
        faults.append(f"{postgres.standby(site)} does not follow {postgres.primary(site)}")
    sequences = {edges.sequence(site, edges.name(region)) for region in settings.REGIONS}
    if len(sequences) != 1:
        faults.append(f"the edges serve sequences {sorted(sequences)}")
    return faults


def down(is_quiet: bool = False) -> None:
    """Ends whatever runs, also what a command left that crashed, and removes the folder."""
    site = Site.load()
    if site is not None:
        for name in site.names():
            pid = site.known["processes"][name]["pid"]
            site.end(name, ENDS_BY.get(name, signal.SIGKILL))
            skew.forget(pid)
    _end_unnoted()
    for mount in _mounts():
        subprocess.run(["umount", mount], check=False)
    for folder in site.known["folders"] if site is not None else []:
        shutil.rmtree(folder, ignore_errors=True)
    if settings.FOLDER.exists():
        shutil.rmtree(settings.FOLDER)
        if not is_quiet:
            print("all ended, nothing is left")


def _end_unnoted() -> None:
    """What was started in the moment in which a command crashed."""
    marker = f"{MARKER}={settings.FOLDER}"
    deadline = time.monotonic() + QUICK_END_S
    while left := identity.marked(marker):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL if time.monotonic() > deadline else signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline + QUICK_END_S:
            raise Fault(f"processes {left} do not end")
        time.sleep(settings.PAUSE_S)


def _mounts() -> list[str]:
    """What is mounted in the folder, the innermost first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    places = [line.split()[1].replace("\\040", " ") for line in lines]
    return sorted((place for place in places if place.startswith(f"{settings.FOLDER}/")), reverse=True)


def describe(site: Site) -> str:
    """For people: where everything is."""
    lines = [f"shop      {site.url(front.NAME)}/", f"checkout  {site.url(front.NAME)}/checkout/v1/", ""]
    for name in sorted(site.known["ports"]):
        if name in site.known["processes"]:
            standing = f"  {front.standing(site, name)}" if name in servers() and site.is_running(front.NAME) else ""
            state = "runs" if site.is_running(name) else "ENDED"
            lines.append(f"{name:14} {site.address(name):18} {state}{standing}")
    primary = postgres.primary(site)
    lines += ["", f"{primary} is the primary; logs are in {settings.FOLDER.name}/logs, addresses in state.json"]
    return "\n".join(lines)
