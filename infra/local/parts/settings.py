"""Names, keys and limits that the parts share."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
FOLDER = REPOSITORY / ".local"
TOOLS = REPOSITORY / ".tools"
REPORTS = REPOSITORY / ".drills"

REGIONS = ("a", "b")
HOME = "a"
MARKET = "demo"

# The keys are for an emulator that only this machine reaches. The first is the one that every Azurite has.
ACCOUNTS = {
    "a": (
        "devstoreaccount1",
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    ),
    "b": ("devstoreaccount2", "dGhlIGtleSBvZiB0aGUgc2Vjb25kIGFjY291bnQsIGZvciB0ZXN0cyBvbmx5"),
}
CONTAINER = "snapshots"
STORE = f"az://{CONTAINER}/{MARKET}"

DATABASE = "shop"
STRIPE_KEY = "sk_test_local"
WEBHOOK_SECRET = "whsec_local"
# Where shoppers are sent after paying; nobody goes there.
SHOP_ORIGIN = "https://shop.example"

# Below the ports that the system lends to clients, so that a server that ended gets its port back.
FIRST_PORT = 21_000
LAST_PORT = 31_999

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 15.0
PAUSE_S = 0.05

# As Front Door does it, but faster, so that a drill is short.
PROBE_INTERVAL_MS = 1_000
PROBES_TO_FALL = 2
PROBES_TO_RISE = 2
# An edge answers within milliseconds. One that takes this long is given up, and the other region is asked.
READ_TIMEOUT_MS = 2_000
POLL_INTERVAL_MS = 2_000

# Products that have stock, and how much of each: more than any drill sells.
STOCKED_PRODUCTS = 200
STOCK_OF_EACH = 100_000
