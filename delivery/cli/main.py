"""The command line. Exit status: 0 done (or nothing to do), 1 refused or failed, 2 wrong usage, 3 vulnerable."""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from rich.console import Console

from delivery.cli import commands, history_table, status, status_watch, verify
from delivery.cli import diff as difference
from delivery.errors import Refused
from delivery.gitops import dora, git, history
from delivery.gitops.branch import ENVIRONMENTS, fetch_existing
from delivery.guard import auto_promotion, image_policy, request_counts, server
from delivery.guard.health import Health
from delivery.guard.maintenance_loop import Rounds, going
from delivery.guard.notifier import Announcer
from delivery.guard.rollback_loop import GIT_SECONDS, Guard
from delivery.guard.synthetic_traffic import Prober, probing
from delivery.images import attestations
from delivery.kubernetes.client import Cluster
from delivery.notifications.channels import VARIABLE as PEOPLE_VARIABLE
from delivery.notifications.channels import people

REMOTE_VARIABLE = "DELIVERY_REMOTE"
# Of the guard: the environments that it watches, separated by commas; where it answers over HTTP; and the Prometheus
# that says where users are too few for a verdict and tells a heal its figures. Without the latter two it does neither.
ENVIRONMENTS_VARIABLE = "DELIVERY_ENVIRONMENTS"
PORT_VARIABLE = "DELIVERY_PORT"
PROMETHEUS_VARIABLE = "DELIVERY_PROMETHEUS"
# Of `verify`: what Prometheus wants to be shown, where it does not answer everybody.
TOKEN_VARIABLE = "DELIVERY_PROMETHEUS_TOKEN"  # noqa: S105  # a variable's name
_FIGURES_DAYS = 30


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except Refused as refusal:
        print(f"delivery: {refusal}", file=sys.stderr)
        return 3 if isinstance(refusal, attestations.Vulnerable) else 1
    except KeyboardInterrupt:
        print(
            "delivery: stopped; the branch is as it was, or has the whole change: delivery status",
            file=sys.stderr,
        )
        return 130


def _run(options: argparse.Namespace) -> int:
    here = Path.cwd()
    remote = options.remote or os.environ.get(REMOTE_VARIABLE) or git.origin_of(here)
    patience = GIT_SECONDS if options.command in ("guard", "verdicts") else git.PATIENCE_SECONDS
    with git.opened(remote, here, patience) as repository:
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
                        despite_freeze=options.despite_freeze,
                    )
                )
            case "promote":
                print(
                    commands.promote(
                        repository, options.source, options.target, despite_freeze=options.despite_freeze
                    )
                )
            case "rollback":
                print(
                    commands.rollback(
                        repository,
                        options.environment,
                        to=options.to,
                        seen=options.seen,
                        reason=options.reason,
                    )
                )
            case "pardon":
                print(commands.pardon(repository, options.digest, reason=options.reason))
            case "freeze":
                print(
                    commands.freeze(
                        repository,
                        options.environment,
                        until=options.until,
                        reason=options.reason,
                        since=options.since,
                    )
                )
            case "thaw":
                print(commands.thaw(repository, options.environment, reason=options.reason))
            case "guard":
                _guard(repository)
            case "verdicts":
                _verdicts(repository)
            case _:
                return _show(repository, options)
    return 0


def _show(repository: git.Repository, options: argparse.Namespace) -> int:
    """What only looks."""
    match options.command:
        case "history":
            _history(repository, options)
        case "diff":
            found = difference.promoting(repository, options.source, options.target, more=options.values)
            Console(highlight=False).print(difference.shown(found), soft_wrap=True)
        case "running":
            print(commands.running(repository, options.environment))
        case "scanned":
            key = attestations.public_key_of(options.key)
            print(commands.scanned(options.image, key, critical_only=options.critical))
        case "verify":
            release = commands.current(repository, options.environment)
            print(
                verify.verify(
                    options.url,
                    verify.Prometheus(options.prometheus, os.environ.get(TOKEN_VARIABLE, "")),
                    namespace=f"crm-{options.environment}",
                    version=release.image.version,
                    seconds=60 * options.minutes,
                )
            )
        case "status":
            if options.watch:
                return status_watch.watch(repository)
            return status.show(repository, as_json=options.json)
    return 0


