"""A cluster of its own making: what the Kubernetes API would return during a drill, changed by the test."""

from __future__ import annotations

import time
from typing import Any

from delivery.kubernetes.application import Migration
from delivery.kubernetes.objects import STRATEGY, Object
from delivery.kubernetes.rollout import RolloutStatus
from drills.fixtures.images import Image
from drills.load.results import Record, Request
from drills.load.traffic import RunningTraffic, Traffic
from drills.observe.snapshot import Objects
from drills.steps.duration import seconds
from drills.steps.release import ReleaseAttempt

REVISION = "c0ffee"
SHORT = seconds(0.3)
ENOUGH = seconds(5)


def image_of(version: str) -> Image:
    return Image(version, f"sha256:{version}", REVISION)


class Load(RunningTraffic):
    """A load generator that has sent what it was told."""

    def __init__(self, requests: list[Request] | None = None) -> None:
        self.rate = 100
        self._requests = Record(requests or [])
        self._sent = 100
        self._stopped = False

    def sent(self) -> int:
        self._sent += 50
        return self._sent

    def check(self) -> None: ...

    @property
    def ended(self) -> bool:
        return self._stopped

    def stop(self) -> Record:
        self._stopped = True
        return self._requests


class Sends(Traffic):
    """Users who send that load."""

    def __init__(self, load: Load) -> None:
        object.__setattr__(self, "_load", load)

    def start(self, *_: object, **__: object) -> Load:
        load: Load = vars(self)["_load"]
        return load


def users_send(release: ReleaseAttempt, requests: list[Request]) -> None:
    """Those requests from now on, in place of the load before."""
    release.environment.start_load(Sends(Load(requests)))


class MadeUp:
    """Serves one image to everybody, and another one to a share that the test sets."""

    def __init__(self, image: Image) -> None:
        self.wanted = self.stable = self.newest = image
        self.before: Image | None = None
        self.weight = 0
        self.phase = "Healthy"
        self.aborted = False
        self.step: int | None = None
        self.paused = False
        self.message = ""
        """Why the Rollout has its phase."""
        self.runs: list[Object] = []
        self.deleted: list[str] = []
        self.strategy = "canary"
        self.operation = "Succeeded"
        self.replicas = 2
        self.quarantined: set[str] = set()
        self.complaint = ""
        self.migration_failure = ""
        self.synced = REVISION
        self.undone: Image | None = None
        """What the Rollout has instead of what Git wants."""
        self.changed = 7
        """How often the pods behind the canary Service have changed."""
        self.generation = 1
        """Of the pods: those of another one have other names."""
        self.budget: list[bool] = []
        """What the disruption budget says to the next evictions."""
        self.evicted: list[str] = []
        self.replaces = True
        """Whether evicted pods make way for new ones."""

    def informers(self, environment: str) -> MadeUp:
        assert environment == "production"
        return self

    def wait(self) -> None:
        time.sleep(0.01)

    def stop(self) -> None:
        pass

    def objects(self) -> Objects:
        weights = [
            {"name": "crm-stable", "weight": 100 - self.weight},
            {"name": "crm-canary", "weight": self.weight},
        ]
        return Objects(
            rollout=RolloutStatus.parse(self._rollout()),
            weighted={"metadata": {}, "spec": {"weighted": {"services": weights}}},
            analysis_runs=list(self.runs),
            pods=[self._pod(image) for image in {self.stable, self.newest}],
            application=self.application("production"),
        )

    def application(self, _: str) -> Object:
        conditions = [{"type": "ComparisonError", "message": self.complaint}] if self.complaint else []
        image = {"digest": self.wanted.digest}
        return {
            "metadata": {"name": "crm-production"},
            "spec": {"source": {"targetRevision": REVISION, "helm": {"valuesObject": {"image": image}}}},
            "status": {
                "sync": {"status": "Synced", "revision": self.synced},
                "operationState": {"phase": self.operation, "finishedAt": "now"},
                "health": {"status": self.phase},
                "conditions": conditions,
            },
        }

    def application_set(self, _: str) -> Object:
        good = {"type": "ResourcesUpToDate", "status": "True", "message": "fine"}
        bad = {
            "type": "ErrorOccurred",
            "status": "True" if self.complaint else "False",
            "message": self.complaint,
        }
        return {"metadata": {}, "status": {"conditions": [good, bad]}}

    def migration(self, _: str) -> Migration:
        return Migration(images=(self.wanted.reference,), failure=self.migration_failure)

    def changes(self, namespace: str, service: str) -> int:
        assert (namespace, service) == ("crm-production", "crm-canary")
        return self.changed

    def pods(self, namespace: str, selector: str) -> list[Object]:
        return [{"metadata": {"name": f"{namespace}/{selector}"}}]

    def evict_pod(self, _: str, name: str) -> bool:
        allowed = self.budget.pop(0)
        self.evicted += [name] * allowed
        if self.replaces and not self.budget:
            self.generation += 1
        return allowed

    def delete_pod(self, namespace: str, name: str) -> None:
        self.deleted.append(f"{namespace}: {name}")

    # What happens to a release.

    def starts(self, image: Image) -> None:
        self.wanted = self.newest = image
        self.phase = "Healthy" if image == self.stable else "Progressing"

    def aborts(self) -> None:
        self.phase, self.aborted, self.weight = "Degraded", True, 0

    def ends(self) -> None:
        self.stable, self.newest = self.wanted, self.wanted
        self.phase, self.aborted, self.weight, self.paused = "Healthy", False, 0, False

    def _rollout(self) -> Object:
        steps: list[dict[str, Any]] = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
        return {
            "metadata": {"generation": 1, "annotations": {STRATEGY: self.strategy}},
            "spec": {
                "replicas": self.replicas,
                "strategy": {"canary": {"steps": steps, "trafficRouting": {"traefik": {}}}},
                "template": {"spec": {"containers": [{"image": (self.undone or self.wanted).reference}]}},
            },
            "status": {
                "phase": self.phase,
                "message": self.message,
                "observedGeneration": "1",
                "stableRS": self.stable.version,
                "currentPodHash": self.newest.version,
                "currentStepIndex": self.step,
                "pauseConditions": [{"reason": "CanaryPauseStep"}] if self.paused else None,
                "abort": self.aborted,
            },
        }

    def _pod(self, image: Image) -> Object:
        labels = {"rollouts-pod-template-hash": image.version, "app.kubernetes.io/version": image.version}
        ready = [{"type": "Ready", "status": "True"}]
        return {
            "metadata": {"name": f"crm-{image.version}-{self.generation}", "labels": labels},
            "status": {"conditions": ready},
        }
