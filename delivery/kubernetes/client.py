"""What the cluster reports about an environment, read through KUBECONFIG or, in a pod, as its own account."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config

from delivery.errors import ClusterUnreachable
from delivery.kubernetes.analysis import AnalysisRun
from delivery.kubernetes.application import Application, Migration, application_set_error
from delivery.kubernetes.objects import Object
from delivery.kubernetes.rollout import ReplicaSet, RolloutStatus

ARGOCD_NAMESPACE = "argocd"
# What of the chart is found by its labels, since `fullnameOverride` may have given it another name.
_COMPONENT = "app.kubernetes.io/name=crm,app.kubernetes.io/component="
_MERGE_PATCH = "application/merge-patch+json"
_TIMEOUT_SECONDS = 5
_NOT_FOUND = 404
_CONFLICT = 409  # it has changed since the given version
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")
# A registry that is away is another matter: it comes back.
_NO_SUCH_IMAGE = re.compile(r"not found|manifest unknown|name unknown", re.IGNORECASE)

# The guard's own, which the chart that installs it makes: releases by environment, and what admission refuses.
RECORD, REFUSED = "delivery-guard-record", "delivery-guard-refused"
_NO_CONFIG_MAP = f"There is no ConfigMap {{name}} in {ARGOCD_NAMESPACE}; the chart delivery-guard makes it."

Kind = tuple[str, str, str]
"""API group, version and the plural of the name."""
_ROLLOUTS, _ANALYSIS_RUNS, _APPLICATIONS, _APPLICATION_SETS = (
    ("argoproj.io", "v1alpha1", plural)
    for plural in ("rollouts", "analysisruns", "applications", "applicationsets")
)
_REPLICA_SETS, _DEPLOYMENTS = ("apps", "v1", "replicasets"), ("apps", "v1", "deployments")
_JOBS = ("batch", "v1", "jobs")


@dataclass(frozen=True, kw_only=True)
class EnvironmentObjects:
    """The Kubernetes objects of one environment; None or empty where there is none."""

    rollout: RolloutStatus | None = None
    replica_sets: tuple[ReplicaSet, ...] = ()
    analysis_runs: tuple[AnalysisRun, ...] = ()
    application: Application | None = None
    application_set_error: str | None = None

    def replica_set(self, pod_hash: str) -> ReplicaSet | None:
        return next((each for each in self.replica_sets if pod_hash and each.pod_hash == pod_hash), None)


class Cluster:
    """One cluster; each call raises ClusterUnreachable where there is no answer.

    Written are a Rollout's promotion in full and abort, aborted pods, a sync's end and ConfigMaps.
    """

    def __init__(self, api: client.CustomObjectsApi) -> None:
        self._api = api
        self._core = client.CoreV1Api(api.api_client)
        self._apps = client.AppsV1Api(api.api_client)

    @classmethod
    def from_kubeconfig(cls) -> Self:
        """Raises ClusterUnreachable if there is no usable kubeconfig."""
        # Named here, because the client reads the variable only once, when it is imported.
        path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
        return cls._connected(partial(config.load_kube_config, path), "KUBECONFIG (or ~/.kube/config)")

    @classmethod
    def from_here(cls) -> Self:
        """Inside a pod its own cluster, else that of KUBECONFIG. Raises ClusterUnreachable."""
        if "KUBECONFIG" in os.environ or "KUBERNETES_SERVICE_HOST" not in os.environ:
            return cls.from_kubeconfig()
        return cls._connected(config.load_incluster_config, "the pod's account")

    @classmethod
    def _connected(cls, load: Callable[..., None], what: str) -> Self:
        settings = client.Configuration()
        try:
            load(client_configuration=settings)
        except (config.ConfigException, OSError) as error:
            raise ClusterUnreachable(f"No cluster: {what} cannot be used: {error}") from error
        settings.retries = 0
        return cls(client.CustomObjectsApi(client.ApiClient(settings)))

    def rollout(self, environment: str) -> RolloutStatus | None:
        found = self._rollout(environment)
        return RolloutStatus.parse(found) if found else None

    def _rollout(self, environment: str) -> Object | None:
        """Raises ClusterUnreachable also where there are two."""
        namespace = f"crm-{environment}"
        found = self._list(_ROLLOUTS, namespace, component="web")
        if len(found) > 1:
            names = " and ".join(sorted(each["metadata"]["name"] for each in found))
            raise ClusterUnreachable(
                f"{namespace} has {len(found)} Rollouts of the CRM, {names}: delete the one that users do not have."
            )
        return found[0] if found else None

    def migration(self, environment: str) -> Migration | None:
        """The Job of the newest migration."""
        jobs = self._list(_JOBS, f"crm-{environment}", component="migration")
        newest = max(jobs, key=lambda job: str(job["metadata"].get("creationTimestamp")), default=None)
        return Migration.parse(newest) if newest else None

    def application(self, environment: str) -> Application | None:
        found = self._get(_APPLICATIONS, environment)
        return Application.parse(found) if found else None

    def observe(self, environment: str) -> EnvironmentObjects:
        namespace = f"crm-{environment}"
        return EnvironmentObjects(
            rollout=self.rollout(environment),
            replica_sets=tuple(map(ReplicaSet.parse, self._list(_REPLICA_SETS, namespace))),
            analysis_runs=tuple(map(AnalysisRun.parse, self._list(_ANALYSIS_RUNS, namespace))),
            application=self.application(environment),
            application_set_error=application_set_error(self._get(_APPLICATION_SETS, environment) or {}),
        )

    def workloads(self, environment: str) -> list[Object]:
        """Whatever may start pods in an environment's namespace, as the API has it."""
        namespace, rollout = f"crm-{environment}", self._rollout(environment)
        lists = (self._list(kind, namespace) for kind in (_REPLICA_SETS, _DEPLOYMENTS, _JOBS))
        return [*([rollout] if rollout else []), *chain.from_iterable(lists)]

    def promote_in_full(self, environment: str, rollout: RolloutStatus) -> None:
        """Let the Rollout leave out the rest of its steps, as `kubectl argo rollouts promote --full` does."""
        self._set_status(environment, rollout, {"promoteFull": True})

    def abort(self, environment: str, rollout: RolloutStatus) -> None:
        """End what the Rollout is at, as `kubectl argo rollouts abort` does."""
        self._set_status(environment, rollout, {"abort": True})

    def _set_status(self, environment: str, rollout: RolloutStatus, status: Object) -> None:
        """Nothing happens if the Rollout has changed meanwhile."""
        change = {"metadata": {"resourceVersion": rollout.resource_version}, "status": status}
        patch = partial(self._api.patch_namespaced_custom_object_status, _content_type=_MERGE_PATCH)
        where = (*_ROLLOUTS[:2], f"crm-{environment}", "rollouts", rollout.name)
        self._call("rollouts/status", patch, *where, change)

    def terminate_sync(self, environment: str) -> None:
        """End the sync that Argo CD is in the middle of, as `argocd app terminate-op` does."""
        change = {"status": {"operationState": {"phase": "Terminating"}}}
        patch = partial(self._api.patch_namespaced_custom_object, _content_type=_MERGE_PATCH)
        name = f"crm-{environment}"
        self._call("applications", patch, *_APPLICATIONS[:2], ARGOCD_NAMESPACE, "applications", name, change)

    def scale_to_zero(self, environment: str, replica_set: str) -> None:
        patch = self._apps.patch_namespaced_replica_set_scale
        self._call("replicasets/scale", patch, replica_set, f"crm-{environment}", {"spec": {"replicas": 0}})

    def guard_data(self, name: str, key: str) -> str:
        """What the guard has written into one of its ConfigMaps; empty where it has written nothing.

        Raises ClusterUnreachable also where there is no such ConfigMap.
        """
        found = self._call("configmaps", self._core.read_namespaced_config_map, name, ARGOCD_NAMESPACE)
        if found is None:
            raise ClusterUnreachable(_NO_CONFIG_MAP.format(name=name))
        return str((found.data or {}).get(key, ""))

    def write_guard_data(self, name: str, key: str, text: str) -> None:
        """Raises ClusterUnreachable also where there is no such ConfigMap."""
        patch = self._core.patch_namespaced_config_map
        if self._call("configmaps", patch, name, ARGOCD_NAMESPACE, {"data": {key: text}}) is None:
            raise ClusterUnreachable(_NO_CONFIG_MAP.format(name=name))

    def missing_migration_image(self, environment: str) -> str:
        """What the node reports of an image of the migration that the registry does not have; else empty."""
        list_pods = partial(self._core.list_namespaced_pod, label_selector=f"{_COMPONENT}migration")
        pods = self._call("pods", list_pods, f"crm-{environment}")
        for pod in pods.items if pods else ():
            for container in pod.status.container_statuses or ():
                waiting = container.state and container.state.waiting
                message = str((waiting and waiting.message) or "")
                if waiting and waiting.reason in _NOT_PULLED and _NO_SUCH_IMAGE.search(message):
                    return message
        return ""

    def config_maps(self, environment: str) -> dict[str, datetime]:
        """The chart's ConfigMaps of settings, and when each was made."""
        list_maps = partial(self._core.list_namespaced_config_map, label_selector=f"{_COMPONENT}config")
        found = self._call("configmaps", list_maps, f"crm-{environment}")
        named = [each.metadata for each in found.items] if found else []
        return {each.name: each.creation_timestamp for each in named}

    def delete_config_map(self, environment: str, name: str) -> None:
        self._call("configmaps", self._core.delete_namespaced_config_map, name, f"crm-{environment}")

    def _get(self, kind: Kind, environment: str) -> Object | None:
        """Argo CD's object of an environment."""
        group, version, plural = kind
        read, where = self._api.get_namespaced_custom_object, (ARGOCD_NAMESPACE, plural, f"crm-{environment}")
        found: Object | None = self._call(plural, read, group, version, *where)
        return found

    def _list(self, kind: Kind, namespace: str, component: str = "") -> list[Object]:
        group, version, plural = kind
        labels = f"{_COMPONENT}{component}" if component else None
        list_objects = partial(self._api.list_namespaced_custom_object, label_selector=labels)
        found = self._call(plural, list_objects, group, version, namespace, plural)
        return list(found["items"]) if found else []

    def _call(self, resource: str, method: Callable[..., Any], *arguments: Any) -> Any:
        """What the API answers; None where there is no such object, or where it has changed since."""
        try:
            return method(*arguments, _request_timeout=_TIMEOUT_SECONDS)
        except client.ApiException as error:
            if error.status in (_NOT_FOUND, _CONFLICT):
                return None
            raise ClusterUnreachable(
                f"The cluster refuses access to {resource}: {error.status} {error.reason}."
            ) from error
        except Exception as error:  # urllib3's and the sign-in plug-ins' errors have no common base
            first_line = str(error).split("\n", 1)[0]
            raise ClusterUnreachable(f"The cluster cannot be reached: {first_line}") from error
