"""What a cluster could leave on a machine: `python -m tests.e2e.machine FILE` writes it down before `up`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cluster import cleanup, paths, processes

# Everything that the node runs, on the host or in pods.
PROGRAMS = (
    "containerd|kubelet|etcd|kube-|coredns|traefik|argocd|rollouts-controller|prometheus|alertmanager|operator|registry|"
    "nginx|fcgiwrap|metrics-server|gunicorn|celery|postgres|redis-server|catatonit|pause"
)


def traces() -> dict[str, list[str]]:
    """Sorted lines for each kind of trace: processes, mounts, control groups, links, routes, rules, settings, files."""
    return {
        "processes": sorted(
            line
            for _, line in processes.command_lines()
            if re.match(rf"\S*\b({PROGRAMS})\b", line.split(" ")[0])
        ),
        "mounts": sorted(cleanup.mount_points()),
        "control groups": sorted(str(group) for group in Path("/sys/fs/cgroup").glob("*/kubepods*")),
        "links": sorted(link["ifname"] for link in json.loads(_output("ip", "-json", "link"))),
        "routes": sorted(
            line.strip() for line in _output("ip", "route", "show", "table", "all").splitlines()
        ),
        # Built-in chains without a rule do nothing and are left out.
        "rules": sorted(line for line in _rules() if line.startswith("-A") or re.match(r":\S+ -", line)),
        "settings": [
            f"{name}={(cleanup.KERNEL / name).read_text(encoding='utf-8').strip()}"
            for name in cleanup.SETTINGS
            if (cleanup.KERNEL / name).exists()
        ],
        "files": [
            str(folder) for folder in (paths.STATE, paths.RUN, *cleanup.KUBERNETES_FILES) if folder.exists()
        ],
    }


def difference(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """What was added (+) or is missing (-), by kind; empty when nothing differs."""
    found = {}
    for kind, lines in before.items():
        changes = [f"+ {line}" for line in after[kind] if line not in lines]
        changes += [f"- {line}" for line in lines if line not in after[kind]]
        if changes:
            found[kind] = changes
    return found


def _rules() -> list[str]:
    saved = [
        subprocess.run([f"{family}-save"], capture_output=True, text=True, check=False).stdout
        for family in FAMILIES
        if shutil.which(f"{family}-save")  # a machine without the program has no rules of it; `up` brings it
    ]
    return [re.sub(r"\[\d+:\d+\]", "", line) for text in saved for line in text.splitlines()]


FAMILIES = ("iptables", "ip6tables")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    target = Path(sys.argv[1])
    if not paths.STATE.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(traces(), indent=1), encoding="utf-8")
