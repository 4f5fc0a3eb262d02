"""Whether all that the guard does at the same time goes on: each part says how soon it will be heard of again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

# Each wait of theirs has an end of its own, of which these are more than the sum.
RECONCILE_SECONDS = 120.0
MAINTENANCE_SECONDS = 600.0
VERDICT_SECONDS = 120.0


@dataclass
class Liveness:
    _until: dict[str, float] = field(default_factory=dict)

    def expect(self, part: str, within: float) -> None:
        """A part is well, and says so again `within` seconds."""
        self._until[part] = time.monotonic() + within

    def rest(self, part: str) -> None:
        """A part has nothing to do."""
        self._until.pop(part, None)

    def late(self, *parts: str) -> str:
        """Which of those parts (else of all) have not been heard of in time; empty where all is well."""
        now = time.monotonic()
        late = [
            part for part, until in list(self._until.items()) if until < now and part in (parts or [part])
        ]
        return f"not heard of in time: {', '.join(late)}" if late else ""
