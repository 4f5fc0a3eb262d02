"""`python -m cluster up | down | status | env | servers | tools | istio | kyverno`: the local cluster, and back."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from cluster import (
    addresses,
    cleanup,
    forecast,
    go_tools,
    image_builder,
    istio,
    kyverno,
    node,
    packages,
    paths,
    platform,
    preflight,
    processes,
)
from cluster.errors import ClusterError
from cluster.progress import console, note, step, whole


def up() -> None:
    """Build what is missing, start what does not run, and return when every component is Ready."""
    with started():
        pass
    tell_addresses()


def tell_addresses() -> None:
    """Where a person finds what runs on the local cluster."""
    if node.existing_cluster():
        return
    note(f"Argo CD      http://{addresses.ARGOCD}   user admin, password in {paths.ARGOCD_PASSWORD}")
    note(f"Prometheus   {addresses.PROMETHEUS}")
    note(f"Git          {addresses.GIT}   user {addresses.GIT_USER}, password in {paths.GIT_CREDENTIALS}")
    note(f'For your shell:  eval "$({sys.executable} -m cluster env)"')


@contextmanager
def started(then: float = 0) -> Iterator[None]:
    """Every component is Ready inside, where something is done that takes about `then` seconds; one bar is over all.

    What it will cost is said before it begins.
    """
    if node.existing_cluster():
        go_tools.build(("kubectl", "kubectl-argo-rollouts", "argocd", "helm"))
        note(f"KUBECONFIG names a cluster: only the platform is installed, into {node.kubeconfig()}")
        platform.up(platform.manifests(local=False), local=False)
        yield
        return
    preflight.check()
    with ExitStack() as lasting:
        with _alone():
            takes = forecast.seconds() + then
            console.print(forecast.sentence(takes, then))
            lasting.enter_context(whole(takes))
            packages.install()
            with ThreadPoolExecutor(max_workers=1) as beside:
                # It waits for Debian's packages most of the time, while Go has use for every core.
                system = beside.submit(image_builder.platform_image)
                go_tools.build()
                system.result()
                layout = image_builder.layout()
                documents = beside.submit(platform.manifests, local=True)
                node.up(layout)
                platform.up(documents.result(), local=True)
        yield


def with_istio() -> None:
    """Add the router `istio` to the cluster that is up; return when its gateway is Ready."""
    preflight.root()
    with _alone():
        istio.up()
    note(f"Istio's gateway   {addresses.ISTIO}")


def with_kyverno() -> None:
    """Add Kyverno, which can let only signed images start, to the cluster that is up; return when it is Ready."""
    preflight.root()
    with _alone():
        kyverno.up()


def down() -> None:
    """Remove everything that `up` put on the machine, except the cache of binaries and images."""
    preflight.root()
    with _alone(), step("Remove the local cluster"):
        cleanup.everything()


def status() -> None:
    """Print every component with its ready pods; ClusterError when one is not Ready."""
    lacking = []
    if not node.existing_cluster():
        for name in ("containerd", "kubelet"):
            running = processes.running(name)
            console.print(f"{'[green]✓[/]' if running else '[red]✗[/]'} {name}")
            lacking += [] if running else [name]
    if not node.kubeconfig().exists():
        raise ClusterError("There is no local cluster; `python -m cluster up` makes one.")
    # Where nobody has asked for Istio or Kyverno, their namespaces have nothing to show.
    ours = () if node.existing_cluster() else ("forge", istio.NAMESPACE, kyverno.NAMESPACE)
    for namespace in ("kube-system", *platform.NAMESPACES, *ours):
        for workload, pods in platform.ready(namespace).items():
            have, wanted = pods.split("/")
            good = have == wanted
            console.print(f"{'[green]✓[/]' if good else '[red]✗[/]'} {namespace:<14} {workload:<55} {pods}")
            lacking += [] if good else [workload]
    if lacking:
        raise ClusterError(f"Not Ready: {', '.join(lacking)}; `python -m cluster up` repairs the node.")


def env() -> None:
    """Print what a shell needs to work with the cluster: `eval "$(python -m cluster env)"`."""
    print(f'export PATH="{paths.BIN}:$PATH"')
    if not node.existing_cluster():
        print(f'export KUBECONFIG="{paths.KUBECONFIG}"')
        print(f'export DELIVERY_REMOTE="{addresses.GIT}"')
        print("export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=credential.helper")
        print(f'export GIT_CONFIG_VALUE_0="store --file={paths.GIT_CREDENTIALS}"')


def tools(names: list[str]) -> None:
    """Build single tools and print the folder that holds them all."""
    with _alone(wait=True):
        go_tools.build(names or go_tools.ALL)
    print(paths.BIN)


def servers() -> None:
    """Install PostgreSQL (POSTGRESQL=17 another version than Debian's) and Redis, which the tests start themselves."""
    packages.install(packages.SERVERS)
    if version := os.environ.get("POSTGRESQL"):
        packages.install_postgresql(version)


@contextmanager
def _alone(*, wait: bool = False) -> Iterator[None]:
    """One at a time works on the machine and the cache: the second one is told so, or waits."""
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    with (paths.CACHE / "lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise ClusterError("Another `python -m cluster` is at work; wait until it has ended.") from error
        yield


COMMANDS = {
    "up": up,
    "istio": with_istio,
    "kyverno": with_kyverno,
    "down": down,
    "status": status,
    "env": env,
    "servers": servers,
}


def main(words: list[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 with one sentence when not, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in COMMANDS.items():
        commands.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
    named = commands.add_parser("tools", help="Build single tools and print the folder that holds them.")
    named.add_argument("names", nargs="*", metavar="TOOL")
    asked = parser.parse_args(words)
    started = time.monotonic()
    try:
        if asked.command == "tools":
            tools(asked.names)
        else:
            COMMANDS[asked.command]()
    except ClusterError as error:
        _complain(str(error))
        return 1
    except PermissionError as error:
        _complain(
            f"{error.filename} may not be written; run the same command with sudo, "
            "or set CRM_CLUSTER_CACHE to a folder of yours."
        )
        return 1
    except KeyboardInterrupt:
        _complain("Interrupted; the same command goes on where it stopped.")
        return 130
    if asked.command in ("up", "istio", "kyverno", "down"):
        note(f"{asked.command} took {time.monotonic() - started:.0f} s")
    return 0


def _complain(sentence: str) -> None:
    print(f"cluster: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
