"""What the cluster says about an environment, read through KUBECONFIG or, in a pod, as its own account."""

import os
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config

from delivery.errors import ClusterUnreachable

ARGOCD_NAMESPACE = "argocd"
# What of the chart is found by its labels, since `fullnameOverride` may have given it another name.
_COMPONENT = "app.kubernetes.io/name=crm,app.kubernetes.io/component="
_TIMEOUT_SECONDS = 5
_NOT_FOUND = 404
_CONFLICT = 409  # it has changed since the version that was told
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")
# A registry that is away is another matter: it comes back.
_NO_SUCH_IMAGE = re.compile(r"not found|manifest unknown|name unknown", re.IGNORECASE)

# The guard's own, which the chart that installs it makes: releases by environment, and what admission refuses.
RECORD, REFUSED = "delivery-guard-record", "delivery-guard-refused"
_NO_CONFIG_MAP = (
    f"There is no ConfigMap {{name}} in {ARGOCD_NAMESPACE}; the chart argocd makes it with the guard"
)

Object = dict[str, Any]


@dataclass
class Observed:
    """The Kubernetes objects that tell about one environment; None or empty where there is none."""

    rollout: Object | None = None
    replica_sets: list[Object] = field(default_factory=list)
    analysis_runs: list[Object] = field(default_factory=list)
    application: Object | None = None
    application_set: Object | None = None


def is_moving(status: Object) -> bool:
    """Whether a Rollout of this status has newer pods than those of the last full promotion, aborted or not."""
    newest = status.get("currentPodHash")
    return bool(newest) and newest != status.get("stableRS")


