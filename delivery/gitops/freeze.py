"""When environments take no release: `freeze.yaml` on the branch `environments`. Rollbacks are never refused.

Each entry names environments, a reason, and either a time (`from`, `to`) or a part of every week (`weekly`), in UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import yaml

from delivery.errors import Refused, Unreadable
from delivery.gitops import documents
from delivery.gitops.branch import BRANCH, EnvironmentsBranch
from delivery.gitops.release import NAME

FILE = "freeze.yaml"
_WHERE = f"{FILE} on the branch {BRANCH}"
_HEAD = """\
# When environments take no release; rollbacks are never refused. Times are UTC.
#   - environments: [production]
#     weekly: "Fri 16:00 - Mon 08:00"
#     reason: "nobody is there at the weekend"
"""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(r"([a-z]{3}) (\d\d):(\d\d) ?[-–] ?([a-z]{3}) (\d\d):(\d\d)", re.IGNORECASE)  # noqa: RUF001
_WEEK = timedelta(days=7)
TRAILER = "Despite-freeze"
# The guard reverts a push during a freeze, unless its message has a reason why it cannot wait.
DESPITE = re.compile(rf"^{TRAILER}: *\S", re.MULTILINE | re.IGNORECASE)
_FIELDS = {"environments", "from", "to", "weekly", "reason"}


@dataclass(frozen=True)
class Once:
    """From one time to another."""

    starts: datetime
    ends: datetime

    def until(self, now: datetime) -> datetime | None:
        """When it ends, if it is in force."""
        return self.ends if self.starts <= now < self.ends else None

    def __str__(self) -> str:
        return f'  from: "{self.starts:%Y-%m-%d %H:%M}"\n  to: "{self.ends:%Y-%m-%d %H:%M}"\n'


@dataclass(frozen=True)
class Weekly:
    """A part of every week, from one moment after Monday 00:00 UTC to another; it may go over Sunday's end."""

    text: str
    starts: timedelta
    ends: timedelta

    def until(self, now: datetime) -> datetime | None:
        """When it ends, if it is in force."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        since = (now - midnight + timedelta(days=now.weekday()) - self.starts) % _WEEK
        length = (self.ends - self.starts) % _WEEK
        return now + length - since if since < length else None

    def __str__(self) -> str:
        return f"  weekly: {json.dumps(self.text)}\n"


@dataclass(frozen=True)
class Window:
    """A time without releases, of some environments."""

    environments: tuple[str, ...]
    reason: str
    when: Once | Weekly

    def __str__(self) -> str:
        names, reason = ", ".join(self.environments), json.dumps(self.reason, ensure_ascii=False)
        return f"- environments: [{names}]\n{self.when}  reason: {reason}\n"


@dataclass(frozen=True)
class Frozen:
    """An environment that takes no release just now."""

    environment: str
    until: datetime
    reason: str

    def __str__(self) -> str:
        return f"{self.environment} is frozen until {utc(self.until)} ({self.reason})"


def windows(branch: EnvironmentsBranch) -> tuple[Window, ...]:
    """All windows in the order of the file. Raises Refused, with the line, if it cannot be read."""
    try:
        return parsed(branch.text(FILE) or "")
    except Unreadable as error:
        raise Refused(f"{_WHERE} {error}: repair it by hand.") from error


def frozen(branch: EnvironmentsBranch, environment: str, now: datetime) -> Frozen | None:
    """The freeze that ends last of those that are in force. Raises Refused if the file cannot be read."""
    found = [
        Frozen(environment, until, window.reason)
        for window in windows(branch)
        if environment in window.environments and (until := window.when.until(now))
    ]
    return max(found, key=lambda each: each.until, default=None)


def passed(branch: EnvironmentsBranch, environment: str, now: datetime, despite: str | None = None) -> str:
    """The trailer of a commit message that passes a freeze with a reason; empty where there is no freeze.

    Raises Refused without a reason while the environment is frozen, or the file cannot be read.
    """
    why = " ".join((despite or "").split())
    try:
        found = frozen(branch, environment, now)
        problem = f"{found}. If it cannot wait: --despite-freeze REASON" if found else ""
    except Refused as refusal:
        problem = f"{refusal} Until then only --despite-freeze REASON releases."
    if problem and not why:
        raise Refused(problem)
    return f"{TRAILER}: {why}" if problem else ""


def text_with(branch: EnvironmentsBranch, window: Window) -> str:
    """The file with a window added. Raises Refused if it cannot be read."""
    before = windows(branch)
    # The text and its comments stay as they are where the entry can simply be appended.
    text = f"{(branch.text(FILE) or '').rstrip()}\n{window}" if before else ""
    with suppress(Refused):
        if len(parsed(text)) == len(before) + 1:
            return text
    return _text([*before, window])


def text_without(branch: EnvironmentsBranch, environment: str, now: datetime) -> str | None:
    """The file without an environment's windows that have not ended, weekly ones excepted; None if it has none.

    Raises Refused if it cannot be read.
    """
    before = windows(branch)
    after = []
    for window in before:
        lasts = isinstance(window.when, Once) and window.when.ends > now
        if lasts and environment in window.environments:
            others = tuple(name for name in window.environments if name != environment)
            after += [replace(window, environments=others)] if others else []
        else:
            after.append(window)
    return _text(after) if after != list(before) else None


def moment(text: str, what: str) -> datetime:
    """A time, in UTC where it names no offset. Raises Refused."""
    try:
        found = datetime.fromisoformat(text.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refused(f"{what} is a time like 2026-12-27 08:00 (UTC), not {text!r}.") from error


def utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def parsed(text: str) -> tuple[Window, ...]:
    """The windows of a file. Raises Unreadable if it is no YAML, Refused, with the line, if it has no windows."""
    root = documents.node(text)
    if root is None:
        return ()
    if not isinstance(root, yaml.SequenceNode):
        raise _unreadable(root, "it must be a list")
    return tuple(_window(node) for node in root.value)


def _window(node: yaml.Node) -> Window:
    if not isinstance(node, yaml.MappingNode):
        raise _unreadable(
            node, "an entry has the fields environments, reason and either from and to or weekly"
        )
    fields = {key.value: value for key, value in node.value if isinstance(key.value, str)}
    if unknown := sorted(fields.keys() - _FIELDS):
        raise _unreadable(fields[unknown[0]], f"there is no field {unknown[0]}")
    named = fields.get("environments")
    names = [each.value for each in named.value] if isinstance(named, yaml.SequenceNode) else []
    if not names or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        raise _unreadable(named or node, "environments must be a list like [production]")
    return Window(
        tuple(names), _scalar(fields.get("reason"), node, "reason must say why"), _when(node, fields)
    )


def _when(node: yaml.Node, fields: dict[str, yaml.Node]) -> Once | Weekly:
    if "weekly" in fields:
        if {"from", "to"} & fields.keys():
            raise _unreadable(node, "an entry has either from and to or weekly, not both")
        return _weekly(fields["weekly"])
    starts, ends = (_moment(fields.get(key), node, key) for key in ("from", "to"))
    if starts >= ends:
        raise _unreadable(node, "from must be before to")
    return Once(starts, ends)


def _weekly(node: yaml.Node) -> Weekly:
    wrong = _unreadable(node, 'weekly must be like "Fri 16:00 - Mon 08:00"')
    found = _WEEKLY.fullmatch(node.value.strip()) if isinstance(node, yaml.ScalarNode) else None
    if not found:
        raise wrong
    moments = []
    for day, hour, minute in (found.group(1, 2, 3), found.group(4, 5, 6)):
        if day.lower() not in _DAYS or int(hour) > 23 or int(minute) > 59:  # noqa: PLR2004 - a clock's
            raise wrong
        moments.append(timedelta(days=_DAYS.index(day.lower()), hours=int(hour), minutes=int(minute)))
    if moments[0] == moments[1]:
        raise wrong
    return Weekly(found[0], *moments)


def _moment(node: yaml.Node | None, entry: yaml.Node, key: str) -> datetime:
    form = f"{key} must be a time like 2026-12-27 08:00"
    try:
        return moment(_scalar(node, entry, form), key)
    except Refused as error:
        raise _unreadable(node or entry, form) from error


def _scalar(node: yaml.Node | None, entry: yaml.Node, form: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise _unreadable(node or entry, form)
    return " ".join(str(node.value).split())


def _unreadable(node: yaml.Node, why: str) -> Refused:
    return Refused(f"{_WHERE}, line {node.start_mark.line + 1}: {why}; repair it by hand.")


def _text(wanted: Sequence[Window]) -> str:
    return _HEAD + "".join(str(window) for window in wanted)
