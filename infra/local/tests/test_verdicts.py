"""A drill that lost something must fail: python3 -m unittest discover infra/local/tests"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from drills import books  # noqa: E402
from drills.books import Books  # noqa: E402
from drills.cases.region_kill import RegionKill  # noqa: E402
from drills.catalogue import DRILLS  # noqa: E402
from drills.load.pace import Pace  # noqa: E402
from drills.load.shoppers import Purchase  # noqa: E402
from drills.load.tally import Tally  # noqa: E402
from drills.report import Report  # noqa: E402
from drills.scene import Scene  # noqa: E402
from parts import delay_proxy, postgres, stripe  # noqa: E402

PAID_ORDER = "ord_1|paid|500|chk_1|one@example.com"
OPEN_ORDER = "ord_1|pending_payment|500|chk_1|one@example.com"
CHECKOUT = "chk_1|one@example.com"


def charge(order: str, amount: int) -> dict[str, Any]:
    return {"status": "succeeded", "metadata": {"order_id": order}, "amount_received": amount}


def looked(orders: list[str], checkouts: list[str], charges: list[dict[str, Any]], *purchases: Purchase) -> Books:
    """The books of a database with these rows and a Stripe with these charges."""

    def execute(_site: object, _server: str, sql: str) -> str:
        return "\n".join(orders if sql == books.ORDERS else checkouts)

    with (
        mock.patch.object(postgres, "primary", lambda _site: "postgres-1"),
        mock.patch.object(postgres, "execute", execute),
        mock.patch.object(stripe, "ledger", lambda _site: {"payment_intents": charges}),
    ):
        return books.look(cast(Any, None), list(purchases))


class BooksTest(unittest.TestCase):
    def setUp(self) -> None:
        self.bought = Purchase("one@example.com", "chk_1", "ord_1", is_paid=True, is_seen_paid=True)

    def test_what_agrees_is_no_fault(self) -> None:
        found = looked([PAID_ORDER], [CHECKOUT], [charge("ord_1", 500)], self.bought)
        self.assertEqual((found.faults, found.orders, found.paid, found.charged), ([], 1, 1, 1))

    def test_an_order_that_its_shopper_was_told_of_must_be_there(self) -> None:
        found = looked([], [CHECKOUT], [], self.bought)
        self.assertEqual(found.lost, 1)

    def test_a_key_makes_one_checkout(self) -> None:
        found = looked([PAID_ORDER], [CHECKOUT, "chk_2|one@example.com"], [charge("ord_1", 500)], self.bought)
        self.assertEqual(found.doubled, 1)

    def test_an_order_is_charged_once_and_all_of_it(self) -> None:
        twice = looked([PAID_ORDER], [CHECKOUT], [charge("ord_1", 500), charge("ord_1", 500)], self.bought)
        self.assertEqual(twice.doubled, 1)
        self.assertEqual(len(looked([PAID_ORDER], [CHECKOUT], [charge("ord_1", 400)]).faults), 1)

    def test_an_order_is_paid_if_and_only_if_it_is_charged(self) -> None:
        self.assertTrue(looked([PAID_ORDER], [CHECKOUT], []).faults)
        self.assertTrue(looked([OPEN_ORDER], [CHECKOUT], [charge("ord_1", 500)]).faults)
        self.assertTrue(looked([], [], [charge("ord_1", 500)]).lost)


class VerdictTest(unittest.TestCase):
    def report(self, reads_lost: int = 0, orders_lost: int = 0, breaks: list[str] | None = None) -> Report:
        reads, orders = Tally(), Tally()
        for tally, count, lost in ((reads, 1_000, reads_lost), (orders, 10, orders_lost)):
            for number in range(count):
                tally.attempt("status 503" if number < lost else None)
                tally.end(number < lost, 0.001)
        now = time.monotonic()
        load = {"pace": SimpleNamespace(faults=[]), "purchases": []}
        scene = SimpleNamespace(
            readers=SimpleNamespace(tally=reads, **load),
            shoppers=SimpleNamespace(tally=orders, **load),
            struck_at=now - 3,
            detected_at=now - 2,
            healed_at=now - 1,
            recovered_at=now,
            facts={},
            breaks=breaks or [],
        )
        scene.since_strike = lambda moment: Scene.since_strike(cast(Any, scene), moment)
        return Report.of(RegionKill(), cast(Any, scene), Books(), 3.0)

    def test_nothing_lost_passes(self) -> None:
        report = self.report()
        self.assertTrue(report.is_passed)
        self.assertEqual((report.detect_s, report.broken_s, report.recover_s), (1.0, 2.0, 1.0))
        self.assertIn("# region-kill: passed", report.markdown())

    def test_as_many_reads_as_may_be_lost_pass_and_one_more_fails(self) -> None:
        self.assertTrue(self.report(reads_lost=1).is_passed)
        self.assertFalse(self.report(reads_lost=2).is_passed)

    def test_a_lost_order_fails(self) -> None:
        self.assertFalse(self.report(orders_lost=1).is_passed)

    def test_a_broken_invariant_fails(self) -> None:
        report = self.report(breaks=["nobody noticed"])
        self.assertIn("nobody noticed", report.markdown())
        self.assertFalse(report.is_passed)

    def test_each_drill_has_a_name_and_says_what_it_breaks(self) -> None:
        self.assertEqual(len(DRILLS), 12)
        self.assertTrue(all(drill.breaks and name == drill.name for name, drill in DRILLS.items()))


class LoadTest(unittest.TestCase):
    def test_who_comes_does_not_wait_for_those_before(self) -> None:
        together: list[int] = []
        inside = [0]

        def visit(_due: float) -> None:
            inside[0] += 1
            together.append(inside[0])
            deadline = time.monotonic() + 30
            while max(together) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            inside[0] -= 1

        pace = Pace(100, 8, visit)
        pace.start()
        deadline = time.monotonic() + 30
        while (not together or max(together) < 3) and time.monotonic() < deadline:
            time.sleep(0.01)
        pace.stop()
        self.assertGreaterEqual(max(together), 3)

    def test_a_fault_of_the_load_itself_is_told(self) -> None:
        def visit(_due: float) -> None:
            raise ValueError("a fault")

        pace = Pace(100, 2, visit)
        pace.start()
        deadline = time.monotonic() + 30
        while not pace.faults and time.monotonic() < deadline:
            time.sleep(0.01)
        pace.stop()
        self.assertIn("a fault", pace.faults[0])

    def test_a_slow_network_keeps_what_is_said_and_its_order(self) -> None:
        async def passed() -> tuple[bytes, float]:
            delay = delay_proxy.Delay()
            delay.seconds = 0.2
            reader = asyncio.StreamReader()
            said: list[bytes] = []
            writer = SimpleNamespace(write=said.append, drain=lambda: asyncio.sleep(0))
            started = asyncio.get_running_loop().time()
            for part in (b"one ", b"two ", b"three"):
                reader.feed_data(part)
                await asyncio.sleep(0.01)
            reader.feed_eof()
            with contextlib.suppress(asyncio.CancelledError):
                await delay_proxy.pass_on(reader, cast(Any, writer), delay)
            return b"".join(said), asyncio.get_running_loop().time() - started

        said, took_s = asyncio.run(passed())
        self.assertEqual(said, b"one two three")
        self.assertGreaterEqual(took_s, 0.2)


if __name__ == "__main__":
    unittest.main()
