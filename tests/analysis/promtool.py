"""Run what-if stories through the shipped rules: counters of pods in, results of queries out."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STEP = 2  # seconds between two values of a series, two scrapes and two evaluations
EDGES = (0.1, 0.5, 1.0, 2.0, 5.0)  # of the application's histogram; that at 2 s is the one that matters


def labels(pairs: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in pairs.items()) + "}"


@dataclass
class Pod:
    """One pod's series.

    Values are in promtool's notation: `0+10x30` is 0, 10, 20, … 300, one value every STEP seconds.
    """

    version: str
    name: str = "crm-1"
    namespace: str = "crm-production"
    series: dict[str, str] = field(default_factory=dict)

    def target(self) -> dict[str, str]:
        return {
            "namespace": self.namespace,
            "pod": self.name,
            "container_id": "c1",
            "rollouts_pod_template_hash": self.version,
            "job": "crm",
        }

    def up(self, values: str = "1x1000", **more: str) -> Self:
        """The target, with the operator's label `endpoint`, the port's name."""
        self.series["up" + labels({**self.target(), "endpoint": "http", **more})] = values
        return self

    def answers(self, status: str, values: str, *, endpoint: str = "deals-list", **more: str) -> Self:
        pairs = {**self.target(), "method": "GET", "endpoint": endpoint, "status": status, **more}
        self.series["django_requests_total" + labels(pairs)] = values
        return self

    def counts(self, name: str, values: str, **more: str) -> Self:
        """Any other series of the pod."""
        self.series[name + labels({**self.target(), **more})] = values
        return self

    def takes(self, durations: Sequence[float], **more: str) -> Self:
        """Requests of these durations in seconds, all answered between the first scrape and the second."""
        pairs = {**self.target(), "method": "GET", "endpoint": "deals-list", **more}
        for edge in EDGES:
            below = sum(duration <= edge for duration in durations)
            self.series["django_request_duration_seconds_bucket" + labels({**pairs, "le": str(edge)})] = (
                f"0 {below}x1000"
            )
        for name in ('bucket{le="+Inf", ', "count{"):
            series = "django_request_duration_seconds_" + name + labels(pairs).removeprefix("{")
            self.series[series] = f"0 {len(durations)}x1000"
        return self


@dataclass
class Worker(Pod):
    """A worker's pod: its version is the release that it is of."""

    name: str = "crm-worker-1"

    def target(self) -> dict[str, str]:
        target = super().target()
        return {**target, "crm_release": target.pop("rollouts_pod_template_hash")}

    def runs(self, started: str, failed: str, *, task: str = "send_email") -> Self:
        self.counts("celery_tasks_started_total", started, task=task)
        self.counts("celery_tasks_failed_total", failed, task=task)
        return self


def counted(version: str, n: int, s: int, *, name: str = "crm-1", namespace: str = "crm-production") -> Pod:
    """A pod that has answered n requests, s of them with an error, between the first scrape and the second."""
    pod = Pod(version, name, namespace)
    return pod.up().answers("200", f"0 {n - s}x1000").answers("500", f"0 {s}x1000")


@dataclass(frozen=True)
class Expect:
    """What an expression must give at a time (in seconds): nothing, or samples as label text and value."""

    expression: str
    at: int
    samples: Mapping[str, float] = field(default_factory=dict)


def near(expression: str, value: float, at: int, within: float = 1e-6) -> Expect:
    """The expression gives this one number."""
    return Expect(f"abs(({expression}) - ({float(value)!r})) < bool {within!r}", at, {"{}": 1})


def nothing(expression: str, at: int) -> Expect:
    return Expect(expression, at)


@dataclass(frozen=True)
class Promtool:
    program: str
    rules: tuple[str, ...]
    folder: Path
    namespace: str

    def check(self, *stories: tuple[Sequence[Pod], Sequence[Expect]]) -> None:
        """All stories in one run; fails with promtool's own account of the difference."""
        files = [f"rules-{number}.yaml" for number, _ in enumerate(self.rules)]
        for file, text in zip(files, self.rules, strict=True):
            (self.folder / file).write_text(text)
        document = {
            "rule_files": files,
            "evaluation_interval": f"{STEP}s",
            "fuzzy_compare": True,  # to the last bits of a float
            "tests": [self._test(pods, expected) for pods, expected in stories],
        }
        story = self.folder / "story.yaml"
        story.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        command = [self.program, "test", "rules", str(story)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr

    def _test(self, pods: Sequence[Pod], expected: Sequence[Expect]) -> dict[str, Any]:
        return {
            "interval": f"{STEP}s",
            "input_series": [
                {"series": series, "values": values} for pod in pods for series, values in pod.series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": expect.expression,
                    "eval_time": f"{expect.at}s",
                    "exp_samples": [
                        {"labels": label_text, "value": value} for label_text, value in expect.samples.items()
                    ],
                }
                for expect in expected
            ],
        }
