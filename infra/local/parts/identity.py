"""Which process a number means: a number is given anew once its process has ended, its start time tells them apart."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
# In /proc/PID/stat, counted from what stands behind the name of the program.
STATE_FIELD = 0
START_FIELD = 19


def boot() -> str:
    """This start of the machine; times of processes are counted from it."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def started_ticks(pid: int) -> int | None:
    """When a process began; None where there is none, or it only waits to be buried."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name stands in brackets, and may hold anything.
    fields = text.rsplit(")", 1)[1].split()
    if fields[STATE_FIELD] in ("Z", "X"):
        return None
    return int(fields[START_FIELD])


def marked(marker: str) -> list[int]:
    """Processes whose environment has this line: what was started and never noted down."""
    found = []
    wanted = marker.encode()
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in environment:
            found.append(int(entry.name))
    return found
