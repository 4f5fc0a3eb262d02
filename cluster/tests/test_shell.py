from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import paths, shell
from cluster.errors import ClusterError


def test_a_failure_names_its_log_and_shows_its_last_lines() -> None:
    with pytest.raises(ClusterError) as told:
        shell.run(["sh", "-c", "seq 100 130; echo broken >&2; exit 7"], log="work")
    log = paths.LOGS / "work.log"
    assert str(told.value).startswith(f"sh ended with status 7; see {log}\n")
    assert "  | 130\n  | broken" in str(told.value)
    assert "  | 118" not in str(told.value)
    assert "\n118\n" in log.read_text()


def test_a_failure_shows_no_line_of_an_earlier_command_in_the_same_log() -> None:
    shell.run(["echo", "from before"], log="work")
    with pytest.raises(ClusterError) as told:
        shell.run(["sh", "-c", "echo now; exit 1"], log="work")
    assert "now" in str(told.value)
    assert "from before" not in str(told.value)
    assert "from before" in (paths.LOGS / "work.log").read_text()


def test_a_failure_that_prints_bytes_instead_of_text_is_told_all_the_same() -> None:
    with pytest.raises(ClusterError, match="status 1"):
        shell.run(["sh", "-c", r"printf '\377\n'; exit 1"], log="work")


def test_a_command_gets_its_folder_environment_and_input(tmp_path: Path) -> None:
    shell.run(["sh", "-c", 'echo "$PWD $WORD $(cat)"'], log="w", cwd=tmp_path, env={"WORD": "x"}, stdin="in")
    assert f"{tmp_path} x in\n" in (paths.LOGS / "w.log").read_text()


def test_input_does_not_reach_the_log_by_itself() -> None:
    shell.run(["sh", "-c", "cat > /dev/null"], log="work", stdin="a password")
    assert "a password" not in (paths.LOGS / "work.log").read_text()


@pytest.mark.parametrize("call", [lambda: shell.run(["no-such"], log="w"), lambda: shell.output(["no-such"])])
def test_a_missing_program_is_named(call: Callable[[], object]) -> None:
    with pytest.raises(ClusterError, match=r"^no-such is not installed; "):
        call()


def test_output_is_what_is_printed_and_not_what_is_complained() -> None:
    assert shell.output(["sh", "-c", 'echo "$WORD"; echo oh >&2'], env={"WORD": "good"}) == "good\n"


def test_output_of_a_failure_is_an_error_with_the_complaint() -> None:
    with pytest.raises(ClusterError, match=r"^sh -c .* ended with status 3: oh$"):
        shell.output(["sh", "-c", "echo oh >&2; exit 3"])


def test_an_answer_that_does_not_come_is_waited_for_in_vain() -> None:
    with pytest.raises(ClusterError, match=r"^sleep 30 gave no answer within 0 s\.$"):
        shell.output(["sleep", "30"], timeout=0.1)


def test_succeeds_says_whether_it_did_in_time() -> None:
    assert shell.succeeds(["sh", "-c", '[ "$WORD" = x ]'], env={"WORD": "x"})
    assert not shell.succeeds(["false"])
    assert not shell.succeeds(["no-such"])
    assert not shell.succeeds(["sleep", "30"], timeout=0.1)
