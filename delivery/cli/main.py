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
from typing import Any

from rich.console import Console

from delivery.cli import commands, diff, history_table, status, status_watch, verify
from delivery.errors import Refused
from delivery.gitops import dora, git, history
from delivery.gitops.branch import fetch_existing
from delivery.guard import request_counts, server
from delivery.guard.config import PORT_VARIABLE, GuardConfig
from delivery.guard.health import Health
from delivery.guard.image_policy import ImagePolicy
from delivery.guard.maintenance_loop import MaintenanceLoop
from delivery.guard.notifier import Notifier
from delivery.guard.rollback_loop import GIT_SECONDS, RollbackLoop
from delivery.guard.synthetic_traffic import SyntheticTraffic
from delivery.images import attestations
from delivery.kubernetes.client import Cluster

REMOTE_VARIABLE = "DELIVERY_REMOTE"
# Of `verify`: the token that Prometheus requires, if any.
TOKEN_VARIABLE = "DELIVERY_PROMETHEUS_TOKEN"  # noqa: S105  # a variable's name
_METRICS_DAYS = 30
# Of version 1.0; they go on for two releases.
_FORMER_NAMES = {"pardon": "unquarantine", "scanned": "check-scan", "running": "current-image"}


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    words[:1] = [_FORMER_NAMES.get(word, word) for word in words[:1]]
    try:
        return _run(**vars(_parser().parse_args(words)))
    except Refused as refusal:
        print(f"delivery: {refusal}", file=sys.stderr)
        return 3 if isinstance(refusal, attestations.Vulnerable) else 1
    except KeyboardInterrupt:
        print(
            "delivery: stopped; the branch is as it was, or has the whole change: delivery status",
            file=sys.stderr,
        )
        return 130


def _run(
    *, run: Callable[..., str | int | None], remote: str | None, patience: float, **options: object
) -> int:
    remote = remote or os.environ.get(REMOTE_VARIABLE) or git.origin_of(Path.cwd())
    with git.opened(remote, Path.cwd(), patience) as repository:
        done = run(repository, **options)
    if isinstance(done, str):
        print(done)
        return 0
    return done or 0


def _history(
    repository: git.Repository, *, environment: str | None, number: int, as_json: bool, metrics: bool
) -> None:
    found = history.events(repository, fetch_existing(repository))
    if metrics:
        since = datetime.now(tz=UTC) - timedelta(days=_METRICS_DAYS)
        names = {each.environment: None for each in reversed(found) if each.environment and each.release}
        for name in [environment] if environment else names:
            print(history_table.sentence(dora.of(name, found, since), _METRICS_DAYS))
        return
    # The quarantine is of all environments.
    shown = [each for each in found if not environment or each.environment in (environment, None)][:number]
    if as_json:
        print(json.dumps([history_table.as_json(each) for each in shown], indent=2))
    else:
        Console().print(history_table.table(shown) if shown else "Nothing has been released yet.")


def _diff(repository: git.Repository, *, source: str, target: str, values: Sequence[str]) -> None:
    found = diff.promoting(repository, source, target, more=values)
    Console(highlight=False).print(diff.shown(found), soft_wrap=True)


def _verify(repository: git.Repository, *, environment: str, url: str, prometheus: str, minutes: int) -> str:
    return verify.verify(
        url,
        verify.Prometheus(prometheus, os.environ.get(TOKEN_VARIABLE, "")),
        namespace=f"crm-{environment}",
        version=commands.current(repository, environment).image.version,
        seconds=60 * minutes,
    )


def _status(repository: git.Repository, *, as_json: bool, watch: bool) -> int:
    return status_watch.watch(repository) if watch else status.show(repository, as_json=as_json)


def _verdicts(repository: git.Repository) -> None:
    """Until SIGTERM, or Ctrl-C."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    config = GuardConfig.read(os.environ)
    if config.port is None:
        raise Refused(f"{PORT_VARIABLE} must be the port to answer at.")
    policy = ImagePolicy(repository, config.key, config.registries, config.sbom_key)
    health = Health()
    with server.serving(config.port, lambda path: server.verdict(path, policy, health)):
        stopped.wait()


def _guard(repository: git.Repository) -> None:
    """Until SIGTERM, or Ctrl-C."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    config = GuardConfig.read(os.environ)
    environments, prometheus = config.environments, config.prometheus
    rollbacks = RollbackLoop(Cluster.from_here(), repository, environments, prometheus=prometheus)
    liveness = rollbacks.liveness
    with contextlib.ExitStack() as threads:
        if config.port is not None:
            threads.enter_context(server.serving(config.port, lambda path: server.answer(path, rollbacks)))
        if prometheus:
            traffic = SyntheticTraffic(Cluster.from_here(), environments, prometheus, liveness=liveness)
            threads.enter_context(traffic.running(stopped))
        maintenance = MaintenanceLoop(
            Cluster.from_here(),
            threads.enter_context(git.opened(repository.remote, Path.cwd(), GIT_SECONDS)),
            environments,
            config.promotions,
            rollbacks.records.known,
            notifier=Notifier(config.channels, rollbacks.started, partial(request_counts.fetch, prometheus)),
            liveness=liveness,
        )
        threads.enter_context(maintenance.running(stopped))
        rollbacks.run(stopped)


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"a number from 1 up, not {text!r}")
    return int(text)


