"""Argo CD's own notifications; tests/e2e/test_notifications.py runs it with Argo CD's own command."""

from __future__ import annotations

import yaml

from tests.gitops.rendering import PLATFORM

VALUES = yaml.safe_load((PLATFORM / "argo-cd-values.yaml").read_text())["notifications"]


def test_everything_that_is_sent_or_subscribed_to_exists() -> None:
    triggers = {
        name.removeprefix("trigger."): yaml.safe_load(text) for name, text in VALUES["triggers"].items()
    }
    assert {each for one in VALUES["subscriptions"] for each in one["triggers"]} == set(triggers)
    sent = {
        f"template.{name}" for conditions in triggers.values() for each in conditions for name in each["send"]
    }
    assert sent == set(VALUES["templates"])
