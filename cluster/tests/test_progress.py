import io

import pytest
from rich.console import Console
from rich.text import Text

from cluster import progress


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    monkeypatch.setattr(progress, "console", Console(highlight=False, width=100, force_terminal=False))
    return made


def test_a_step_says_its_duration_when_it_has_ended(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with progress.step("Build helm"):
        clock.now += 2.5
        assert "✓" not in capsys.readouterr().out
    assert capsys.readouterr().out == "✓ Build helm  2.5 s\n"


def test_minutes_are_told_as_minutes(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with progress.step("Build kubelet"):
        clock.now += 125.9
    assert capsys.readouterr().out == "✓ Build kubelet  2 min 05 s\n"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_step_that_fails_or_is_interrupted_is_not_called_done(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(error)), progress.step("Build helm"):
        raise error
    assert capsys.readouterr().out.startswith("✗ Build helm  ")


def test_a_note_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress.note("Git is there")
    assert capsys.readouterr().out == "· Git is there\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "10 s"), (44, "40 s"), (89, "90 s"), (90, "2 min"), (149, "2 min"), (1780, "30 min")],
)
def test_a_duration_is_told_as_one_would_say_it(seconds: float, said: str) -> None:
    assert progress.about(seconds) == f"about {said}"


def test_without_a_terminal_each_step_says_how_much_of_the_whole_is_left(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    with progress.whole(600):
        with progress.step("Build what is so long that a line of eighty letters lacks room", 60):
            clock.now += 60
        with progress.step("Look", 0):
            pass
        with progress.step("Build helm", 240):
            clock.now += 240
        with progress.step("Start", 300):
            clock.now += 300
    assert capsys.readouterr().out.splitlines() == [
        "✓ Build what is so long that a line of eighty letters lacks room  1 min 00 s  10%, about 9 min left",
        "✓ Look  0.0 s  10%, about 9 min left",
        "✓ Build helm  4 min 00 s  50%, about 5 min left",
        "✓ Start  5 min 00 s  100%",
    ]
    with progress.step("Build helm", 60):
        pass
    assert capsys.readouterr().out == "✓ Build helm  0.0 s\n"


@pytest.mark.parametrize(("takes", "left"), [(1200, 1750), (300, 500)])
def test_what_is_left_follows_the_speed_of_this_machine(takes: float, left: float, clock: Clock) -> None:
    """Half of the work was to take ten minutes here; another ten are left, at this machine's speed."""
    whole = progress.Whole(1200)
    with whole.part("Build kubelet", 600):
        clock.now += takes
    assert whole.left() == pytest.approx(600 * (takes + progress.TRUSTED) / (600 + progress.TRUSTED))
    assert whole.left() == pytest.approx(left, rel=0.35)


def test_a_bar_moves_within_a_step_and_never_back(clock: Clock) -> None:
    whole = progress.Whole(200)
    shown = [whole.share()]
    with whole.part("Build kubelet", 100):
        for _ in range(8):
            clock.now += 25
            shown.append(whole.share())
    with whole.part("Build helm", 0):
        shown.append(whole.share())
    assert shown == sorted(shown)
    assert shown[2] == pytest.approx(0.25)
    assert shown[4:9] == [pytest.approx(0.475)] * 5  # longer than expected: it waits shortly before the end
    assert shown[-1] == pytest.approx(0.5)


def test_steps_side_by_side_count_both(clock: Clock) -> None:
    whole = progress.Whole(100)
    with whole.part("Build kubelet", 60):
        with whole.part("Make the base image", 40):
            clock.now += 40
            assert whole.share() == pytest.approx(0.4 + 0.38)
        clock.now += 30
    assert whole.share() == 1
    assert whole.left() == 0
    assert str(whole) == "100%"


def test_a_terminal_that_cannot_rewrite_a_line_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    monkeypatch.setattr(progress, "console", Console(force_terminal=True, _environ={"TERM": "dumb"}))
    with progress.whole(600), progress.step("Build helm", 300):
        clock.now += 300
    (line,) = capsys.readouterr().out.splitlines()
    assert "50%, about 5 min left" in Text.from_ansi(line).plain


def test_on_a_terminal_one_line_of_its_width_is_rewritten(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    terminal = io.StringIO()
    console = Console(width=80, force_terminal=True, file=terminal, highlight=False)
    monkeypatch.setattr(progress, "console", console)
    with (
        progress.whole(600),
        progress.step("Build Kubernetes, Argo CD, Prometheus and all that is needed", 300),
    ):
        clock.now += 150
        assert progress.Whole.current
        (line,) = console.render_lines(progress.Whole.current, pad=False)
    assert "".join(part.text for part in line) == (
        "━" * 20 + " 25%, about 8 min left  Build Kubernetes, Argo CD, Promethe…"
    )
    # The step's own line says no more than without a bar.
    assert "2 min 30 s\x1b[0m\n" in terminal.getvalue()
    assert progress.Whole.current is None
