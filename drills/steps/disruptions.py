"""What a drill does to a cluster at work: pods end, parts are away or hang, more users come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from drills.fixtures import argocd, local_cluster
from drills.load.slow_clients import slow_clients
from drills.load.traffic import Traffic
from drills.observe.snapshot import Pod, Snapshot
from drills.steps.duration import minutes
from drills.steps.load import LoadSteps


class Disruptions(LoadSteps):
    """What can be done to the environment and to the platform around it."""

    # --- once

    def sync(self) -> None:
        """`argocd app sync`, with the real command line."""
        self.environment.log_action("argocd app sync")
        argocd.sync(self.environment.namespace)

    def delete_stable_pod(self) -> None:
        self._delete_pod(
            "a stable pod", lambda seen: seen.ready_pods(seen.rollout.stable_hash) if seen.rollout else []
        )

    def delete_prometheus_pod(self) -> None:
        self._delete_pods("monitoring", "app.kubernetes.io/name=prometheus", "delete Prometheus")

    def delete_guard_pod(self) -> None:
        """The guard's Deployment makes another one, which knows nothing of what was."""
        self._delete_pods("argocd", "app.kubernetes.io/name=delivery-guard", "delete the guard's pod")

    def delete_rollouts_pod(self) -> None:
        """The Deployment of Argo Rollouts makes another one."""
        self._delete_pods("argo-rollouts", "app.kubernetes.io/name=argo-rollouts", "restart Argo Rollouts")

    def restart_pods(self, *, within: timedelta) -> None:
        """`kubectl argo rollouts restart`, by a person: every web pod is replaced."""
        before = self._web_pods()
        self.environment.log_action("restart by hand")
        self.environment.rollouts("restart")
        expected = f"{len(before)} new web pods instead of the old ones"
        self._until(lambda seen: _has_others(seen, before), within, expected)

    def evict_pods(self, *, within: timedelta) -> None:
        """Every web pod is evicted, as by a drain of its node: the disruption budget lets one go at a time."""
        environment = self.environment
        before = self._web_pods()
        left, refused = set(before), set[str]()
        environment.log_action(f"evict {len(before)} pods")

        def gone(seen: Snapshot) -> bool:
            for name in sorted(left):
                if environment.kubernetes.evict_pod(environment.namespace, name):
                    left.discard(name)
                else:
                    refused.add(name)
            return not left and _has_others(seen, before)

        self._until(gone, within, "every web pod to be evicted and the new ones to be ready")
        if not refused:
            self._fail("the disruption budget to refuse two pods at once", "that it let all go")
        environment.log(f"the disruption budget let one pod go at a time: {len(refused)} had to wait")

    # --- for a while

    def stable_pod_missing(self) -> AbstractContextManager[None]:
        """As long as this lasts the stable version has one pod less than it should have."""
        return self._without_new_pods(self.delete_stable_pod)

    def redis_missing(self) -> AbstractContextManager[None]:
        """As long as this lasts there is no Redis, and what it held is lost."""

        def delete() -> None:
            self.environment.log_action("delete Redis")
            self.environment.kubernetes.delete_pod(self.environment.namespace, "redis-0")

        return self._without_new_pods(delete)

    @contextmanager
    def hanging(self, pod: str) -> Iterator[None]:
        """As long as this lasts the pod's processes are stopped (SIGSTOP), and take connections all the same."""
        self.environment.log_action(f"stop the processes of {pod}")
        with local_cluster.hanging(self.environment.namespace, pod):
            yield
        self.environment.log_action(f"continue the processes of {pod}")

    @contextmanager
    def extra_load(self, load: Traffic) -> Iterator[None]:
        """As long as this lasts, users send that load as well."""
        running = self.environment.start_load(load, extra=True)
        self.environment.log_action(f"{running.rate} more requests a second")
        try:
            yield
        finally:
            running.stop()
            self.environment.log_action("end of the extra load")

    @contextmanager
    def slow_clients(self, count: int) -> Iterator[None]:
        """As long as this lasts so many clients send a request's body one byte a second."""
        environment = self.environment
        environment.log_action(f"{count} clients send a byte a second")
        with slow_clients(environment.url, local_cluster.api_host(environment.name), count) as clients:
            yield
        environment.log_finding(
            f"{clients.sent} bytes on {clients.connections} connections of {count} slow clients"
        )
        if clients.connections < count:
            self._fail(f"{count} slow clients", f"{clients.connections} connections")

    def guard_down(self) -> AbstractContextManager[None]:
        """As long as this lasts there is no guard."""
        return self._scaled_down("the guard", "deployment/delivery-guard", "--namespace=argocd")

    def git_down(self) -> AbstractContextManager[None]:
        """As long as this lasts there is no Git server."""
        return self._scaled_down("the Git server", "deployment/git", "--namespace=forge")

    def prometheus_down(self) -> AbstractContextManager[None]:
        """As long as this lasts there is no Prometheus."""
        # Its operator would undo a change of the StatefulSet.
        patch = ("patch", "prometheus/prometheus", "--namespace=monitoring", "--type=merge", "-p")
        return self._down(
            "Prometheus", lambda replicas: [*patch, json.dumps({"spec": {"replicas": replicas}})]
        )

    @contextmanager
    def argocd_down(self) -> Iterator[None]:
        """As long as this lasts there is no Argo CD; whoever brings it back has it refresh as soon as it can."""
        # Not the guard, which lives beside it.
        parts = "--selector=app.kubernetes.io/part-of=argocd"
        with self._scaled_down("Argo CD", "deployment,statefulset", parts, "--namespace=argocd"):
            yield
        # Its first refresh may come before manifests can be made, and the next one is 3 minutes later.
        ready = ("deployment/argocd-repo-server", "--namespace=argocd", "--timeout=2m")
        self.environment.kubectl("rollout", "status", *ready, seconds=150)
        self.environment.refresh_argocd()

    # --- how

    def _until(self, condition: Callable[[Snapshot], bool], within: timedelta, expected: str) -> Snapshot:
        return self.environment.wait_until(condition, within, expected)

    def _scaled_down(self, what: str, *chosen: str) -> AbstractContextManager[None]:
        return self._down(what, lambda replicas: ["scale", *chosen, f"--replicas={replicas}"])

    @contextmanager
    def _down(self, what: str, command: Callable[[int], list[str]]) -> Iterator[None]:
        self.environment.log_action(f"stop {what}")
        self.environment.kubectl(*command(0))
        try:
            yield
        finally:
            self.environment.log_action(f"start {what}")
            self.environment.kubectl(*command(1))

    @contextmanager
    def _without_new_pods(self, delete: Callable[[], None]) -> Iterator[None]:
        """As long as this lasts the node takes no new pod, and what is deleted stays away."""
        (node,) = self.environment.kubectl("get", "nodes", "--output=name").split()
        self.environment.log_action("cordon the node")
        self.environment.kubectl("cordon", node.removeprefix("node/"))
        try:
            delete()
            yield
        finally:
            self.environment.log_action("uncordon the node")
            self.environment.kubectl("uncordon", node.removeprefix("node/"))

    def _web_pods(self) -> set[str]:
        return {pod.name for pod in self._until(lambda seen: bool(seen.pods), minutes(1), "web pods").pods}

    def _delete_pod(self, what: str, choose: Callable[[Snapshot], list[Pod]]) -> None:
        seen = self._until(lambda seen: bool(choose(seen)), minutes(1), f"{what} to delete")
        self.environment.log_action(f"delete {what}")
        self.environment.kubernetes.delete_pod(self.environment.namespace, choose(seen)[0].name)

    def _delete_pods(self, namespace: str, selector: str, action: str) -> None:
        pods = self.environment.kubernetes.pods(namespace, selector)
        self.environment.log_action(action)
        for pod in pods:
            self.environment.kubernetes.delete_pod(namespace, pod["metadata"]["name"])


def _has_others(seen: Snapshot, before: set[str]) -> bool:
    """Whether none of the pods of before is left, and as many others are ready."""
    gone = before.isdisjoint(pod.name for pod in seen.pods)
    return gone and sum(pod.ready for pod in seen.pods) >= len(before)
