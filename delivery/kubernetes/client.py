"""What the cluster reports about an environment, read through KUBECONFIG or, in a pod, as its own account."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
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
_TIMEOUT_SECONDS = 5
_NOT_FOUND = 404
_CONFLICT = 409  # it has changed since the given version
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")
# A registry that is away is another matter: it comes back.
_NO_SUCH_IMAGE = re.compile(r"not found|manifest unknown|name unknown", re.IGNORECASE)

# The guard's own, which the chart that installs it makes: releases by environment, and what admission refuses.
RECORD, REFUSED = "delivery-guard-record", "delivery-guard-refused"
_NO_CONFIG_MAP = (
    f"There is no ConfigMap {{name}} in {ARGOCD_NAMESPACE}; the chart argocd makes it with the guard"
)


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
        try:
            settings = client.Configuration()
            # Named here, because the client reads the variable only once, when it is imported.
            path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
            config.load_kube_config(path, client_configuration=settings)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as error:
            raise ClusterUnreachable(
                f"No cluster: KUBECONFIG (or ~/.kube/config) cannot be used: {error}"
            ) from error
        settings.retries = 0
        return cls(client.CustomObjectsApi(client.ApiClient(settings)))

    @classmethod
    def from_here(cls) -> Self:
        """Inside a pod its own cluster, else that of KUBECONFIG. Raises ClusterUnreachable."""
        if "KUBECONFIG" in os.environ or "KUBERNETES_SERVICE_HOST" not in os.environ:
            return cls.from_kubeconfig()
        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise ClusterUnreachable(f"The pod has no account for the cluster: {error}") from error
        settings.retries = 0
        return cls(client.CustomObjectsApi(client.ApiClient(settings)))

    def rollout(self, environment: str) -> RolloutStatus | None:
        found = self._rollout(environment)
        return RolloutStatus.parse(found) if found else None

    def _rollout(self, environment: str) -> Object | None:
        """Raises ClusterUnreachable also where there are two."""
        namespace = f"crm-{environment}"
        found = self._list("argoproj.io", "v1alpha1", namespace, "rollouts", component="web")
        if len(found) > 1:
            names = " and ".join(sorted(each["metadata"]["name"] for each in found))
            raise ClusterUnreachable(
                f"{namespace} has {len(found)} Rollouts of the CRM, {names}: delete the one that users do not have."
            )
        return found[0] if found else None

    def migration(self, environment: str) -> Migration | None:
        """The Job of the newest migration."""
        jobs = self._list("batch", "v1", f"crm-{environment}", "jobs", component="migration")
        newest = max(jobs, key=lambda job: str(job["metadata"].get("creationTimestamp")), default=None)
        return Migration.parse(newest) if newest else None

    def application(self, environment: str) -> Application | None:
        found = self._get("argoproj.io", "v1alpha1", ARGOCD_NAMESPACE, "applications", f"crm-{environment}")
        return Application.parse(found) if found else None

    def promote_in_full(self, environment: str, rollout: RolloutStatus) -> None:
        """Let the Rollout leave out the rest of its steps, as `kubectl argo rollouts promote --full` does.

        Nothing happens if it has changed meanwhile.
        """
        self._set_status(environment, rollout, {"promoteFull": True})

    def abort(self, environment: str, rollout: RolloutStatus) -> None:
        """End what the Rollout is at, as `kubectl argo rollouts abort` does.

        Nothing happens if it has changed meanwhile.
        """
        self._set_status(environment, rollout, {"abort": True})

    def _set_status(self, environment: str, rollout: RolloutStatus, status: Object) -> None:
        patch = partial(
            self._api.patch_namespaced_custom_object_status,
            body={"metadata": {"resourceVersion": rollout.resource_version}, "status": status},
            _content_type="application/merge-patch+json",
        )
        self._ask(patch, "argoproj.io", "v1alpha1", f"crm-{environment}", "rollouts", rollout.name)

    def scale_to_zero(self, environment: str, replica_set: str) -> None:
        patch = self._apps.patch_namespaced_replica_set_scale
        self._ask(
            lambda *path, **more: {"answer": patch(replica_set, path[2], {"spec": {"replicas": 0}}, **more)},
            *("apps", "v1", f"crm-{environment}", "replicasets/scale"),
        )

    def guard_data(self, name: str, key: str) -> str:
        """What the guard has written into one of its ConfigMaps; empty where it has written nothing.

        Raises ClusterUnreachable also where there is no such ConfigMap.
        """
        read = self._core.read_namespaced_config_map
        found = self._ask(
            lambda *path, **more: read(name, path[2], **more).to_dict(),
            *("", "v1", ARGOCD_NAMESPACE, "configmaps"),
        )
        if found is None:
            raise ClusterUnreachable(f"{_NO_CONFIG_MAP.format(name=name)}.")
        return str((found["data"] or {}).get(key, ""))

    def write_guard_data(self, name: str, key: str, text: str) -> None:
        """Raises ClusterUnreachable also where there is no such ConfigMap."""
        patch = self._core.patch_namespaced_config_map
        found = self._ask(
            lambda *path, **more: {"answer": patch(name, path[2], {"data": {key: text}}, **more)},
            *("", "v1", ARGOCD_NAMESPACE, "configmaps"),
        )
        if found is None:
            raise ClusterUnreachable(f"{_NO_CONFIG_MAP.format(name=name)}.")

    def terminate_sync(self, environment: str) -> None:
        """End the sync that Argo CD is in the middle of, as `argocd app terminate-op` does."""
        path = ("argoproj.io", "v1alpha1", ARGOCD_NAMESPACE, "applications", f"crm-{environment}")
        patch = partial(
            self._api.patch_namespaced_custom_object,
            body={"status": {"operationState": {"phase": "Terminating"}}},
            _content_type="application/merge-patch+json",
        )
        self._ask(patch, *path)

    def missing_migration_image(self, environment: str) -> str:
        """What the node reports of an image of the migration that the registry does not have; else empty."""
        ask = partial(self._core.list_namespaced_pod, label_selector=f"{_COMPONENT}migration")
        pods = self._ask(
            lambda *path, **more: ask(path[2], **more).to_dict(), "", "v1", f"crm-{environment}", "pods"
        )
        for pod in (pods or {}).get("items", []):
            for container in (pod["status"] or {}).get("container_statuses") or []:
                waiting = (container["state"] or {}).get("waiting") or {}
                message = str(waiting.get("message") or "")
                if waiting.get("reason") in _NOT_PULLED and _NO_SUCH_IMAGE.search(message):
                    return message
        return ""

    def config_maps(self, environment: str) -> dict[str, datetime]:
        """The chart's ConfigMaps of settings, and when each was made."""
        ask = partial(self._core.list_namespaced_config_map, label_selector=f"{_COMPONENT}config")
        found = self._ask(
            lambda *path, **more: ask(path[2], **more).to_dict(), "", "v1", f"crm-{environment}", "configmaps"
        )
        named = [each["metadata"] for each in (found or {}).get("items", [])]
        return {each["name"]: each["creation_timestamp"] for each in named}

    def workloads(self, environment: str) -> list[Object]:
        """Whatever may start pods in an environment's namespace, as the API has it."""
        namespace, rollout = f"crm-{environment}", self._rollout(environment)
        return [
            *([rollout] if rollout else []),
            *self._list("apps", "v1", namespace, "replicasets"),
            *self._list("apps", "v1", namespace, "deployments"),
            *self._list("batch", "v1", namespace, "jobs"),
        ]

    def delete_config_map(self, environment: str, name: str) -> None:
        ask = self._core.delete_namespaced_config_map
        self._ask(
            lambda *path, **more: {"answer": ask(name, path[2], **more)},
            "",
            "v1",
            f"crm-{environment}",
            "configmaps",
        )

    def observe(self, environment: str) -> EnvironmentObjects:
        namespace = f"crm-{environment}"
        return EnvironmentObjects(
            rollout=self.rollout(environment),
            replica_sets=tuple(map(ReplicaSet.parse, self._list("apps", "v1", namespace, "replicasets"))),
            analysis_runs=tuple(
                map(AnalysisRun.parse, self._list("argoproj.io", "v1alpha1", namespace, "analysisruns"))
            ),
            application=self.application(environment),
            application_set_error=application_set_error(
                self._get("argoproj.io", "v1alpha1", ARGOCD_NAMESPACE, "applicationsets", namespace) or {}
            ),
        )

    def _get(self, group: str, version: str, namespace: str, plural: str, name: str) -> Object | None:
        return self._ask(self._api.get_namespaced_custom_object, group, version, namespace, plural, name)

    def _list(
        self, group: str, version: str, namespace: str, plural: str, component: str = ""
    ) -> list[Object]:
        labels = f"{_COMPONENT}{component}" if component else None
        ask = partial(self._api.list_namespaced_custom_object, label_selector=labels)
        answer = self._ask(ask, group, version, namespace, plural)
        return list(answer["items"]) if answer else []

    def _ask(self, call: Any, *path: str) -> Object | None:
        try:
            answer: Object = call(*path, _request_timeout=_TIMEOUT_SECONDS)
        except client.ApiException as error:
            if error.status in (_NOT_FOUND, _CONFLICT):
                return None
            raise ClusterUnreachable(
                f"The cluster refuses access to {path[3]}: {error.status} {error.reason}."
            ) from error
        except Exception as error:  # urllib3's and the sign-in plug-ins' errors have no common base
            first_line = str(error).split("\n", 1)[0]
            raise ClusterUnreachable(f"The cluster cannot be reached: {first_line}") from error
        return answer
