"""Arrivals at a rate. Who comes does not wait for those before, so that slow answers keep nobody from being counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Pace:
    """Calls a visit at a rate until it is stopped; each is told when it was due."""

    def __init__(self, rate_per_s: float, max_at_once: int, visit: Callable[[float], None]) -> None:
        self.rate_per_s = rate_per_s
        self._visit = visit
        self._pool = ThreadPoolExecutor(max_at_once, thread_name_prefix="visit")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pace", daemon=True)
        self.faults: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Nobody comes any more; returns when all have left."""
        self._is_over.set()
        self._thread.join()
        self._pool.shutdown(wait=True)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._is_over.is_set():
            self._pool.submit(self._visited, due)
            # Whoever changes the rate is heeded from the next arrival on.
            due += 1 / self.rate_per_s
            wait_s = due - time.monotonic()
            if wait_s > 0:
                self._is_over.wait(wait_s)

    def _visited(self, due: float) -> None:
        try:
            self._visit(due)
        except Exception as error:  # noqa: BLE001 - a fault of the generator's own must not pass for silence
            self.faults.append(repr(error))
