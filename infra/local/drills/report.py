"""What came of a drill, as JSON for programs and as Markdown for people."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .books import Books
from .drill import Drill
from .scene import Scene

MAX_FAULTS = 20


@dataclass
class Report:
    name: str
    when: str
    broken: str
    detects: str
    recovers: str
    load_s: float
    broken_s: float | None
    # From the strike.
    detect_s: float | None
    # From the strike to the last attempt of a client that failed; None where none did.
    last_failure_s: float | None
    # From the healing.
    recover_s: float | None
    reads: dict[str, Any]
    orders: dict[str, Any]
    reads_may_fail: float
    orders_may_fail: float
    books: dict[str, Any]
    facts: dict[str, Any]
    faults: list[str]

    @classmethod
    def of(cls, drill: Drill, scene: Scene, books: Books, load_s: float) -> Report:
        tallies = (scene.readers.tally, scene.shoppers.tally)
        struck = scene.struck_at or 0.0
        failures = [at for tally in tallies if (at := tally.last_failure_after(struck)) is not None]
        recovered, healed = scene.recovered_at, scene.healed_at
        found = asdict(books)
        faults = [*scene.breaks, *found.pop("faults")]
        for what, tally, may in zip(
            ("reads", "orders"), tallies, (drill.reads_may_fail, drill.orders_may_fail), strict=True
        ):
            if tally.done == 0:
                faults.append(f"no {what} were made")
            if tally.share_failed() > may:
                faults.append(f"{tally.failed} of {tally.done} {what} failed, which is more than {may:.2%}")
        faults += [f"the load has a fault of its own: {fault}" for fault in scene.readers.pace.faults]
        faults += [f"the load has a fault of its own: {fault}" for fault in scene.shoppers.pace.faults]
        reasons = {purchase.fault for purchase in scene.shoppers.purchases if purchase.fault}
        faults += [f"an order came to nothing: {reason}" for reason in sorted(reasons) if drill.orders_may_fail == 0]
        return cls(
            name=drill.name,
            when=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            broken=drill.breaks,
            detects=drill.detects,
            recovers=drill.recovers,
            load_s=round(load_s, 1),
            broken_s=scene.since_strike(healed),
            detect_s=scene.since_strike(scene.detected_at),
            last_failure_s=scene.since_strike(max(failures)) if failures else None,
            recover_s=round(recovered - healed, 2) if recovered is not None and healed is not None else None,
            reads=tallies[0].summary(),
            orders=tallies[1].summary(),
            reads_may_fail=drill.reads_may_fail,
            orders_may_fail=drill.orders_may_fail,
            books=found,
            facts=scene.facts,
            faults=faults[:MAX_FAULTS],
        )

    @property
    def is_passed(self) -> bool:
        return not self.faults

    def write(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        found = {**asdict(self), "passed": self.is_passed}
        (folder / f"{self.name}.json").write_text(json.dumps(found, indent=2) + "\n")
        (folder / f"{self.name}.md").write_text(self.markdown())

    def line(self) -> str:
        """One line of a table."""
        reads, orders = self.reads, self.orders
        parts = [
            f"{'passed' if self.is_passed else 'FAILED':7} {self.name:17}",
            f"reads {reads['sent']:6} lost {reads['failed']:3}",
            f"orders {orders['sent']:4} lost {orders['failed']:2} (attempts failed {orders['failed_attempts']:3})",
            f"detected {_seconds(self.detect_s):>7}",
            f"last failure {_seconds(self.last_failure_s):>7}",
            f"recovered {_seconds(self.recover_s):>7}",
        ]
        return "  ".join(parts)

    def markdown(self) -> str:
        rows = [
            ("broken for", _seconds(self.broken_s)),
            (f"detected ({self.detects})" if self.detects else "detected", _seconds(self.detect_s)),
            ("the last attempt of a client that failed, from the strike", _seconds(self.last_failure_s)),
            (f"well again, from the healing ({self.recovers})", _seconds(self.recover_s)),
            ("reads: sent, lost, without a hit", _counts(self.reads, "sent", "failed", "empty")),
            ("reads: p50, p99, longest, in ms", _counts(self.reads, "p50_ms", "p99_ms", "max_ms")),
            ("orders: sent, lost in the end", _counts(self.orders, "sent", "failed")),
            ("orders: attempts, of which failed", _counts(self.orders, "attempts", "failed_attempts")),
            ("orders: p50, p99, longest, in ms", _counts(self.orders, "p50_ms", "p99_ms", "max_ms")),
            ("books: orders, paid, charged", _counts(self.books, "orders", "paid", "charged")),
            ("books: lost, doubled", _counts(self.books, "lost", "doubled")),
            *((name, str(value)) for name, value in self.facts.items()),
        ]
        lines = [f"# {self.name}: {'passed' if self.is_passed else 'FAILED'}", "", self.broken, ""]
        lines += [f"{self.when}, {self.load_s} s of load", "", "| | |", "| --- | --- |"]
        lines += [f"| {name} | {value} |" for name, value in rows]
        for what, tally in (("reads", self.reads), ("orders", self.orders)):
            if tally["reasons"]:
                lines += ["", f"Attempts of {what} that failed, by reason:", ""]
                lines += [f"- {count}: {reason}" for reason, count in tally["reasons"].items()]
        if self.faults:
            lines += ["", "What must not be:", "", *(f"- {fault}" for fault in self.faults)]
        return "\n".join(lines) + "\n"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _counts(found: dict[str, Any], *names: str) -> str:
    return ", ".join(str(found[name]) for name in names)
