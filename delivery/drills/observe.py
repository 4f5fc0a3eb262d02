"""Watches an environment during a drill through the Kubernetes API, several times a second."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from kubernetes import client, config

from delivery.drills import local
from delivery.drills.errors import NotReady
from delivery.drills.sightings import WEIGHTED_OBJECTS, Object, Objects, Sighting, router, sighting
from delivery.kube import ARGOCD_NAMESPACE, ROLLOUT

# Windows of a weight are trimmed by a second at both edges; this is well below.
_EVERY_SECONDS = 0.6
_TIMEOUT_SECONDS = 5
_NOT_FOUND = 404
_TOO_MANY_REQUESTS = 429
_ARGO = ("argoproj.io", "v1alpha1")


class Kubernetes:
    """What a drill reads from the cluster, and the few things that it does to it."""

    def __init__(self) -> None:
        settings = client.Configuration()
        try:
            config.load_kube_config(str(local.kubeconfig()), client_configuration=settings)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as error:
            raise NotReady(f"{local.kubeconfig()} cannot be used: {error}") from error
        api = client.ApiClient(settings)
        self._core = client.CoreV1Api(api)
        self._batch = client.BatchV1Api(api)
        self._custom = client.CustomObjectsApi(api)

    def objects(self, environment: str) -> Objects:
        """The objects of one environment that a sighting is made of."""
        namespace = f"crm-{environment}"
        rollout = self._get(*_ARGO, namespace, "rollouts", ROLLOUT)
        return Objects(
            rollout=rollout,
            weighted=self._weighted(namespace, rollout),
            analysis_runs=self._list(*_ARGO, namespace, "analysisruns"),
            pods=self.pods(namespace, "app.kubernetes.io/component=web"),
            application=self.application(environment),
        )

    def _weighted(self, namespace: str, rollout: Object | None) -> Object | None:
        name = router(rollout)
        if name is None:
            return None
        wanted = WEIGHTED_OBJECTS[name]
        return self._get(wanted.group, wanted.version, namespace, wanted.plural, wanted.name)

    def application(self, environment: str) -> Object | None:
        return self._get(*_ARGO, ARGOCD_NAMESPACE, "applications", f"crm-{environment}")

    def application_set(self, environment: str) -> Object | None:
        return self._get(*_ARGO, ARGOCD_NAMESPACE, "applicationsets", f"crm-{environment}")

    def migration(self, namespace: str) -> Object | None:
        """The Job of the newest migration; None while there is none."""
        answer: Any = self._batch.list_namespaced_job(
            namespace,
            field_selector="metadata.name=crm-migrate",
            _preload_content=False,
            _request_timeout=_TIMEOUT_SECONDS,
        )
        return next(iter(json.loads(answer.data)["items"]), None)

    def pods(self, namespace: str, selector: str) -> list[Object]:
        answer: Any = self._core.list_namespaced_pod(
            namespace, label_selector=selector, _preload_content=False, _request_timeout=_TIMEOUT_SECONDS
        )
        return list(json.loads(answer.data)["items"])

    def delete_pod(self, namespace: str, name: str) -> None:
        self._core.delete_namespaced_pod(name, namespace, _request_timeout=_TIMEOUT_SECONDS)

    def evict_pod(self, namespace: str, name: str) -> bool:
        """Ask for a pod's end as a drain of its node does; False while its disruption budget refuses."""
        wanted = client.V1Eviction(metadata=client.V1ObjectMeta(name=name, namespace=namespace))
        try:
            self._core.create_namespaced_pod_eviction(
                name, namespace, wanted, _request_timeout=_TIMEOUT_SECONDS
            )
        except client.ApiException as error:
            if error.status == _TOO_MANY_REQUESTS:
                return False
            raise
        return True

    def _get(self, group: str, version: str, namespace: str, plural: str, name: str) -> Object | None:
        try:
            found: Any = self._custom.get_namespaced_custom_object(
                group, version, namespace, plural, name, _request_timeout=_TIMEOUT_SECONDS
            )
        except client.ApiException as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return dict(found)

    def _list(self, group: str, version: str, namespace: str, plural: str) -> list[Any]:
        answer: Any = self._custom.list_namespaced_custom_object(
            group, version, namespace, plural, _request_timeout=_TIMEOUT_SECONDS
        )
        return list(answer["items"])


class Watcher:
    """Collects sightings of an environment in a thread until stopped; keeps those that differ from the one before."""

    def __init__(self, kubernetes: Kubernetes, environment: str) -> None:
        self._kubernetes = kubernetes
        self._environment = environment
        self._seen: list[Sighting] = []
        self._latest: Sighting | None = None
        self._trouble: str | None = None
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{environment}", daemon=True)

    def start(self) -> Watcher:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10 * _TIMEOUT_SECONDS)

    @property
    def sightings(self) -> list[Sighting]:
        """What was seen so far, oldest first; the last one is always the newest, so that it ends the drill's time."""
        with self._news:
            latest = [self._latest] if self._latest else []
            return self._seen + (latest if latest and latest[0] is not self._seen[-1] else [])

    @property
    def trouble(self) -> str | None:
        """Why the last look failed, if it did."""
        return self._trouble

    def wait(self, seconds: float) -> Sighting | None:
        """The newest sighting, after waiting for the next one, but no longer than that."""
        with self._news:
            self._news.wait(max(seconds, 0))
            return self._latest

    def _watch(self) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                objects = self._kubernetes.objects(self._environment)
            except Exception as error:  # noqa: BLE001  # urllib3's errors have no common base; the next look tells more
                self._trouble = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            else:
                self._trouble = None
                self._add(sighting(time.time(), objects))
            self._stopping.wait(max(_EVERY_SECONDS - (time.monotonic() - started), 0.05))

    def _add(self, seen: Sighting) -> None:
        with self._news:
            if not self._seen or not seen.same_as(self._seen[-1]):
                self._seen.append(seen)
            self._latest = seen
            self._news.notify_all()
