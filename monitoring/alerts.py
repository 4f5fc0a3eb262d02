"""The alerts that the rules define, and how soon after its fault each is to notify somebody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from monitoring.objectives import BURNS, NOTIFIED_AFTER, OBJECTIVES, SEEN_AFTER, Duration, seconds


@dataclass(frozen=True)
class Alert:
    rule: str
    """The alert's name, as Prometheus and its page have it."""
    severity: str
    waits: Duration
    """Its `for`; 0s where it has none."""
    long: Duration | None = None
    """The long window of a budget's burn rate; None for all others."""

    @property
    def name(self) -> str:
        """The name, with the window where several alerts share it: `AvailabilityBudgetBurn 1h`."""
        return f"{self.rule} {self.long}" if self.long else self.rule

    @property
    def seen_after(self) -> float:
        """Seconds from the fault until the expression holds, at the latest."""
        for objective in OBJECTIVES:
            for burn in BURNS:
                if (f"{objective.name.capitalize()}BudgetBurn", burn.long) == (self.rule, self.long):
                    return burn.seen_after(objective)
        return seconds(SEEN_AFTER[self.rule])

    def promised(self, *, time_scale: float = 1) -> float:
        """Seconds from the fault until somebody is notified, at the latest; drills divide the wait by `time_scale`."""
        return self.seen_after + seconds(self.waits) / time_scale + seconds(NOTIFIED_AFTER)


def alerts(rules: Iterable[str]) -> list[Alert]:
    """Every alert that these files of rules define, in their order."""
    return [
        Alert(
            rule["alert"],
            rule["labels"]["severity"],
            rule.get("for", "0s"),
            rule["labels"].get("long"),
        )
        for text in rules
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