def _option(*names: str, **settings: Any) -> argparse.ArgumentParser:
    """For the parents of a command's parser."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument(*names, **settings)
    return made


def _parser() -> argparse.ArgumentParser:
    """Each command has the function to run, whose parameters are named as the command's options are stored."""
    parser = argparse.ArgumentParser(
        prog="delivery",
        description="Deploy, promote and roll back: each is one commit on the branch environments.",
    )
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")
    remote = f"the Git remote (else ${REMOTE_VARIABLE}, else origin of the checkout you are in)"
    common = _option("--remote", metavar="URL", help=remote)

    def command(
        name: str,
        meaning: str,
        run: Callable[..., str | int | None],
        *options: argparse.ArgumentParser,
        patience: float = git.PATIENCE_SECONDS,
    ) -> None:
        made = parsers.add_parser(name, parents=[common, *options], help=meaning, description=meaning)
        made.set_defaults(run=run, patience=patience)

    environment = _option("environment", metavar="ENVIRONMENT")
    source, target = _option("source", metavar="FROM"), _option("target", metavar="TO")
    why = "why, for the commit message"
    reason = _option("--reason", metavar="TEXT", required=True, help=why)
    despite = "although the environment is frozen; for the message"
    despite_freeze = _option("--despite-freeze", metavar="REASON", help=despite)
    as_json: dict[str, Any] = {"dest": "as_json", "action": "store_true", "help": "as JSON"}

    command("init", "Make the branch environments on the remote.", commands.init)
    command(
        "release",
        "Give an environment a new image and the commit it was built from.",
        commands.release,
        _option("--image", required=True, metavar="IMAGE", help="HOST/NAME[:TAG]@sha256:… or HOST/NAME:TAG"),
        _option("--to", required=True, metavar="ENVIRONMENT"),
        _option("--revision", metavar="COMMIT", help="instead of the image's own label"),
        _option("--version", metavar="NAME", help="instead of the image's own label"),
        _option(
            "--strategy", metavar="NAME", help="a file of rollouts/ (else the environment keeps its own)"
        ),
        despite_freeze,
    )
    command(
        "promote",
        "Copy an environment's release to the next one, which keeps its own strategy.",
        commands.promote,
        source,
        target,
        despite_freeze,
    )
    seen = "or IMAGE, as you saw it there: nothing is changed if it was rolled back already"
    command(
        "rollback",
        "Give an environment its last fully promoted release again.",
        commands.rollback,
        environment,
        _option("--to", metavar="COMMIT", help="the release at this commit of the branch environments"),
        _option("--from", dest="seen", metavar="VERSION", help=seen),
        _option("--reason", metavar="TEXT", help=why),
    )
    command(
        "unquarantine",
        "Let an image be released again that the guard has quarantined.",
        commands.unquarantine,
        _option("digest", metavar="DIGEST", help="sha256:…"),
        reason,
    )
    command(
        "freeze",
        "Let an environment take no release for some time, but rollbacks.",
        commands.freeze,
        environment,
        _option("--until", metavar="TIME", required=True, help="like '2026-12-27 08:00', in UTC"),
        _option("--from", dest="since", metavar="TIME", help="else from now on"),
        reason,
    )
    command("thaw", "End an environment's freeze before its time.", commands.thaw, environment, reason)

    how = argparse.ArgumentParser(add_help=False)
    either = how.add_mutually_exclusive_group()
    either.add_argument("--json", **as_json)
    either.add_argument("--watch", action="store_true", help="as one live screen, until Ctrl-C")
    meaning = "Show what Git, Argo Rollouts and Argo CD report about each environment."
    command("status", meaning, _status, how)
    metrics = f"instead: deployments of the last {_METRICS_DAYS} days, how many failed, how soon they were rolled back"
    command(
        "history",
        "Show what was released when, by whom and why, newest first.",
        _history,
        _option("environment", metavar="ENVIRONMENT", nargs="?", help="else all"),
        _option("-n", dest="number", metavar="N", type=_number, default=20, help="how many (20)"),
        _option("--json", **as_json),
        _option("--metrics", action="store_true", help=metrics),
        _option("--figures", dest="metrics", action="store_true", help=argparse.SUPPRESS),
    )
    values = "one more value file of the revision, where Argo CD has one (extraValueFiles)"
    command(
        "diff",
        "Show what promoting FROM to TO would change in TO: the chart of both releases, rendered with TO's own"
        " strategy and settings as Argo CD does.",
        _diff,
        source,
        target,
        _option("--values", metavar="FILE", action="append", default=[], help=values),
    )

    meaning = "Show the image, by its digest, that an environment has in Git."
    command("current-image", meaning, commands.current_image, environment)
    command(
        "check-scan",
        "Refuse an image whose newest signed scan result has critical or high vulnerabilities.",
        commands.check_scan,
        _option("image", metavar="IMAGE", help="HOST/NAME@sha256:…"),
        _option("--key", required=True, metavar="FILE", help="the public key of the only trusted scanner"),
        _option("--critical", action="store_true", help="refuse only for critical ones"),
    )
    minutes = "how long to wait at most (30)"
    command(
        "verify",
        "Wait until an environment serves its release, and refuse it for bad health, a failed smoke test, too high a"
        " p95 or too many errors.",
        _verify,
        environment,
        _option("--url", required=True, metavar="URL", help="where users reach the CRM there"),
        _option("--prometheus", required=True, metavar="URL", help="the Prometheus that scrapes it"),
        _option("--minutes", metavar="N", type=_number, default=30, help=minutes),
    )

    meaning = "Roll back aborted releases in Git, promote and tidy up by itself, until stopped."
    command("guard", meaning, _guard, patience=GIT_SECONDS)
    meaning = "Answer the HTTP requests of the analyses `security` and `health`, until stopped."
    command("verdicts", meaning, _verdicts, patience=GIT_SECONDS)
    return parser
