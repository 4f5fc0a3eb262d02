"""Files of the branch `environments`, which anybody may write, read so that nothing in them does any harm.

A file has texts, lists and fields, and not many of them: no aliases (they can expand without end), no tags (they can
name code), no field twice (readers may take different ones), nothing nested deeply. What is
no text, such as a number or a date, stays as it was written, so a month that no year has breaks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from delivery.errors import Unreadable
from delivery.texts import one_line

MOST_BYTES = 1024 * 1024
"""Of a file. A thousand quarantined images have less."""
_MOST_NESTED = 10  # a release file has 2
_MOST_PARTS = 50_000  # texts, lists and fields: a thousand quarantined images have 11,000
# libyaml's, where it is there, is ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"


@dataclass(frozen=True)
class NotText:
    """A number, a time, yes or no, as it was written: text only in quotes."""

    written: str

    def __str__(self) -> str:
        return self.written


def text(raw: bytes) -> str:
    """The text of a file. Raises Unreadable if it is none."""
    try:
        found = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"is not UTF-8 (line {line}, the byte 0x{raw[error.start]:02x})") from error
    return found.replace("\r\n", "\n").removeprefix("\ufeff")


def value(text: str) -> Any:
    """A file's content: dicts, lists, str, None and NotText. Raises Unreadable."""
    root = node(text)
    return None if root is None else _value(root)


def node(text: str) -> yaml.Node | None:
    """A file's content with its lines; None if it is empty. Raises Unreadable."""
    try:
        _check(text)
        root: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Unreadable(f"is not YAML{_line(mark)}") from error
    except (ValueError, OverflowError) as error:  # of a number in a directive or an escape
        raise Unreadable("is not YAML") from error
    if root is not None:
        _refuse_twice(root)
    return root


def _check(text: str) -> None:
    """Part by part, so that nothing is expanded or nested before it is known to be small."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if number > _MOST_PARTS:
            raise Unreadable(f"has more than {_MOST_PARTS:,} parts")
        if depth > _MOST_NESTED:
            raise Unreadable(f"is nested more than {_MOST_NESTED} deep{_line(event.start_mark)}")
        if isinstance(event, yaml.AliasEvent):
            raise Unreadable(f"has an alias{_line(event.start_mark)}, which is not allowed")
        if getattr(event, "tag", None):
            raise Unreadable(f"has a tag{_line(event.start_mark)}, which is not allowed")
        if isinstance(event, yaml.ScalarEvent) and any("\ud800" <= each <= "\udfff" for each in event.value):
            raise Unreadable(f"has half a character{_line(event.start_mark)}")


def _refuse_twice(root: yaml.Node) -> None:
    """Raises Unreadable where a field is there twice or has no name."""
    if isinstance(root, yaml.CollectionNode):
        for child in root.value:
            _refuse_twice(child[1] if isinstance(child, tuple) else child)
    if isinstance(root, yaml.MappingNode):
        known = set()
        for key, _ in root.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable(f"has a field without a name{_line(key.start_mark)}")
            if key.value in known:
                raise Unreadable(f"has the field {one_line(key.value, 40)} twice{_line(key.start_mark)}")
            known.add(key.value)


def _value(root: yaml.Node) -> Any:
    if isinstance(root, yaml.MappingNode):
        return {key.value: _value(child) for key, child in root.value}
    if isinstance(root, yaml.SequenceNode):
        return [_value(child) for child in root.value]
    if root.tag == _NULL:
        return None
    return root.value if root.tag == _TEXT else NotText(root.value)


def _line(mark: Any) -> str:
    return f" (line {mark.line + 1})" if mark else ""
