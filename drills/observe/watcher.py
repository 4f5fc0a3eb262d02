"""Watches an environment during a drill through the Kubernetes API, which reports each change."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kubernetes import client, config, watch

from delivery.kubernetes.application import Migration
from delivery.kubernetes.client import ARGOCD_NAMESPACE
from delivery.kubernetes.objects import Object
from delivery.kubernetes.rollout import RolloutStatus
from drills.errors import NotReady
from drills.fixtures import local_cluster
from drills.observe.snapshot import WEIGHTED_OBJECTS, Objects, Snapshot, router, snapshot

# Without any news: the newest snapshot must not be old. Windows of a weight are trimmed by a second at both edges.
_AT_LEAST_EVERY_SECONDS = 1.0
# Changes come in groups: a snapshot of their midst would show what nobody set.
_GROUP_SECONDS = 0.05
_WATCH_SECONDS = 30
_TIMEOUT_SECONDS = 5
_TOO_MANY_REQUESTS = 429
_ARGO = ("argoproj.io", "v1alpha1")
_WEB_PODS = "app.kubernetes.io/component=web"

Listing = Callable[..., Any]
"""A method of the client that lists objects, with everything but how it is to be asked."""


class Kubernetes:
    """What a drill reads from the cluster, and the few things that it does to it."""

    def __init__(self) -> None:
        settings = client.Configuration()
        try:
            config.load_kube_config(str(local_cluster.kubeconfig()), client_configuration=settings)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as error:
            raise NotReady(f"{local_cluster.kubeconfig()} cannot be used: {error}") from error
        api = client.ApiClient(settings)
        self._core = client.CoreV1Api(api)
        self._batch = client.BatchV1Api(api)
        self._discovery = client.DiscoveryV1Api(api)
        self._custom = client.CustomObjectsApi(api)

    def informers(self, environment: str) -> Informers:
        """The objects of one environment that a snapshot is made of, kept up to date."""
        namespace = f"crm-{environment}"
        return Informers(
            rollouts=self._listing(*_ARGO, namespace, "rollouts", local_cluster.ROLLOUT),
            weighted={
                name: self._listing(each.group, each.version, namespace, each.plural, each.name)
                for name, each in WEIGHTED_OBJECTS.items()
            },
            analysis_runs=self._listing(*_ARGO, namespace, "analysisruns"),
            pods=partial(self._core.list_namespaced_pod, namespace, label_selector=_WEB_PODS),
            applications=self._listing(*_ARGO, ARGOCD_NAMESPACE, "applications", f"crm-{environment}"),
        )

    def _listing(self, group: str, version: str, namespace: str, plural: str, name: str = "") -> Listing:
        only: dict[str, Any] = {"field_selector": f"metadata.name={name}"} if name else {}
        return partial(self._custom.list_namespaced_custom_object, group, version, namespace, plural, **only)

    def application(self, environment: str) -> Object | None:
        return _only(self._listing(*_ARGO, ARGOCD_NAMESPACE, "applications", f"crm-{environment}"))

    def application_set(self, environment: str) -> Object | None:
        return _only(self._listing(*_ARGO, ARGOCD_NAMESPACE, "applicationsets", f"crm-{environment}"))

    def migration(self, namespace: str) -> Migration | None:
        """The newest migration; None while there is none."""
        named = "metadata.name=crm-migrate"
        job = _only(partial(self._batch.list_namespaced_job, namespace, field_selector=named))
        return Migration.parse(job) if job else None

    def changes(self, namespace: str, service: str) -> int:
        """How often the pods behind a Service have changed since it was made."""
        selector = f"kubernetes.io/service-name={service}"
        slices = partial(self._discovery.list_namespaced_endpoint_slice, namespace, label_selector=selector)
        return sum(each["metadata"]["generation"] for each in _listed(slices)["items"])

    def pods(self, namespace: str, selector: str) -> list[Object]:
        pods = partial(self._core.list_namespaced_pod, namespace, label_selector=selector)
        return list(_listed(pods)["items"])

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


def _listed(listing: Listing) -> Object:
    """The API server's answer."""
    answer: Object = json.loads(listing(_preload_content=False, _request_timeout=_TIMEOUT_SECONDS).data)
    return answer


def _only(listing: Listing) -> Object | None:
    """The one object that there may be."""
    return next(iter(_listed(listing)["items"]), None)


