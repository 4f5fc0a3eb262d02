"""The release file: what runs in one environment."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from delivery.errors import Refused, Unreadable, UnreadableRelease
from delivery.gitops import documents
from delivery.gitops.documents import NotText
from delivery.texts import one_line

MOST_BYTES = 64 * 1024
"""Of a release file, which has 300 and perhaps a remark."""

NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REPOSITORY = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")  # also a label value in Kubernetes
_FIELDS = {
    "revision": (COMMIT, "a commit's 40 hexadecimal digits"),
    "image.repository": (REPOSITORY, "a repository with its registry's host"),
    "image.digest": (DIGEST, "sha256: and 64 hexadecimal digits"),
    "image.version": (VERSION, "letters, digits, dots and dashes"),
    "strategy": (NAME, "the name of a file in rollouts/"),
}
"""The form of each field, and what is said where it has another."""


@dataclass(frozen=True)
class ReleasedImage:
    repository: str
    digest: str
    version: str


@dataclass(frozen=True)
class Release:
    """One environment's release: a commit of the code, an image and how it reaches users."""

    revision: str
    image: ReleasedImage
    strategy: str

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """Read a release file; `where` names it in errors. Raises UnreadableRelease."""
        try:
            data = documents.value(text)
        except Unreadable as error:
            raise UnreadableRelease(f"{where} {error}.") from error
        if not isinstance(data, dict):
            raise UnreadableRelease(
                f"{where} must have the fields revision, image and strategy, and has none."
            )
        flat: dict[str, Any] = {}
        for key, value in data.items():
            if isinstance(value, dict):
                flat |= {f"{key}.{inner}": inner_value for inner, inner_value in value.items()}
            else:
                # Quoted, a name with a dot is no field of a field.
                flat[repr(key) if "." in key else key] = value
        revision, repository, digest, version, strategy = (_field(flat, name, where) for name in _FIELDS)
        if others := flat.keys() - _FIELDS.keys():
            unknown = one_line(", ".join(sorted(others)), 100)
            raise UnreadableRelease(f"{where} has a field that a release file does not know: {unknown}.")
        return cls(revision, ReleasedImage(repository, digest, version), strategy)

    def to_yaml(self) -> str:
        # Quoted, because a commit or a version can look like a number.
        quoted = json.dumps
        return (
            f"revision: {quoted(self.revision)}\n"
            "image:\n"
            f"  repository: {quoted(self.image.repository)}\n"
            f"  digest: {quoted(self.image.digest)}\n"
            f"  version: {quoted(self.image.version)}\n"
            f"strategy: {quoted(self.strategy)}\n"
        )

    def with_strategy(self, strategy: str) -> Self:
        return replace(self, strategy=strategy)


def environment_name(name: str) -> str:
    """Return the name if an environment can be called that. Raises Refused."""
    if not NAME.fullmatch(name):
        raise Refused(f"An environment's name has small letters, digits and dashes only, not {name!r}.")
    return name


def _field(flat: Mapping[str, Any], name: str, where: str) -> str:
    form, meaning = _FIELDS[name]
    value = flat.get(name)
    if value is None:
        raise UnreadableRelease(f"{where} has no field {name}.")
    if not isinstance(value, str):
        raise UnreadableRelease(f"{where}: {name} must be text, so write it in quotes: {_shown(value)}.")
    if not form.fullmatch(value):
        raise UnreadableRelease(f"{where}: {name} must be {meaning}, not {_shown(value)}.")
    return value


def _shown(value: object) -> str:
    return repr(one_line(value, 100)) if isinstance(value, str | NotText) else "a list or fields"
