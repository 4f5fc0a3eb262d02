import time

import pytest
from rich.console import Console

from cluster import progress


@pytest.fixture(autouse=True)
def _plain_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "console", Console(highlight=False, width=100, force_terminal=False))


def test_a_step_says_its_duration_when_it_has_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 102.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress.step("Build helm"):
        assert "✓" not in capsys.readouterr().out
    assert capsys.readouterr().out == "✓ Build helm  2.5 s\n"


def test_minutes_are_told_as_minutes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 225.9])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress.step("Build kubelet"):
        pass
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
