"""The upgrade is judged by what is left, by failed requests, and by the next bad release."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from drills.errors import DrillFailed, NotReady
from drills.fixtures import base_commit, bootstrap, guard_image
from drills.fixtures.images import Image, errors
from drills.scenarios import upgrade


class Steps(MagicMock):
    """Steps that are always done, those that begin with assert as well."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "unsafe": True})


BASE = Image("0.9", "sha256:0.9", base_commit.COMMIT)
BEFORE = {"ApplicationSet crm-production": "1", "Application crm-production": "2"}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """What the drill does, in order; nothing is deleted by the upgrade."""
    steps = Steps()
    steps.install_base.return_value = BASE
    steps.installed.return_value = BEFORE
    steps.production.serving().stable = BASE
    steps.production.fail.side_effect = DrillFailed
    steps.reset_mock()
    monkeypatch.setattr(base_commit, "install", steps.install_base)
    monkeypatch.setattr(base_commit, "installed", steps.installed)
    monkeypatch.setattr(guard_image, "image", steps.build_guard)
    monkeypatch.setattr(bootstrap, "install", steps.install_present)
    return steps


def test_an_upgrade_that_deletes_an_application_set_fails(played: Steps) -> None:
    played.installed.side_effect = [BEFORE, BEFORE | {"ApplicationSet crm-production": "another"}]

    with pytest.raises(DrillFailed):
        upgrade.upgrade(played.production, errors())

    (_, found), _ = played.production.fail.call_args
    assert found == "deleted or made anew: ApplicationSet crm-production"


def test_the_present_platform_is_there_again_where_the_base_commit_cannot_be_installed(
    played: MagicMock,
) -> None:
    played.install_base.side_effect = NotReady("git -C ended with status 128")

    with pytest.raises(NotReady):
        upgrade.upgrade(played.production, errors())

    played.install_present.assert_called_once_with()
