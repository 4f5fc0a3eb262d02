"""Alerts as promtool sees them: made-up series in, names of the alerts that fire out."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

NAMESPACE = "crm-production"
STEP = 30  # seconds between two values of a series and two evaluations: that of the objectives' rules
EDGES = ("0.5", "2.0", "+Inf")


def named(name: str, /, **labels: str) -> str:
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def minutes(count: float) -> int:
    """How many values that is."""
    return int(count * 60 / STEP)


@dataclass
class Story:
    """What the series say, one value every STEP seconds, in promtool's notation (0+2x10 is 0, 2, …, 20)."""

    about: str
    series: dict[str, str] = field(default_factory=dict)
    expected: dict[int, list[str]] = field(default_factory=dict)
    shown: list[tuple[str, list[str], int]] = field(default_factory=list)

    def has(self, name: str, values: str, /, **labels: str) -> Self:
        """A series of a pod in the environment's namespace, unless another namespace is given."""
        self.series[named(name, **({"namespace": NAMESPACE} | labels))] = values
        return self

    def without(self, name: str) -> Self:
        """As a scrape that finds nothing of it, or nobody who scrapes."""
        self.series = {key: values for key, values in self.series.items() if not key.startswith(name + "{")}
        return self

    def requests(
        self, values: str, *, status: str = "200", endpoint: str = "deals-list", pod: str = "web-1"
    ) -> Self:
        return self.has(
            "django_requests_total", values, method="GET", endpoint=endpoint, status=status, pod=pod
        )

    def takes(self, in_time: str, everything: str, *, pod: str = "web-1") -> Self:
        """Requests within 2 s, and all of them."""
        labels = {"method": "GET", "endpoint": "deals-list", "pod": pod}
        for edge in EDGES:
            values = everything if edge == "+Inf" else in_time
            self.has("django_request_duration_seconds_bucket", values, le=edge, **labels)
        return self.has("django_request_duration_seconds_count", everything, **labels)

    def fires(self, *alerts: str, after: float) -> Self:
        """Exactly these fire so many minutes after the first value, named as in Alerts.names."""
        self.expected[int(after * 60)] = sorted(alerts)
        return self

    def shows(self, query: str, labels: list[str], *, after: float) -> Self:
        """The query answers 1 for exactly these so many minutes after the first value."""
        self.shown.append((query, labels, int(after * 60)))
        return self


@dataclass(frozen=True)
class Alerts:
    """The rules as the chart renders them."""

    program: str
    rules: Sequence[Mapping[str, Any]]
    folder: Path

    @property
    def names(self) -> list[str]:
        """Each alert once; those of several burn rates with the longer window, as in AvailabilityBudgetBurn 1h."""
        return [
            " ".join(filter(None, (rule["alert"], rule["labels"].get("long"))))
            for spec in self.rules
            for group in spec["groups"]
            for rule in group["rules"]
            if "alert" in rule
        ]

    def check(self, *stories: Story, only: str | None = None) -> None:
        """Fail with promtool's own words where a story ends otherwise; `only` leaves other alerts out of account."""
        files = []
        for number, spec in enumerate(self._needed(only)):
            files.append(f"rules-{number}.yaml")
            (self.folder / files[-1]).write_text(yaml.safe_dump(spec, allow_unicode=True))
        document = {
            "rule_files": files,
            "evaluation_interval": f"{STEP}s",
            "tests": [self._test(story, only) for story in stories],
        }
        file = self.folder / "stories.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        run = subprocess.run(
            [self.program, "test", "rules", str(file)], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr

    def _needed(self, only: str | None) -> list[Mapping[str, Any]]:
        """A file needs no other; those without an alert only take time here."""

        def has_it(rule: Mapping[str, Any]) -> bool:
            return "alert" in rule and only in {None, rule["alert"]}

        return [
            spec
            for spec in self.rules
            if any(has_it(rule) for group in spec["groups"] for rule in group["rules"])
        ]

    @staticmethod
    def _test(story: Story, only: str | None) -> dict[str, Any]:
        which = f', alertname="{only.partition(" ")[0]}"' if only else ""
        return {
            "name": story.about,
            "interval": f"{STEP}s",
            "input_series": [{"series": name, "values": values} for name, values in story.series.items()],
            "promql_expr_test": [
                {
                    "expr": f'group by (alertname, long) (ALERTS{{alertstate="firing"{which}}})',
                    "eval_time": f"{at}s",
                    "exp_samples": [_sample(alert) for alert in alerts],
                }
                for at, alerts in story.expected.items()
            ]
            + [
                {
                    "expr": query,
                    "eval_time": f"{at}s",
                    "exp_samples": [{"labels": each, "value": 1} for each in labels],
                }
                for query, labels, at in story.shown
            ],
        }


def _sample(alert: str) -> dict[str, Any]:
    name, _, long = alert.partition(" ")
    labels = f'alertname="{name}"' + (f', long="{long}"' if long else "")
    return {"labels": "{" + labels + "}", "value": 1}
