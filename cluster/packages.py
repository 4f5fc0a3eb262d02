"""Debian packages: what the node is made of, and the servers that the tests run on."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from cluster import shell
from cluster.errors import ClusterError
from cluster.progress import step

# Package → a program of it. On Debian 12 PostgreSQL and the network plugins lie outside PATH.
PROGRAMS = {
    "buildah": "buildah",
    "containerd": "containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "debootstrap": "debootstrap",
    "git": "git",
    "iproute2": "ip",
    "iptables": "iptables",
    "jq": "jq",
    "mount": "mount",
    "postgresql": "/usr/lib/postgresql/*/bin/postgres",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "redis-server": "redis-server",
    "runc": "runc",
}
SERVERS = ("postgresql", "prometheus-alertmanager", "redis-server", "git", "jq")
SECONDS = 15
"""How long all of the node's packages took."""
NODE = tuple(package for package in PROGRAMS if package == "git" or package not in SERVERS)
# Debian's way to the packages of PostgreSQL's own project, which has every version that is maintained.
OTHER_POSTGRESQL = Path("/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh")


def missing(wanted: tuple[str, ...] = NODE) -> list[str]:
    """The wanted packages whose program is not here."""
    return [package for package in wanted if not _found(PROGRAMS[package])]


def expected() -> float:
    """About how many seconds the packages of the node take to come."""
    return SECONDS if missing() else 0


def install(wanted: tuple[str, ...] = NODE) -> None:
    """Install what is missing; nothing happens when all is there."""
    lacking = missing(wanted)
    if not lacking:
        return
    if os.geteuid() != 0:
        raise ClusterError(
            f"{', '.join(lacking)} must be installed first: sudo apt-get install {' '.join(lacking)}"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"Install {', '.join(lacking)}", SECONDS):
        shell.run(["apt-get", "update"], log="packages", env=quiet)
        shell.run(
            ["apt-get", "install", "--yes", "--no-install-recommends", *lacking], log="packages", env=quiet
        )
    still = missing(wanted)
    if still:
        raise ClusterError(f"Debian did not provide {', '.join(still)}; see {shell.log_file('packages')}")


def install_postgresql(version: str) -> None:
    """Install the server of one version, which need not be Debian's; nothing happens when it is there.

    Raises ClusterError.
    """
    if not re.fullmatch(r"\d\d", version):
        raise ClusterError(f"POSTGRESQL must be a version like 17, not {version!r}.")
    if _found(f"/usr/lib/postgresql/{version}/bin/postgres"):
        return
    if os.geteuid() != 0:
        raise ClusterError(
            f"PostgreSQL {version} must be installed first: sudo make servers POSTGRESQL={version}"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"Install PostgreSQL {version}"):
        for command in (
            ["apt-get", "update"],
            [
                "apt-get",
                "install",
                "--yes",
                "--no-install-recommends",
                "postgresql-common",
                "ca-certificates",
            ],
            [str(OTHER_POSTGRESQL), "-y"],
            ["apt-get", "install", "--yes", "--no-install-recommends", f"postgresql-{version}"],
        ):
            shell.run(command, log="packages", env=quiet)


def _found(program: str) -> bool:
    if program.startswith("/"):
        return any(Path("/").glob(program.lstrip("/")))
    return shutil.which(program) is not None
