"""Programs that are told another time, by libfaketime."""

from __future__ import annotations

from pathlib import Path

from . import install

SHARED = Path("/dev/shm")


def environment(shift: str) -> dict[str, str]:
    """What makes a program's clock wrong: +10m is ahead. Time that is measured stays true."""
    return {
        "LD_PRELOAD": str(install.faketime()),
        "FAKETIME": shift,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def forget(pid: int) -> None:
    """Removes what the library leaves in memory of a process that was killed."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        (SHARED / name).unlink(missing_ok=True)
