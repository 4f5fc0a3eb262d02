"""Before synthetic traffic stands in for users: do they ask the new version, and are they answered?"""

from __future__ import annotations

import pytest

from delivery.guard.synthetic_traffic import users_query
from tests.analysis.promtool import Pod, Promtool, near, nothing

NEW, OLD = "7d9f6c5b4", "59c8bd7f6"
QUERY = users_query("production", NEW)
AT = 60


def canary() -> Pod:
    return Pod(NEW, "crm-canary").up()


def test_a_version_that_nobody_asks_has_no_users(promtool: Promtool) -> None:
    promtool.check(([], [near(QUERY, 0, AT)]), ([canary()], [near(QUERY, 0, AT)]))


@pytest.mark.parametrize("a_step", [1, 2, 6])
def test_users_are_counted_by_the_second(promtool: Promtool, a_step: int) -> None:
    promtool.check(([canary().answers("200", f"0+{a_step}x100")], [near(QUERY, a_step / 2, AT)]))


def test_only_users_of_the_new_version_count(promtool: Promtool) -> None:
    pods = [
        canary()
        .answers("200", "0+10x100", endpoint="probe")
        .answers("500", "0+10x100", endpoint="probe")
        .answers("503", "0+10x100", endpoint="health-ready")
        .answers("404", "0+48x100", endpoint="unmatched", caller="stranger"),
        Pod(OLD, "crm-stable").up().answers("200", "0+90x100").answers("500", "0+90x100"),
        Pod(NEW, "crm-canary", "crm-dev").up().answers("200", "0+90x100").answers("500", "0+90x100"),
    ]
    promtool.check((pods, [near(QUERY, 0, AT)]))


def test_a_user_who_met_an_error_is_not_drowned_in_synthetic_requests_for_two_minutes(
    promtool: Promtool,
) -> None:
    """The series begins with its first error, so that `increase` would see none."""
    met = canary().answers("200", "0+1x200").answers("500", "_x20 1x200")
    promtool.check(
        ([met], [near(QUERY, 0.5, 30), nothing(QUERY, AT), nothing(QUERY, 158), near(QUERY, 0.5, 170)])
    )


def test_nor_one_who_waited_too_long(promtool: Promtool) -> None:
    waited = canary().takes([0.2, 2.5])
    promtool.check(([waited], [nothing(QUERY, AT), near(QUERY, 0, 130)]))
    promtool.check(([canary().takes([0.2, 2.0])], [near(QUERY, 0, AT)]))


@pytest.mark.parametrize(("status", "proven"), [("200", "<= bool -4.6"), ("500", ">= bool 4.6")])
def test_synthetic_requests_are_evidence_as_users_requests_are(
    promtool: Promtool, status: str, proven: str
) -> None:
    synthetic = canary().answers(status, "0+10x13 130x900", endpoint="probe")
    evidence = (
        f'crm:verdict_evidence{{question="error-rate", window="total", rollouts_pod_template_hash="{NEW}"}}'
    )
    promtool.check(([synthetic], [near(f"sum({evidence}) {proven}", 1, AT)]))
