"""Typed settings from the environment, refused with the variable's name when they are wrong."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_URI = "postgresql://USER:PASSWORD@HOST:PORT/NAME"  # pragma: allowlist secret
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 24 * 3600}


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    requests: int
    seconds: int


class Environment:
    """Reads NAME, or the file that NAME_FILE names (mounted secrets). An empty value counts as not set.

    Every error is an ImproperlyConfigured whose sentence names the variable; values of unknown
    content are never repeated in it, since they may be secrets.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None, *, shortest: int = 0) -> str:
        value = self._read(name)
        if not value:
            if default is None:
                raise ImproperlyConfigured(
                    f"{name} is not set; set it, or {name}_FILE to a file with its value."
                )
            return default
        if len(value) < shortest:
            raise ImproperlyConfigured(
                f"{name} must have at least {shortest} characters, found {len(value)}; use a longer one."
            )
        return value

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self._read(name)
        if not value:
            return default
        number = int(value) if value.isascii() and value.isdecimal() else None
        if number is None or not least <= number <= most:
            raise ImproperlyConfigured(
                f"{name} must be a whole number from {least} to {most}, found '{value}'."
            )
        return number

    def boolean(self, name: str, default: bool) -> bool:
        value = self._read(name).lower()
        if not value:
            return default
        if value not in ("true", "false"):
            raise ImproperlyConfigured(f"{name} must be true or false, found '{value}'.")
        return value == "true"

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self._read(name) or default
        if value not in choices:
            raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, found '{value}'.")
        return value

    def rate(self, name: str, default: str) -> Rate:
        """Written like 10/minute."""
        value = self._read(name) or default
        found = re.fullmatch(rf"([1-9][0-9]{{0,8}})/({'|'.join(SECONDS)})", value)
        if not found:
            raise ImproperlyConfigured(
                f"{name} must be a number of requests per {', '.join(SECONDS)}, like 10/minute, found '{value}'."
            )
        return Rate(int(found[1]), SECONDS[found[2]])

    def file(self, name: str) -> str:
        """The path of a file that can be read; empty where there is none."""
        path = self._read(name)
        try:
            if path:
                Path(path).read_bytes()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name} is '{path}', which cannot be read ({type(error).__name__})."
            ) from error
        return path

    def postgresql(self, name: str) -> dict[str, str]:
        """The parts of an address, as libpq calls them; none where it is not set."""
        try:
            return {part: str(value) for part, value in conninfo_to_dict(self._read(name)).items()}
        except ProgrammingError:
            # Its own words would repeat the password.
            raise ImproperlyConfigured(f"{name} must be like {_URI}; what is set is not.") from None

    def words(self, name: str, default: str | None = None) -> list[str]:
        """A list separated by commas."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def _read(self, name: str) -> str:
        value = self._values.get(name, "")
        file = self._values.get(f"{name}_FILE", "")
        if not file:
            return value
        if value:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; keep one of them.")
        try:
            return Path(file).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(
                f"{name}_FILE names '{file}', which cannot be read ({type(error).__name__})."
            ) from error


env = Environment(os.environ)
