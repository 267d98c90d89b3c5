"""Checkouts, one beside the edge of each region, with one database for all."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from typing import Any

from . import edges, postgres, redis, settings, stripe, web
from .fault import Fault
from .site import Site

DRAIN_MS = 3_000
STAFF = "drills"


def name(region: str, is_green: bool = False) -> str:
    return f"checkout-{region}{edges.GREEN if is_green else ''}"


def make_staff(site: Site) -> None:
    """A token for this folder's lifetime; the service is told its hash."""
    token = f"st_{secrets.token_hex(32)}"
    (site.folder / "staff").write_text(f"{STAFF} {hashlib.sha256(token.encode()).hexdigest()}\n")
    site.known["staff_token"] = token
    site.save()


def database_environment(site: Site) -> dict[str, str]:
    return {
        "PRIMARY_SQL_URL": postgres.primary_urls(site),
        "READ_SQL_URL": postgres.url(site, postgres.standby(site)),
    }


def start(site: Site, region: str, is_green: bool = False, more: dict[str, str] | None = None) -> str:
    """Starts a checkout beside the edge of its region and colour, and waits until it takes requests."""
    checkout = name(region, is_green)
    environment = {
        **database_environment(site),
        "STRIPE_SECRET_KEY": settings.STRIPE_KEY,
        "STRIPE_WEBHOOK_SECRET": settings.WEBHOOK_SECRET,
        "STRIPE_API_URL": site.url(stripe.NAME),
        "STRIPE_REQUESTS_PER_S": "500",
        "REDIS_URL": redis.url(site),
        "EDGE_URL": site.url(edges.name(region, is_green)),
        "CHECKOUT_STAFF_TOKENS": str(site.folder / "staff"),
        "CHECKOUT_RETURN_ORIGINS": settings.SHOP_ORIGIN,
        "CHECKOUT_RECONCILE_AT": "never",
        "CHECKOUT_LISTEN": site.address(checkout),
        "CHECKOUT_ADMIN_LISTEN": site.address(f"{checkout}-admin"),
        "CHECKOUT_DRAIN_MS": str(DRAIN_MS),
        **(more or {}),
    }
    site.start(checkout, [site.binary("checkout"), "serve"], environment)
    site.wait_ready(checkout, lambda: web.is_ok(site.address(checkout), "/checkout/healthz"))
    return checkout


def command(site: Site, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs one of its commands against the database."""
    environment = site.environment(database_environment(site))
    program = site.binary("checkout")
    return subprocess.run([program, *arguments], cwd=site.folder, env=environment, capture_output=True, text=True)


def migrate(site: Site) -> None:
    done = command(site, ["migrate"])
    if done.returncode != 0:
        raise Fault(f"checkout migrate fails: {done.stdout}{done.stderr}")


def import_stock(site: Site, products: list[str]) -> None:
    file = site.folder / "stock.csv"
    lines = [f"{product},{settings.STOCK_OF_EACH},for drills" for product in products]
    file.write_text("\n".join(["product,quantity,reason", *lines]) + "\n")
    done = command(site, ["stock", "import", "--actor", STAFF, str(file)])
    if done.returncode != 0:
        raise Fault(f"checkout stock import fails: {done.stdout}{done.stderr}")


def verify(site: Site) -> list[str]:
    """What must never be, and is."""
    done = command(site, ["verify", "--json"])
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return [f"checkout verify says {done.stdout}{done.stderr}"]
    return [json.dumps(violation) for violation in found["violations"]]


def staff_header(site: Site) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.known['staff_token']}"}
