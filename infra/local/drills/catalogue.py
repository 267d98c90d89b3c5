"""All drills, by name."""

from __future__ import annotations

from .cases.primary_failover import PrimaryFailover
from .cases.region_kill import RegionKill
from .drill import Drill

DRILLS: dict[str, type[Drill]] = {
    drill.name: drill
    for drill in (
        RegionKill,
        PrimaryFailover,
    )
}
