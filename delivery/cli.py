"""The command line. Exit status: 0 done (or nothing to do), 1 refused or failed, 2 wrong usage."""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from delivery import commands, git, status
from delivery.environments import ENVIRONMENTS
from delivery.errors import Refused
from delivery.guard import server
from delivery.guard.prober import Prober, probing
from delivery.guard.watch import Guard
from delivery.kube import Cluster

REMOTE_VARIABLE = "DELIVERY_REMOTE"
# Of the guard: the environments that it watches, separated by commas; where it answers over HTTP; and the Prometheus
# that says where users are too few for a verdict. Without the latter two it does neither.
ENVIRONMENTS_VARIABLE = "DELIVERY_ENVIRONMENTS"
PORT_VARIABLE = "DELIVERY_PORT"
PROMETHEUS_VARIABLE = "DELIVERY_PROMETHEUS"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except Refused as refusal:
        print(f"delivery: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "delivery: stopped; the branch is as it was, or has the whole change: delivery status",
            file=sys.stderr,
        )
        return 130


def _run(options: argparse.Namespace) -> int:
    here = Path.cwd()
    remote = options.remote or os.environ.get(REMOTE_VARIABLE) or git.origin_of(here)
    with git.opened(remote, here) as repository:
        match options.command:
            case "init":
                print(commands.init(repository))
            case "release":
                print(
                    commands.release(
                        repository,
                        image=options.image,
                        to=options.to,
                        revision=options.revision,
                        version=options.version,
                        strategy=options.strategy,
                    )
                )
            case "promote":
                print(commands.promote(repository, options.source, options.target))
            case "rollback":
                print(
                    commands.rollback(repository, options.environment, to=options.to, reason=options.reason)
                )
            case "pardon":
                print(commands.pardon(repository, options.digest, reason=options.reason))
            case "guard":
                _guard(repository)
            case "status":
                return status.show(repository, as_json=options.json)
    return 0


def _guard(repository: git.Repository) -> None:
    """Until SIGTERM, or Ctrl-C."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    named = os.environ.get(ENVIRONMENTS_VARIABLE, "")
    environments = named.split(",") if named else ENVIRONMENTS
    guard = Guard(Cluster.from_here(), repository, environments)
    port = os.environ.get(PORT_VARIABLE, "")
    prometheus = os.environ.get(PROMETHEUS_VARIABLE, "").rstrip("/")
    with contextlib.ExitStack() as besides:
        if port.isdecimal():
            besides.enter_context(server.serving(int(port), guard))
        if prometheus:
            besides.enter_context(probing(Prober(Cluster.from_here(), environments, prometheus), stopped))
        guard.watch(stopped)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--remote",
        metavar="URL",
        help=f"the Git remote (else ${REMOTE_VARIABLE}, else origin of the checkout you are in)",
    )
    parser = argparse.ArgumentParser(
        prog="delivery",
        description="Deploy, promote and roll back: each is one commit on the branch environments.",
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, meaning: str) -> argparse.ArgumentParser:
        return parsers.add_parser(name, parents=[common], help=meaning, description=meaning)

    command("init", "Make the branch environments on the remote.")

    release = command("release", "Give an environment a new image and the commit it was built from.")
    release.add_argument(
        "--image", required=True, metavar="IMAGE", help="HOST/NAME[:TAG]@sha256:… or HOST/NAME:TAG"
    )
    release.add_argument("--to", required=True, metavar="ENVIRONMENT")
    release.add_argument("--revision", metavar="COMMIT", help="instead of the image's own label")
    release.add_argument("--version", metavar="NAME", help="instead of the image's own label")
    release.add_argument(
        "--strategy", metavar="NAME", help="a file of rollouts/ (else the environment keeps its own)"
    )

    promote = command(
        "promote", "Copy an environment's release to the next one, which keeps its own strategy."
    )
    promote.add_argument("source", metavar="FROM")
    promote.add_argument("target", metavar="TO")

    rollback = command("rollback", "Give an environment the release that it had before.")
    rollback.add_argument("environment", metavar="ENVIRONMENT")
    rollback.add_argument(
        "--to", metavar="COMMIT", help="the release at this commit of the branch environments"
    )
    rollback.add_argument("--reason", metavar="TEXT", help="why, for the commit message")

    pardon = command("pardon", "Let an image be released again that the guard has quarantined.")
    pardon.add_argument("digest", metavar="DIGEST", help="sha256:…")
    pardon.add_argument("--reason", metavar="TEXT", required=True, help="why, for the commit message")

    command(
        "guard",
        "Watch the environments until stopped: after an abort, put Git back to the release before and say why.",
    )

    shown = command("status", "Show what Git, Argo Rollouts and Argo CD say about each environment.")
    shown.add_argument("--json", action="store_true", help="as JSON")
    return parser
