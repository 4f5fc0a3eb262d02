from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from cluster import paths
from delivery.drills import argocd, local
from delivery.drills.errors import NotReady


def test_a_command_says_what_went_wrong() -> None:
    assert local.output(["cat"], stdin="hello") == "hello"
    with pytest.raises(NotReady, match="no-such-program is not on PATH"):
        local.output(["no-such-program"])
    with pytest.raises(NotReady, match="ended with status 3: because"):
        local.output(["sh", "-c", "echo because >&2; exit 3"])
    with pytest.raises(NotReady, match="sleep 9 gave no answer within 0 s"):
        local.output(["sleep", "9"], seconds=0.1)


def test_drills_need_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    with pytest.raises(NotReady, match="start one with `python -m cluster up`"):
        local.prepare()


def test_commands_find_the_cluster_and_its_git_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = tmp_path / "kubeconfig"
    there.touch()
    for name, value in local.variables().items():
        monkeypatch.setenv(name, value if name == "PATH" else "")
    monkeypatch.setenv("KUBECONFIG", str(there))

    local.prepare()

    assert local.output(["sh", "-c", "echo $KUBECONFIG $DELIVERY_REMOTE"]) == f"{there} {local.GIT}\n"
    assert local.output(["git", "config", "credential.helper"]).startswith("store --file=")
    assert local.output(["git", "var", "GIT_AUTHOR_IDENT"]).startswith(
        "Delivery drills <drills@crm.localhost>"
    )


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n", encoding="utf-8")
    monkeypatch.setattr(paths, "ARGOCD_PASSWORD", file)


def answering(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    def post(_: str, *, json: dict[str, str], timeout: float) -> httpx.Response:
        assert json == {"username": "admin", "password": "secret"}
        return httpx.Response(status, json={"token": "t0ken"})

    monkeypatch.setattr(httpx, "post", post)


@pytest.mark.usefixtures("password")
def test_argocd_syncs_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 200)
    seen: list[object] = []

    def output(command: list[str], *, env: dict[str, str], seconds: float) -> str:
        seen.extend([command[:4], env])
        return "Phase: Succeeded"

    monkeypatch.setattr(local, "output", output)

    assert argocd.sync("crm-dev") == "Phase: Succeeded"
    assert seen == [["argocd", "app", "sync", "crm-dev"], {"ARGOCD_AUTH_TOKEN": "t0ken"}]


@pytest.mark.usefixtures("password")
def test_argocd_refuses_or_is_silent_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 401)
    with pytest.raises(NotReady, match="refuses the sign-in of admin: 401"):
        argocd.sync("crm-dev")

    def silence(*_: object, **__: object) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx, "post", silence)
    with pytest.raises(NotReady, match="Argo CD does not answer at"):
        argocd.sync("crm-dev")
