"""What a drill is. Each breaks one thing, and says what must hold meanwhile."""

from __future__ import annotations

from .scene import Scene


class Drill:
    name: str
    # What is broken, as a sentence for the report.
    breaks: str
    # What the time to detect counts to; empty where there is nothing to detect.
    detects: str = ""
    # What the time to recover counts to, from the moment in which it was healed.
    recovers: str = "all servers are up by the front's probes"
    seconds: int = 30
    # Shares of reads and of orders that may fail. A POST is asked again with its key, so that none need fail.
    reads_may_fail: float = 0.001
    orders_may_fail: float = 0.0

    def prepare(self, scene: Scene) -> None:
        """Before there is load."""

    def strike(self, scene: Scene) -> None:
        raise NotImplementedError

    def is_detected(self, scene: Scene) -> bool:
        return True

    def heal(self, scene: Scene) -> None:
        raise NotImplementedError

    def is_recovered(self, scene: Scene) -> bool:
        return True

    def check(self, scene: Scene) -> None:
        """Before the load ends: what must have come to be."""

    def restore(self, scene: Scene) -> None:
        """After the load: everything is to be as it was."""
