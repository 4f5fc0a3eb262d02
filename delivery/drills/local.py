"""Where the drills find the local cluster, and how their commands reach it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster import addresses, paths, processes
from delivery.drills.errors import NotReady

CHECKOUT = paths.CHECKOUT
REPORT = CHECKOUT / "build" / "report"
REPOSITORY = f"{addresses.REGISTRY}/crm"
HTTP = addresses.HTTP
# Where each router listens. The annotations of nginx are read by the same Traefik.
ROUTERS = {"traefik": HTTP, "nginx": HTTP, "istio": addresses.ISTIO}
ARGOCD = addresses.ARGOCD
GIT = addresses.GIT
GIT_IN_CLUSTER = addresses.GIT_IN_CLUSTER

_IDENTITY = {"name": "Delivery drills", "email": "drills@crm.localhost"}


def api_host(environment: str) -> str:
    """The host name under which an environment's API is served."""
    return f"api.{environment}.localhost"


def preview_host(environment: str) -> str:
    """The host name under which a blue-green release is seen before users have it."""
    return f"preview.{environment}.localhost"


def kubeconfig() -> Path:
    return Path(os.environ.get("KUBECONFIG") or paths.KUBECONFIG)


def prepare() -> None:
    """Let this process and its commands find the cluster, its Git server and the tools.

    Raises NotReady if there is no cluster.
    """
    if not kubeconfig().exists():
        raise NotReady(
            f"No cluster is there ({kubeconfig()} is missing): start one with `python -m cluster up`."
        )
    os.environ.update(variables())


def variables() -> dict[str, str]:
    """The environment variables of a drill's commands."""
    return {
        "KUBECONFIG": str(kubeconfig()),
        "PATH": f"{paths.BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "DELIVERY_REMOTE": GIT,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": f"store --file={paths.GIT_CREDENTIALS}",
        **{
            f"GIT_{role}_{key.upper()}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in _IDENTITY.items()
        },
    }


def argocd_password() -> str:
    return paths.ARGOCD_PASSWORD.read_text(encoding="utf-8").strip()


@contextmanager
def hanging(namespace: str, pod: str) -> Iterator[None]:
    """As long as this lasts all processes of a pod stand still, while the kernel takes connections for them.

    Raises NotReady.
    """
    uid = output(
        ["kubectl", "get", "pod", pod, f"--namespace={namespace}", "--output=jsonpath={.metadata.uid}"]
    )
    pids = [
        pid for pid, words in processes.command_lines() if not words.startswith("/pause") and _is_of(pid, uid)
    ]
    if not pids:
        raise NotReady(f"{pod} of {namespace} has no process on this machine.")
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _is_of(pid: int, uid: str) -> bool:
    """Whether a process is of the pod with that id."""
    try:
        return uid in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return False


def output(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    seconds: float = 60,
) -> str:
    """What a command prints.

    Raises NotReady when it is missing, fails or takes longer than that.
    """
    words = [str(word) for word in command]
    shown = " ".join(words[:4])
    try:
        done = subprocess.run(
            words,
            cwd=CHECKOUT,
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise NotReady(
            f"{words[0]} is not on PATH; `python -m cluster up` puts it into {paths.BIN}."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NotReady(f"{shown} gave no answer within {seconds:.0f} s.") from error
    if done.returncode:
        raise NotReady(f"{shown} ended with status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
