"""The release file: what runs in one environment."""

import json
import re
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
        fields = _Fields(data, where)
        release = cls(
            revision=fields.text("revision", COMMIT, "a commit's 40 hexadecimal digits"),
            image=ReleasedImage(
                repository=fields.text(
                    "image.repository", REPOSITORY, "a repository with its registry's host"
                ),
                digest=fields.text("image.digest", DIGEST, "sha256: and 64 hexadecimal digits"),
                version=fields.text("image.version", VERSION, "letters, digits, dots and dashes"),
            ),
            strategy=fields.text("strategy", NAME, "the name of a file in rollouts/"),
        )
        fields.refuse_others()
        return release

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


class _Fields:
    """The fields of a parsed release file, each taken once and checked."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise UnreadableRelease(
                f"{where} must have the fields revision, image and strategy, and has none."
            )
        self._where = where
        self._flat: dict[str, Any] = {}
        for key, value in data.items():
            if isinstance(value, dict):
                self._flat |= {f"{key}.{inner}": inner_value for inner, inner_value in value.items()}
            else:
                # Quoted, a name with a dot is no field of a field.
                self._flat[repr(key) if "." in key else key] = value

    def text(self, field: str, form: re.Pattern[str], meaning: str) -> str:
        value = self._flat.pop(field, None)
        if value is None:
            raise UnreadableRelease(f"{self._where} has no field {field}.")
        if not isinstance(value, str):
            raise UnreadableRelease(
                f"{self._where}: {field} must be text, so write it in quotes: {_shown(value)}."
            )
        if not form.fullmatch(value):
            raise UnreadableRelease(f"{self._where}: {field} must be {meaning}, not {_shown(value)}.")
        return value

    def refuse_others(self) -> None:
        if self._flat:
            unknown = one_line(", ".join(sorted(self._flat)), 100)
            raise UnreadableRelease(
                f"{self._where} has a field that a release file does not know: {unknown}."
            )


def _shown(value: object) -> str:
    return repr(one_line(value, 100)) if isinstance(value, str | NotText) else "a list or fields"
