import os
from pathlib import Path

import pytest

from cluster import packages, paths
from cluster.errors import ClusterError
from cluster.tests.programs import Programs


@pytest.fixture(autouse=True)
def _bare_machine(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is on PATH but what a test puts there; apt-get "installs" a program for a package `hello`."""
    monkeypatch.setenv("PATH", str(programs.folder))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages, "PROGRAMS", {"hello": "hello", "deep": f"{tmp_path}/lib/*/deep"})
    program = programs.folder / "hello"
    programs.add(
        "apt-get",
        f'echo "$DEBIAN_FRONTEND" >> "$calls"\n[ "$1" = update ] || {{ echo > {program}; /bin/chmod +x {program}; }}',
    )


def test_what_is_here_is_not_missing(programs: Programs, tmp_path: Path) -> None:
    assert packages.missing(("hello", "deep")) == ["hello", "deep"]
    programs.add("hello")
    programs.add("deep", at=tmp_path / "lib" / "15" / "deep")
    assert packages.missing(("hello", "deep")) == []


def test_what_is_missing_is_installed_without_questions(programs: Programs) -> None:
    packages.install(("hello",))
    assert programs.calls("apt-get") == [
        "update",
        "noninteractive",
        "install --yes --no-install-recommends hello",
        "noninteractive",
    ]
    packages.install(("hello",))
    assert len(programs.calls("apt-get")) == 4


def test_who_may_not_install_is_told_the_command(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError) as told:
        packages.install(("hello", "deep"))
    assert str(told.value) == "hello, deep must be installed first: sudo apt-get install hello deep"
    assert programs.calls("apt-get") == []


def test_a_package_that_brought_no_program_is_named_with_the_log() -> None:
    with pytest.raises(ClusterError) as told:
        packages.install(("hello", "deep"))
    assert str(told.value) == f"Debian did not provide deep; see {paths.LOGS / 'packages.log'}"


def test_the_node_needs_no_database() -> None:
    assert not {"postgresql", "redis-server"} & set(packages.NODE)
    assert {"postgresql", "prometheus-alertmanager", "redis-server", "git", "jq"} == set(packages.SERVERS)


class TestAnotherPostgreSQL:
    @pytest.fixture(autouse=True)
    def _way(self, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
        programs.add("apt.postgresql.org.sh")
        monkeypatch.setattr(packages, "OTHER_POSTGRESQL", programs.folder / "apt.postgresql.org.sh")

    def test_comes_from_its_own_project(self, programs: Programs) -> None:
        packages.install_postgresql("99")
        assert programs.calls("apt.postgresql.org.sh") == ["-y"]
        assert "install --yes --no-install-recommends postgresql-99" in programs.calls("apt-get")

    def test_is_told_by_its_number(self) -> None:
        with pytest.raises(ClusterError, match=r"^POSTGRESQL must be a version like 17, not '17; reboot'\.$"):
            packages.install_postgresql("17; reboot")

    def test_is_installed_by_who_may(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(ClusterError, match="sudo make servers POSTGRESQL=99"):
            packages.install_postgresql("99")
