"""The guard's own figures for Prometheus. They begin at 0 with each start, which `increase` and `rate` allow for."""

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()

LOOKS = Counter(
    "delivery_guard_looks",
    "Looks at an environment, by what came of them.",
    ["environment", "result"],
    registry=REGISTRY,
)
LAST_LOOK = Gauge(
    "delivery_guard_last_look_timestamp_seconds",
    "When an environment was last seen and nothing stood in the way.",
    ["environment"],
    registry=REGISTRY,
)
HEALS = Counter(
    "delivery_heals",
    "Releases that were taken back in Git, and whether the image was quarantined.",
    ["environment", "blamed"],
    registry=REGISTRY,
)
PROBES = Counter(
    "delivery_guard_probes",
    "Requests that stood in for users, by the version that was asked and its answer's status (or none).",
    ["environment", "version", "answer"],
    registry=REGISTRY,
)
