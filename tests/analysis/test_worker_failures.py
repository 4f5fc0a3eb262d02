"""Do the new release's tasks fail? Asked of the shipped rules, with the release in the version's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.analysis.promtool import Expect, Pod, Promtool, Worker, near, nothing

if TYPE_CHECKING:
    from tests.analysis.arithmetic import Bets
    from tests.analysis.templates import Template

NEW, OLD = "7d9f6c5b4", "59c8bd7f6"
NEW_RELEASE, OLD_RELEASE = "a1b2c3d4e5", "0f1e2d3c4b"


@pytest.fixture
def query(templates: dict[str, Template]) -> str:
    return templates["worker-failures-watch"].query_for(NEW, OLD, NEW_RELEASE)


def worker(started: int, failed: int, release: str = NEW_RELEASE) -> Worker:
    return Worker(release).up().runs(f"0 {started}x1000", f"0 {failed}x1000")


def stable_web(errors: str = "0x1000") -> Pod:
    pod = Pod(OLD, "crm-stable").answers("200", "0+100x1000").answers("500", errors)
    return pod.up(crm_release=OLD_RELEASE)


@pytest.mark.parametrize(
    ("started", "failed", "bad"),
    [
        (1, 0, 0),
        (1, 1, 0),  # one stray failure
        (2, 2, 0),  # evidence 4.18, just below
        (3, 3, 1),
        (40, 1, 0),
        (122, 0, 0),
        (400, 20, 0),
        (100, 17, 1),
        (3000, 147, 0),  # 4.9 %
        (3000, 153, 1),  # 5.1 %
    ],
)
def test_the_evidence_is_that_of_the_other_questions(
    promtool: Promtool, bets: Bets, query: str, started: int, failed: int, bad: int
) -> None:
    evidence = max(bets.total(started, failed), float(bets.evidence(started, failed)))
    expected = [
        near(query, evidence, 2, 1e-6 * (started + 1)),
        Expect(f"({query}) >= bool 4.6", 2, {"{}": bad}),
    ]
    promtool.check(*(([*others, worker(started, failed)], expected) for others in ([], [stable_web()])))


def test_tasks_of_every_kind_and_worker_add_up(promtool: Promtool, query: str) -> None:
    first = Worker(NEW_RELEASE).up().runs("0 2x9", "0 2x9")
    second = Worker(NEW_RELEASE, "crm-worker-2").up().runs("0 9x9", "0x9", task="sweep")
    second.runs("0 1x9", "0 1x9")
    count = 'sum(crm:verdict_{}{{question="worker-failures", window="total"}})'
    promtool.check(
        ([first, second], [near(count.format("requests"), 12, 2), near(count.format("bad"), 3, 2)])
    )


def test_no_task_is_no_answer(promtool: Promtool, query: str) -> None:
    elsewhere = Worker(NEW_RELEASE, namespace="crm-staging").up().runs("0 9x9", "0 9x9")
    before = worker(9, 9, OLD_RELEASE)
    promtool.check(*((pods, [nothing(query, 2)]) for pods in ([], [elsewhere], [before], [stable_web()])))


def test_a_number_that_is_none_proves_nothing(promtool: Promtool, query: str) -> None:
    pod = Worker(NEW_RELEASE).up().runs("NaN NaN NaN", "NaN NaN NaN")
    promtool.check(([pod], [nothing(f"({query}) >= 4.6", 4)]))


def test_a_restarted_worker_counts_on(promtool: Promtool, query: str) -> None:
    pod = Worker(NEW_RELEASE).up().runs("0 2x5 stale", "0 2x5 stale")
    pod.counts("celery_tasks_started_total", "_x8 0 1x20", task="send_email", container_id="c2")
    pod.counts("celery_tasks_failed_total", "_x8 0 1x20", task="send_email", container_id="c2")
    count = 'sum(crm:verdict_{}{{question="worker-failures", window="total"}})'
    promtool.check(([pod], [near(count.format("requests"), 3, 24), near(count.format("bad"), 3, 24)]))


def test_what_breaks_late_is_seen(promtool: Promtool, query: str) -> None:
    pod = Worker(NEW_RELEASE).up().runs("0+1x400", "0x300 1+1x100")
    promtool.check(
        ([pod], [nothing(f"({query}) >= 4.6", 598), Expect(f"({query}) >= bool 4.6", 632, {"{}": 1})])
    )


def test_an_outage_that_fails_the_stable_versions_requests_is_not_the_releases(
    promtool: Promtool, query: str
) -> None:
    promtool.check(([stable_web("0 60+60x1000"), worker(9, 9)], [nothing(query, 20)]))


def test_tasks_that_failed_in_the_stable_release_too_are_not_the_new_ones_fault(
    promtool: Promtool, query: str
) -> None:
    replaced = Worker(OLD_RELEASE, "crm-worker-0").up("1x20 stale").runs("0 9x19 stale", "0 9x19 stale")
    bad = Worker(NEW_RELEASE).up("_x25 1x100").runs("_x25 0 9x100", "_x25 0 9x100")
    promtool.check(([stable_web(), replaced, bad], [nothing(query, 80)]))


def test_tasks_that_failed_in_an_aborted_release_excuse_nobody(promtool: Promtool, query: str) -> None:
    aborted = Worker("another", "crm-worker-0").up("1x20 stale").runs("0 9x19 stale", "0 9x19 stale")
    bad = Worker(NEW_RELEASE).up("_x25 1x100").runs("_x25 0 9x100", "_x25 0 9x100")
    promtool.check(([stable_web(), aborted, bad], [Expect(f"({query}) >= bool 4.6", 80, {"{}": 1})]))
