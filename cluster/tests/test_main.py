import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import (
    __main__,
    addresses,
    cleanup,
    forecast,
    go_tools,
    image_builder,
    istio,
    kyverno,
    node,
    packages,
    paths,
    platform,
    preflight,
    processes,
    progress,
)
from cluster.__main__ import main
from cluster.errors import ClusterError


@pytest.fixture(autouse=True)
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been done, in order: nothing here starts, builds or removes anything."""
    said: list[str] = []

    def says(sentence: str) -> Callable[..., str]:
        def instead(*arguments: object, **named: object) -> str:
            said.append(sentence.format(*arguments, **named))
            return "the layout"

        return instead

    for place, name, sentence in (
        (preflight, "check", "look"),
        (preflight, "root", "root?"),
        (packages, "install", "packages"),
        (go_tools, "build", "build"),
        (image_builder, "platform_image", "system"),
        (image_builder, "layout", "images"),
        (node, "up", "node with {0}"),
        (platform, "up", "platform local={local}"),
        (platform, "manifests", "read"),
        (istio, "up", "istio"),
        (kyverno, "up", "kyverno"),
        (cleanup, "everything", "remove"),
    ):
        monkeypatch.setattr(place, name, says(sentence))
    monkeypatch.setattr(forecast, "seconds", lambda: 600.0)
    return said


def refuse(monkeypatch: pytest.MonkeyPatch, place: object, name: str, error: BaseException) -> None:
    def instead(*_arguments: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(place, name, instead)


def test_up_goes_from_a_look_at_the_machine_to_the_platform(
    done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up"]) == 0
    assert done[:2] == ["look", "packages"]
    assert {*done[2:4]} == {"build", "system"}  # side by side
    assert done[4] == "images"
    assert {*done[5:7]} == {"node with the layout", "read"}
    assert done[7:] == ["platform local=True"]
    told = capsys.readouterr().out
    assert told.startswith("First run: builds ")
    for place in (
        addresses.ARGOCD,
        addresses.PROMETHEUS,
        addresses.GIT,
        paths.ARGOCD_PASSWORD.name,
        "cluster env",
    ):
        assert str(place) in told.replace("\n", "")
    assert re.search(r"up took \d s", told)


def test_what_is_done_after_up_is_part_of_what_it_costs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forecast, "sentence", lambda takes, then: f"{takes:.0f} s, {then:.0f} of them later.")
    with __main__.started(then=300):
        assert capsys.readouterr().out == "900 s, 300 of them later.\n"
        with progress.step("Release 1.0", 60):
            pass
        assert "  7%, about " in capsys.readouterr().out


def test_a_base_image_that_cannot_be_made_is_told(
    monkeypatch: pytest.MonkeyPatch, done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, image_builder, "platform_image", ClusterError("No Debian."))
    assert main(["up"]) == 1
    assert capsys.readouterr().err == "cluster: No Debian.\n"
    assert done == ["look", "packages", "build"]


def test_a_machine_that_is_refused_stays_as_it_was(
    done: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, preflight, "check", ClusterError("Too small."))
    assert main(["up"]) == 1
    assert done == []
    assert list(paths.CACHE.iterdir()) == []
    assert capsys.readouterr().err == "cluster: Too small.\n"


def test_where_kubeconfig_names_another_cluster_only_the_platform_is_installed(
    done: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    assert main(["up"]) == 0
    assert done == ["build", "read", "platform local=False"]
    told = " ".join(capsys.readouterr().out.split())
    assert "only the platform is installed, into /somewhere/config" in told


def test_istio_is_added_by_its_own_command_only(done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["istio"]) == 0
    assert done == ["root?", "istio"]
    told = capsys.readouterr().out
    assert addresses.ISTIO in told
    assert "istio took 0 s" in told


def test_down_removes_the_cluster(done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == 0
    assert done == ["root?", "remove"]
    assert "down took 0 s" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["up", "istio", "kyverno", "down"])
def test_a_second_run_at_the_same_time_is_refused(
    command: str, done: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def meanwhile(_layout: object) -> None:
        done.clear()
        assert main([command]) == 1
        assert not {"remove", "packages", "build", "istio"} & set(done)

    monkeypatch.setattr(node, "up", meanwhile)
    assert main(["up"]) == 0
    assert capsys.readouterr().err == (
        "cluster: Another `python -m cluster` is at work; wait until it has ended.\n"
    )


def test_the_lock_is_free_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, image_builder, "layout", ClusterError("No space."))
    assert main(["up"]) == 1
    assert main(["down"]) == 0


def test_an_interruption_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, node, "up", KeyboardInterrupt())
    assert main(["up"]) == 130
    assert capsys.readouterr().err == "cluster: Interrupted; the same command goes on where it stopped.\n"


def test_a_cache_that_may_not_be_written_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, go_tools, "build", PermissionError(13, "Permission denied", "/var/cache/x"))
    assert main(["tools"]) == 1
    told = capsys.readouterr().err
    assert told == (
        "cluster: /var/cache/x may not be written; run the same command with sudo, "
        "or set CRM_CLUSTER_CACHE to a folder of yours.\n"
    )


@pytest.mark.parametrize("words", [[], ["upp"], ["up", "now"]])
def test_a_wrong_call_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: python -m cluster" in capsys.readouterr().err


def test_help_tells_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(f"    {command} " in told for command in (*__main__.COMMANDS, "tools"))


def test_tools_prints_the_folder_for_path(done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools", "helm"]) == 0
    assert capsys.readouterr().out == f"{paths.BIN}\n"
    assert done == ["build"]


def test_tools_without_names_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(go_tools, "build", asked.append)
    main(["tools"])
    main(["tools", "helm", "etcd"])
    assert asked == [go_tools.ALL, ["helm", "etcd"]]


def test_servers_are_those_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(packages, "install", asked.append)
    monkeypatch.delenv("POSTGRESQL", raising=False)
    assert main(["servers"]) == 0
    assert asked == [packages.SERVERS]


def test_servers_can_be_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(packages, "install", asked.append)
    monkeypatch.setattr(packages, "install_postgresql", asked.append)
    monkeypatch.setenv("POSTGRESQL", "16")
    assert main(["servers"]) == 0
    assert asked == [packages.SERVERS, "16"]


def exported(text: str) -> dict[str, str]:
    """What a shell has after it has read the text."""
    names = [
        "PATH",
        "KUBECONFIG",
        "DELIVERY_REMOTE",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_KEY_0",
        "GIT_CONFIG_VALUE_0",
    ]
    asked = "\n".join(f'echo "{name}=${name}"' for name in names)
    told = subprocess.run(
        ["sh", "-c", f"{text}\n{asked}"], check=True, capture_output=True, text=True, env={"PATH": "/usr/bin"}
    ).stdout
    return dict(line.split("=", 1) for line in told.splitlines())


def test_env_gives_a_shell_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env"]) == 0
    assert exported(capsys.readouterr().out) == {
        "PATH": f"{paths.BIN}:/usr/bin",
        "KUBECONFIG": str(paths.KUBECONFIG),
        "DELIVERY_REMOTE": addresses.GIT,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": f"store --file={paths.GIT_CREDENTIALS}",
    }


def test_env_leaves_another_cluster_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    assert main(["env"]) == 0
    assert capsys.readouterr().out == f'export PATH="{paths.BIN}:$PATH"\n'


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch, state: Path) -> dict[str, dict[str, str]]:
    """The workloads of each namespace on a node whose programs run."""
    paths.KUBECONFIG.touch()
    found = {
        namespace: {"deployment/x": "1/1"} for namespace in ("kube-system", *platform.NAMESPACES, "forge")
    }
    found[istio.NAMESPACE] = found[kyverno.NAMESPACE] = {}
    monkeypatch.setattr(platform, "ready", lambda namespace: found[namespace])
    monkeypatch.setattr(processes, "running", lambda _name: True)
    return found


def test_status_shows_every_component(
    pods: dict[str, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 0
    told = capsys.readouterr().out
    assert told.count("✓") == 2 + len(pods) - 2  # nobody has asked for Istio and Kyverno
    assert "✗" not in told


def test_status_shows_istio_where_it_was_asked_for(
    pods: dict[str, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    pods[istio.NAMESPACE] = {"deployment/istiod": "0/1"}
    assert main(["status"]) == 1
    captured = capsys.readouterr()
    assert "istio-system" in captured.out
    assert "Not Ready: deployment/istiod;" in captured.err


def test_status_names_what_is_not_ready(
    pods: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pods["argocd"]["deployment/argocd-server"] = "0/1"
    monkeypatch.setattr(processes, "running", lambda name: name != "kubelet")
    assert main(["status"]) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "cluster: Not Ready: kubelet, deployment/argocd-server; `python -m cluster up` repairs the node.\n"
    )
    assert captured.out.count("✗") == 2


def test_status_without_a_cluster_says_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "running", lambda _name: False)
    assert main(["status"]) == 1
    assert (
        capsys.readouterr().err == "cluster: There is no local cluster; `python -m cluster up` makes one.\n"
    )


def test_status_of_another_cluster_asks_for_nothing_of_ours(
    pods: dict[str, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "config").touch()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    del pods["forge"], pods[istio.NAMESPACE], pods[kyverno.NAMESPACE]
    refuse(monkeypatch, processes, "running", AssertionError("asked for our processes"))
    assert main(["status"]) == 0
    assert "argo-rollouts" in capsys.readouterr().out


def test_the_module_ends_with_the_status_of_its_command(tmp_path: Path) -> None:
    environment = {**os.environ, "CRM_CLUSTER_CACHE": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "cluster", "tools", "no-such"],
        cwd=paths.CHECKOUT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("cluster: There is no tool named no-such; there are ")
    assert "Traceback" not in ended.stderr


def test_several_files_in_kubeconfig_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/a/config:/b/config")
    assert main(["up"]) == 1
    assert "KUBECONFIG names several files" in capsys.readouterr().err
