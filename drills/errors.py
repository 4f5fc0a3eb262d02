from __future__ import annotations


class DrillFailed(AssertionError):
    """What a drill expected did not happen; the message says what was expected, what was found and where to look."""


class NotReady(Exception):
    """A drill cannot start; one sentence says what is missing and what to do."""
