"""What became of requests."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

# So many reasons of failures are told by name.
MAX_REASONS = 12


class Tally:
    """Counts of one kind of request; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done = 0
        self.failed = 0
        self.attempts = 0
        self.failed_attempts = 0
        self.empty = 0
        self.reasons: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        # When attempts failed, by the clock that never goes back.
        self.failed_at: list[float] = []

    def attempt(self, reason: str | None) -> None:
        """An attempt that was answered, or failed for a reason."""
        with self._lock:
            self.attempts += 1
            if reason is not None:
                self.failed_attempts += 1
                self.failed_at.append(time.monotonic())
                if reason in self.reasons or len(self.reasons) < MAX_REASONS:
                    self.reasons[reason] += 1

    def end(self, is_failure: bool, latency_s: float, is_empty: bool = False) -> None:
        """What came of it in the end. The latency counts from when it was due."""
        with self._lock:
            self.done += 1
            self.failed += is_failure
            self.empty += is_empty
            self.latencies_ms.append(latency_s * 1_000)

    def last_failure_after(self, moment: float) -> float | None:
        with self._lock:
            later = [at for at in self.failed_at if at >= moment]
        return max(later) if later else None

    def failures_between(self, start: float, end: float) -> int:
        with self._lock:
            return sum(start <= at < end for at in self.failed_at)

    def share_failed(self) -> float:
        return self.failed / self.done if self.done else 0.0

    def summary(self) -> dict[str, Any]:
        with self._lock:
            ordered = sorted(self.latencies_ms)
            return {
                "sent": self.done,
                "failed": self.failed,
                "attempts": self.attempts,
                "failed_attempts": self.failed_attempts,
                "empty": self.empty,
                "reasons": dict(self.reasons.most_common()),
                "p50_ms": _at(ordered, 0.5),
                "p99_ms": _at(ordered, 0.99),
                "max_ms": round(ordered[-1], 1) if ordered else None,
            }


def _at(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