class Informer:
    """The objects that a listing names, kept up to date by one long request instead of many short ones."""

    def __init__(self, listing: Listing, news: threading.Event) -> None:
        self._listing = listing
        self._news = news
        self._found: dict[str, Object] | None = None
        self._trouble: Exception | None = None
        self._stopping = threading.Event()
        threading.Thread(target=self._keep, daemon=True).start()

    @property
    def objects(self) -> list[Object]:
        """Raises what stood in the way of reading them."""
        if self._trouble:
            raise self._trouble
        found = self._found
        if found is None:
            raise NotReady("The API server has not answered yet.")
        return [found[name] for name in sorted(found)]

    def stop(self) -> None:
        """Its thread ends with the request that it waits for, which nobody has to wait for."""
        self._stopping.set()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                answer = _listed(self._listing)
                self._changed({each["metadata"]["name"]: each for each in answer["items"]})
                self._follow(answer["metadata"]["resourceVersion"])
            except Exception as error:  # noqa: BLE001  # urllib3's errors have no common base; the next look tells more
                self._trouble = error
                self._news.set()
                self._stopping.wait(_AT_LEAST_EVERY_SECONDS)

    def _follow(self, version: str) -> None:
        """Until the API server ends the request, as it does after some seconds."""
        events = watch.Watch(return_type="object").stream(  # type: ignore[no-untyped-call]
            self._listing,
            resource_version=version,
            timeout_seconds=_WATCH_SECONDS,
            _request_timeout=_WATCH_SECONDS + _TIMEOUT_SECONDS,
        )
        for event in events:
            if self._stopping.is_set():
                return
            name = event["raw_object"]["metadata"]["name"]
            others = {key: each for key, each in (self._found or {}).items() if key != name}
            self._changed(others if event["type"] == "DELETED" else others | {name: event["raw_object"]})

    def _changed(self, found: dict[str, Object]) -> None:
        self._found = found
        self._trouble = None
        self._news.set()


class Informers:
    """Those of one environment: what it looks like, as the API server reports each change."""

    def __init__(
        self,
        rollouts: Listing,
        weighted: Mapping[str, Listing],
        analysis_runs: Listing,
        pods: Listing,
        applications: Listing,
    ) -> None:
        self._news = threading.Event()
        self._weighted = weighted
        self._routers: dict[str, Informer] = {}
        listings = (rollouts, analysis_runs, pods, applications)
        self._informers = [Informer(listing, self._news) for listing in listings]

    def objects(self) -> Objects:
        """How it looks now. Raises what stands in the way of knowing."""
        rollouts, analysis_runs, pods, applications = (informer.objects for informer in self._informers)
        rollout = RolloutStatus.parse(rollouts[0]) if rollouts else None
        name = router(rollout)
        # A router that is not installed has no such objects.
        if name and name not in self._routers:
            self._routers[name] = Informer(self._weighted[name], self._news)
        return Objects(
            rollout=rollout,
            weighted=next(iter(self._routers[name].objects), None) if name else None,
            analysis_runs=analysis_runs,
            pods=pods,
            application=next(iter(applications), None),
        )

    def wait(self) -> None:
        """For a change, or a second."""
        if self._news.wait(_AT_LEAST_EVERY_SECONDS):
            time.sleep(_GROUP_SECONDS)
        self._news.clear()

    def stop(self) -> None:
        for informer in (*self._informers, *self._routers.values()):
            informer.stop()


class Watcher:
    """Collects snapshots of an environment in a thread until stopped; keeps those that differ from the one before."""

    def __init__(self, kubernetes: Kubernetes, environment: str) -> None:
        self._kubernetes = kubernetes
        self._environment = environment
        self._seen: list[Snapshot] = []
        self._latest: Snapshot | None = None
        self.trouble: str | None = None
        """Why the last look failed, if it did."""
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{environment}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10 * _TIMEOUT_SECONDS)

    @property
    def snapshots(self) -> list[Snapshot]:
        """What was seen so far, oldest first; the last one is always the newest, so that it ends the drill's time."""
        with self._news:
            latest = [self._latest] if self._latest else []
            return self._seen + (latest if latest and latest[0] is not self._seen[-1] else [])

    def wait(self, seconds: float) -> Snapshot | None:
        """The newest snapshot, after waiting for the next one, but no longer than that."""
        with self._news:
            self._news.wait(max(seconds, 0))
            return self._latest

    def _watch(self) -> None:
        informers = self._kubernetes.informers(self._environment)
        while not self._stopping.is_set():
            try:
                objects = informers.objects()
            except Exception as error:  # noqa: BLE001  # whatever it was, the next look tells more
                self.trouble = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            else:
                self.trouble = None
                self._add(snapshot(time.time(), objects))
            informers.wait()
        informers.stop()

    def _add(self, seen: Snapshot) -> None:
        with self._news:
            if not self._seen or not seen.same_as(self._seen[-1]):
                self._seen.append(seen)
            self._latest = seen
            self._news.notify_all()
