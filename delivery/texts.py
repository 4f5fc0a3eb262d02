"""Text from elsewhere, made fit for a commit message, a log, a terminal or a chat."""

MOST = 500
"""Characters of one reason. Those of our own analyses have fewer than 200."""


def one_line(text: object, most: int = MOST) -> str:
    """In one line, without what cannot be printed, and cut with an ellipsis after `most` characters."""
    words = " ".join(str(text).split())
    shown = "".join(each if each.isprintable() else "\ufffd" for each in words[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
