"""Characters that nobody sees: two names look like one, and a text reads in another order than it is stored."""

import re

from rest_framework.serializers import ValidationError

# Controls and line ends, what Unicode calls Default_Ignorable_Code_Point (zero-width and bidirectional ones among
# them), interlinear annotations, and the Braille pattern without a dot. All our texts are single lines.
_UNSEEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u2028\u2029\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff"
    "\U000e01f0-\U000e0fff]"
)
# Not among them, since they choose how the character before them looks: variation selectors (❤️).
_JOINERS = "\u200c\u200d"


def validate_seen(text: str) -> None:
    """Raises ValidationError, naming the first character that nobody sees.

    Joiner and non-joiner are spelling in Persian and the scripts of India, and make one emoji of two. So they are
    taken where they join: between two characters of scripts without capital letters.
    """
    for found in _UNSEEN.finditer(text):
        before, after = text[: found.start()][-1:], text[found.end() :][:1]
        if not (found[0] in _JOINERS and _can_be_joined(before) and _can_be_joined(after)):
            raise ValidationError(
                f"There is a character that nobody sees, U+{ord(found[0]):04X}; leave it out.", code="unseen"
            )


def _can_be_joined(character: str) -> bool:
    has_capitals = character.lower() != character.upper()
    return not (character.isascii() or has_capitals or _UNSEEN.match(character))