def _history(repository: git.Repository, options: argparse.Namespace) -> None:
    found = history.events(repository, fetch_existing(repository))
    if options.figures:
        since = datetime.now(tz=UTC) - timedelta(days=_FIGURES_DAYS)
        names = {each.environment: None for each in reversed(found) if each.environment and each.release}
        for name in [options.environment] if options.environment else names:
            print(history_table.sentence(dora.of(name, found, since), _FIGURES_DAYS))
        return
    # A pardon is for all of them.
    shown = [
        each for each in found if not options.environment or each.environment in (options.environment, None)
    ]
    shown = shown[: options.number]
    if options.json:
        print(json.dumps([history_table.as_json(each) for each in shown], indent=2))
    else:
        Console().print(history_table.table(shown) if shown else "Nothing has been released yet.")


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"a number from 1 up, not {text!r}")
    return int(text)


def _verdicts(repository: git.Repository) -> None:
    """Until SIGTERM, or Ctrl-C."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    key, sbom_key = (
        image_policy.key_from(variable, os.environ.get(variable, ""))
        for variable in (image_policy.KEY_VARIABLE, image_policy.SBOM_KEY_VARIABLE)
    )
    registries = image_policy.registries_from(os.environ.get(image_policy.REGISTRIES_VARIABLE, ""))
    asked = image_policy.Security(repository, key, registries, sbom_key)
    port = os.environ.get(PORT_VARIABLE, "")
    if not port.isdecimal():
        raise Refused(f"{PORT_VARIABLE} must be the port to answer at, not {port!r}.")
    both = Health()
    with server.serving(int(port), lambda path: server.verdict(path, asked, both)):
        stopped.wait()


def _guard(repository: git.Repository) -> None:
    """Until SIGTERM, or Ctrl-C."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    named = os.environ.get(ENVIRONMENTS_VARIABLE, "")
    environments = named.split(",") if named else ENVIRONMENTS
    promotions = auto_promotion.parse(os.environ.get(auto_promotion.VARIABLE, ""), environments)
    told = people(os.environ.get(PEOPLE_VARIABLE, ""))
    prometheus = os.environ.get(PROMETHEUS_VARIABLE, "").rstrip("/")
    guard = Guard(Cluster.from_here(), repository, environments, prometheus=prometheus)
    port = os.environ.get(PORT_VARIABLE, "")
    with contextlib.ExitStack() as besides:
        if port.isdecimal():
            besides.enter_context(server.serving(int(port), lambda path: server.answer(path, guard)))
        if prometheus:
            prober = Prober(Cluster.from_here(), environments, prometheus, liveness=guard.liveness)
            besides.enter_context(probing(prober, stopped))
        another = besides.enter_context(git.opened(repository.remote, Path.cwd(), GIT_SECONDS))
        announcer = Announcer(told, guard.started, partial(request_counts.asked, prometheus))
        rounds = Rounds(
            Cluster.from_here(),
            another,
            environments,
            promotions,
            guard.records.known,
            announcer=announcer,
            liveness=guard.liveness,
        )
        besides.enter_context(going(rounds, stopped))
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

    for each in (release, promote):
        each.add_argument(
            "--despite-freeze", metavar="REASON", help="although the environment is frozen; for the message"
        )

    rollback = command("rollback", "Give an environment the release before that reached everybody.")
    rollback.add_argument("environment", metavar="ENVIRONMENT")
    rollback.add_argument(
        "--to", metavar="COMMIT", help="the release at this commit of the branch environments"
    )
    rollback.add_argument(
        "--from",
        dest="seen",
        metavar="VERSION",
        help="or IMAGE, as you saw it there: nothing is changed if it is left already",
    )
    rollback.add_argument("--reason", metavar="TEXT", help="why, for the commit message")

    pardon = command("pardon", "Let an image be released again that the guard has quarantined.")
    pardon.add_argument("digest", metavar="DIGEST", help="sha256:…")
    pardon.add_argument("--reason", metavar="TEXT", required=True, help="why, for the commit message")

    freeze = command("freeze", "Let an environment take no release for some time; ways back stay open.")
    freeze.add_argument("environment", metavar="ENVIRONMENT")
    freeze.add_argument("--until", metavar="TIME", required=True, help="like '2026-12-27 08:00', in UTC")
    freeze.add_argument("--from", dest="since", metavar="TIME", help="else from now on")
    freeze.add_argument("--reason", metavar="TEXT", required=True, help="why, for whoever is refused")

    thaw = command("thaw", "End an environment's freeze before its time.")
    thaw.add_argument("environment", metavar="ENVIRONMENT")
    thaw.add_argument("--reason", metavar="TEXT", required=True, help="why, for the commit message")

    command(
        "guard",
        "Watch the environments until stopped: after an abort, put Git back to the release before and say why.",
    )

    command(
        "verdicts",
        "Answer over HTTP, until stopped, whether an image may be released: the analyses' question `security`.",
    )

    diff = command(
        "diff",
        "Show what promoting FROM to TO would change in TO: the chart of both releases, rendered with TO's own"
        " strategy and settings as Argo CD does.",
    )
    diff.add_argument("source", metavar="FROM")
    diff.add_argument("target", metavar="TO")
    diff.add_argument(
        "--values",
        metavar="FILE",
        action="append",
        default=[],
        help="one more value file of the revision, where Argo CD is told one (extraValueFiles)",
    )

    told = command("history", "Show what was released when, by whom and why, newest first.")
    told.add_argument("environment", metavar="ENVIRONMENT", nargs="?", help="else all")
    told.add_argument("-n", dest="number", metavar="N", type=_number, default=20, help="how many (20)")
    told.add_argument("--json", action="store_true", help="as JSON")
    told.add_argument(
        "--figures",
        action="store_true",
        help=f"instead: deployments of the last {_FIGURES_DAYS} days, how many failed, how soon Git went back",
    )

    _asked_by_the_pipeline(command)

    shown = command("status", "Show what Git, Argo Rollouts and Argo CD say about each environment.")
    how = shown.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="as JSON")
    how.add_argument("--watch", action="store_true", help="as one live screen, until Ctrl-C")
    return parser


def _asked_by_the_pipeline(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    running = command("running", "Show the image, by its digest, that an environment is to run.")
    running.add_argument("environment", metavar="ENVIRONMENT")

    scanned = command(
        "scanned",
        "Refuse an image whose newest signed scan result tells of critical or high vulnerabilities.",
    )
    scanned.add_argument("image", metavar="IMAGE", help="HOST/NAME@sha256:…")
    scanned.add_argument(
        "--key", required=True, metavar="FILE", help="the scanner's public key, which alone is believed"
    )
    scanned.add_argument("--critical", action="store_true", help="refuse only for critical ones")

    verified = command(
        "verify",
        "Wait until an environment serves its release, and refuse it for bad health, a failed smoke test, too high a"
        " p95 or too many errors.",
    )
    verified.add_argument("environment", metavar="ENVIRONMENT")
    verified.add_argument("--url", required=True, metavar="URL", help="where users reach the CRM there")
    verified.add_argument("--prometheus", required=True, metavar="URL", help="the Prometheus that scrapes it")
    verified.add_argument(
        "--minutes", metavar="N", type=_number, default=30, help="how long to wait at most (30)"
    )
