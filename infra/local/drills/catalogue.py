"""All drills, by name."""

from __future__ import annotations

from .cases.bad_snapshot import BadSnapshot
from .cases.blob_gone import BlobGone
from .cases.blue_green import BlueGreen
from .cases.clock_skew import ClockSkew
from .cases.disk_full import DiskFull
from .cases.edge_frozen import EdgeFrozen
from .cases.primary_failover import PrimaryFailover
from .cases.redis_gone import RedisGone
from .cases.region_kill import RegionKill
from .cases.replica_gone import ReplicaGone
from .cases.retry_storm import RetryStorm
from .cases.slow_network import SlowNetwork
from .drill import Drill

DRILLS: dict[str, type[Drill]] = {
    drill.name: drill
    for drill in (
        RegionKill,
        EdgeFrozen,
        BlobGone,
        RedisGone,
        ReplicaGone,
        PrimaryFailover,
        BadSnapshot,
        ClockSkew,
        DiskFull,
        SlowNetwork,
        RetryStorm,
        BlueGreen,
    )
}
