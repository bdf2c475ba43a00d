"""Which texts can be seen. Pure rules."""

import re

# The insides of a character class: spaces, control characters, and what is drawn as nothing (marks
# of direction, joiners, fillers). Python and ECMA 262, by whose rules the schema's patterns are
# read, differ over what a space is: so those that only one of them knows are named.
UNSEEN = (
    r"\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
VISIBLE = f"[^{UNSEEN}]"


def is_visible(text: str) -> bool:
    """Whether a text has anything to see."""
    return re.search(VISIBLE, text) is not None
