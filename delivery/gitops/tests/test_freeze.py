"""A frozen environment takes no release, and refuses no rollback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delivery.cli.main import main
from delivery.gitops.freeze import FILE, Once, Weekly, parsed
from delivery.tests.hosts import Registry, Remote

HOLIDAYS = (
    '- environments: [production]\n  from: "2020-12-24 00:00"\n  to: "2199-12-27 08:00"\n  reason: holidays\n'
)


@pytest.fixture
def branch(remote: Remote) -> Remote:
    assert main(["init"]) == 0
    return remote


@pytest.fixture
def image(branch: Remote, registry: Registry) -> str:
    return str(registry.push(branch.head, "1.1"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == 1
    return capsys.readouterr().err


def test_release_and_promote_are_refused_with_the_reason_and_the_end(
    branch: Remote, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", "--image", image, "--to", "dev"]) == 0
    tip = branch.commit("environments", {FILE: HOLIDAYS})

    sentence = "production is frozen until 2199-12-27 08:00 UTC (holidays)"
    assert sentence in refused(capsys, "release", "--image", image, "--to", "production")
    assert sentence in refused(capsys, "promote", "dev", "production")
    assert branch.tip("environments") == tip
    assert main(["promote", "dev", "staging"]) == 0, "another environment goes on"


def test_a_person_passes_with_a_reason_that_stands_in_the_message(branch: Remote, image: str) -> None:
    branch.commit("environments", {FILE: HOLIDAYS})
    command = ["release", "--image", image, "--to", "production"]
    assert main([*command, "--despite-freeze", "logins\nfail"]) == 0
    assert "\nDespite-freeze: logins fail\n" in branch.message()


def test_ways_back_are_open(branch: Remote, registry: Registry, image: str) -> None:
    for each in (image, str(registry.push(branch.head, "1.2"))):
        assert main(["release", "--image", each, "--to", "production"]) == 0
    branch.commit("environments", {FILE: HOLIDAYS})
    assert main(["rollback", "production"]) == 0
    branch.commit("environments", {FILE: "- [unfinished\n"})
    assert main(["rollback", "production"]) == 1, "there is no earlier one"
    assert branch.release("production")["image"]["version"] == "1.1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- [unfinished\n", "freeze.yaml on the branch environments is not YAML (line 2)"),
        ("environments: [dev]\n", "line 1: it must be a list"),
        (HOLIDAYS + "- dev\n", "line 5: an entry has the fields"),
        (HOLIDAYS.replace("[production]", "production"), "line 1: environments must be a list"),
        (HOLIDAYS.replace("holidays", '""'), "line 4: reason must say why"),
        (HOLIDAYS.replace("2199-12-27", "2199-02-30"), "line 3: to must be a time like 2026-12-27 08:00"),
        (HOLIDAYS.replace("2199", "1999"), "line 1: from must be before to"),
        (HOLIDAYS.replace("  to:", "  until:"), "line 3: there is no field until"),
        (HOLIDAYS + '  weekly: "Fri 16:00 - Mon 08:00"\n', "either from and to or weekly, not both"),
        ("- environments: [dev]\n  weekly: Fri\n  reason: x\n", "line 2: weekly must be like"),
        ("- environments: [dev]\n  weekly: Fri 25:00 - Mon 08:00\n  reason: x\n", "line 2: weekly must be"),
    ],
)
def test_a_file_that_cannot_be_read_lets_no_release_through_and_says_the_line(
    branch: Remote, image: str, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    branch.commit("environments", {FILE: text})
    command = ["release", "--image", image, "--to", "dev"]
    error = refused(capsys, *command)
    assert sentence in error
    assert error.count("\n") == 1
    assert main([*command, "--despite-freeze", "it burns"]) == 0
    assert "\nDespite-freeze: it burns\n" in branch.message()


def test_times_may_be_written_as_yaml_knows_them() -> None:
    (window,) = parsed(
        "- environments: [dev]\n  from: 2026-01-01T00:00:00+01:00\n  to: 2026-01-02\n  reason: x\n"
    )
    assert window.when == Once(datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-02 15:59", None),  # a Friday
        ("2026-01-02 16:00", "2026-01-05 08:00"),
        ("2026-01-04 12:30", "2026-01-05 08:00"),
        ("2026-01-05 07:59", "2026-01-05 08:00"),
        ("2026-01-05 08:00", None),
    ],
)
def test_a_weekly_window_goes_over_the_end_of_the_week(now: str, until: str | None) -> None:
    (window,) = parsed('- environments: [dev]\n  weekly: "Fri 16:00 - Mon 08:00"\n  reason: x\n')
    assert isinstance(window.when, Weekly)
    ends = window.when.until(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert ends == (datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None)


def test_freeze_and_thaw_are_commits_that_keep_what_others_wrote(
    branch: Remote, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weekly = """\
# of the board
- environments: [production, staging]
  weekly: "Mon 00:00 - Mon 00:01"
  reason: "a minute"
"""
    branch.commit("environments", {FILE: weekly})
    until = f"{datetime.now(tz=UTC) + timedelta(days=1):%Y-%m-%d %H:%M}"

    assert main(["freeze", "production", "--until", until, "--reason", 'a "big"\nday']) == 0

    assert branch.subjects()[0] == f"freeze production until {until} UTC"
    assert branch.git("show", f"environments:{FILE}").startswith(weekly)
    command = ["release", "--image", image, "--to", "production"]
    assert f'production is frozen until {until} UTC (a "big" day)' in refused(capsys, *command)

    assert main(["thaw", "production", "--reason", "the day is over"]) == 0

    assert branch.subjects()[0] == "thaw production"
    assert "the day is over" in branch.message()
    assert '"Mon 00:00 - Mon 00:01"' in branch.git("show", f"environments:{FILE}")
    assert main(command) == 0
    assert "no freeze that could end" in refused(capsys, "thaw", "production", "--reason", "x")


@pytest.mark.usefixtures("branch")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--until", "tomorrow", "--reason", "x"],
            "--until is a time like 2026-12-27 08:00 (UTC), not 'tomorrow'",
        ),
        (["--until", "2020-01-01", "--reason", "x"], "after now, not at 2020-01-01 00:00 UTC"),
        (["--until", "2199-01-01", "--from", "2199-01-02", "--reason", "x"], "must end after its start"),
        (["--until", "2199-01-01", "--reason", " "], "needs a reason"),
    ],
)
def test_a_freeze_that_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert sentence in refused(capsys, "freeze", "production", *arguments)