class Cluster:
    """One cluster. Written are a Rollout's promotion in full and abort, aborted pods, a sync's end and ConfigMaps."""

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

    def rollout(self, environment: str) -> Object | None:
        """Raises ClusterUnreachable, also where there are two."""
        namespace = f"crm-{environment}"
        found = self._list("argoproj.io", "v1alpha1", namespace, "rollouts", component="web")
        if len(found) > 1:
            names = " and ".join(sorted(each["metadata"]["name"] for each in found))
            raise ClusterUnreachable(
                f"{namespace} has {len(found)} Rollouts of the CRM, {names}: delete the one that users do not have."
            )
        return found[0] if found else None

    def migration(self, environment: str) -> Object | None:
        """The Job of the newest migration. Raises ClusterUnreachable."""
        jobs = self._list("batch", "v1", f"crm-{environment}", "jobs", component="migration")
        return max(jobs, key=lambda job: str(job["metadata"].get("creationTimestamp")), default=None)

    def application(self, environment: str) -> Object | None:
        """Argo CD's Application of an environment. Raises ClusterUnreachable."""
        return self._get("argoproj.io", "v1alpha1", ARGOCD_NAMESPACE, "applications", f"crm-{environment}")

    def promote_in_full(self, environment: str, version: str) -> None:
        """Let the Rollout leave out the rest of its steps, as `kubectl argo rollouts promote --full` does.

        Nothing happens if it has changed since `version`, its resourceVersion. Raises ClusterUnreachable.
        """
        self._set_status(
            environment, {"metadata": {"resourceVersion": version}, "status": {"promoteFull": True}}
        )

    def abort(self, environment: str, version: str) -> None:
        """End what the Rollout is at, as `kubectl argo rollouts abort` does.

        Nothing happens if it has changed since `version`, its resourceVersion. Raises ClusterUnreachable.
        """
        self._set_status(environment, {"metadata": {"resourceVersion": version}, "status": {"abort": True}})

    def _set_status(self, environment: str, change: Object) -> None:
        patch = partial(
            self._api.patch_namespaced_custom_object_status,
            body=change,
            _content_type="application/merge-patch+json",
        )
        if rollout := self.rollout(environment):
            name = rollout["metadata"]["name"]
            self._ask(patch, "argoproj.io", "v1alpha1", f"crm-{environment}", "rollouts", name)

    def scale_to_zero(self, environment: str, replica_set: str) -> None:
        """Take all pods of a ReplicaSet away. Raises ClusterUnreachable."""
        patch = self._apps.patch_namespaced_replica_set_scale
        self._ask(
            lambda *path, **more: {"answer": patch(replica_set, path[2], {"spec": {"replicas": 0}}, **more)},
            *("apps", "v1", f"crm-{environment}", "replicasets/scale"),
        )

    def kept(self, name: str, key: str) -> str:
        """What the guard has written into one of its ConfigMaps; empty where it has written nothing.

        Raises ClusterUnreachable, also where there is no such ConfigMap.
        """
        read = self._core.read_namespaced_config_map
        found = self._ask(
            lambda *path, **more: read(name, path[2], **more).to_dict(),
            *("", "v1", ARGOCD_NAMESPACE, "configmaps"),
        )
        if found is None:
            raise ClusterUnreachable(f"{_NO_CONFIG_MAP.format(name=name)}.")
        return str((found["data"] or {}).get(key, ""))

    def keep(self, name: str, key: str, text: str) -> None:
        """Write into one of the guard's ConfigMaps. Raises ClusterUnreachable, also where there is none."""
        patch = self._core.patch_namespaced_config_map
        found = self._ask(
            lambda *path, **more: {"answer": patch(name, path[2], {"data": {key: text}}, **more)},
            *("", "v1", ARGOCD_NAMESPACE, "configmaps"),
        )
        if found is None:
            raise ClusterUnreachable(f"{_NO_CONFIG_MAP.format(name=name)}.")

    def end_sync(self, environment: str) -> None:
        """End the sync that Argo CD is in the middle of, as `argocd app terminate-op` does.

        Raises ClusterUnreachable.
        """
        path = ("argoproj.io", "v1alpha1", ARGOCD_NAMESPACE, "applications", f"crm-{environment}")
        patch = partial(
            self._api.patch_namespaced_custom_object,
            body={"status": {"operationState": {"phase": "Terminating"}}},
            _content_type="application/merge-patch+json",
        )
        self._ask(patch, *path)

    def missing_migration_image(self, environment: str) -> str:
        """What the node says of an image of the migration that the registry does not have; else empty.

        Raises ClusterUnreachable.
        """
        ask = partial(self._core.list_namespaced_pod, label_selector=f"{_COMPONENT}migration")
        pods = self._ask(
            lambda *path, **more: ask(path[2], **more).to_dict(), "", "v1", f"crm-{environment}", "pods"
        )
        for pod in (pods or {}).get("items", []):
            for container in (pod["status"] or {}).get("container_statuses") or []:
                waiting = (container["state"] or {}).get("waiting") or {}
                said = str(waiting.get("message") or "")
                if waiting.get("reason") in _NOT_PULLED and _NO_SUCH_IMAGE.search(said):
                    return said
        return ""

    def configurations(self, environment: str) -> dict[str, datetime]:
        """The chart's ConfigMaps of settings, and when each was made. Raises ClusterUnreachable."""
        ask = partial(self._core.list_namespaced_config_map, label_selector=f"{_COMPONENT}config")
        found = self._ask(
            lambda *path, **more: ask(path[2], **more).to_dict(), "", "v1", f"crm-{environment}", "configmaps"
        )
        named = [each["metadata"] for each in (found or {}).get("items", [])]
        return {each["name"]: each["creation_timestamp"] for each in named}

    def workloads(self, environment: str) -> list[Object]:
        """Whatever may start pods in an environment's namespace. Raises ClusterUnreachable."""
        namespace, rollout = f"crm-{environment}", self.rollout(environment)
        return [
            *([rollout] if rollout else []),
            *self._list("apps", "v1", namespace, "replicasets"),
            *self._list("apps", "v1", namespace, "deployments"),
            *self._list("batch", "v1", namespace, "jobs"),
        ]

    def delete_configuration(self, environment: str, name: str) -> None:
        """Raises ClusterUnreachable."""
        ask = self._core.delete_namespaced_config_map
        self._ask(
            lambda *path, **more: {"answer": ask(name, path[2], **more)},
            "",
            "v1",
            f"crm-{environment}",
            "configmaps",
        )

    def observe(self, environment: str) -> Observed:
        """Raises ClusterUnreachable."""
        namespace = f"crm-{environment}"
        return Observed(
            rollout=self.rollout(environment),
            replica_sets=self._list("apps", "v1", namespace, "replicasets"),
            analysis_runs=self._list("argoproj.io", "v1alpha1", namespace, "analysisruns"),
            application=self.application(environment),
            application_set=self._get(
                "argoproj.io", "v1alpha1", ARGOCD_NAMESPACE, "applicationsets", namespace
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
