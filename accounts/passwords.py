"""Which passwords we take: long enough, and none that an attacker tries first.

NIST SP 800-63B, 3.1.1.2: no rules of composition, but a list of common passwords and words from
the context. Cognito's own policy asks for the length alone.
"""

import gzip
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from config.problems import Filled

MIN_LENGTH, MAX_LENGTH = 8, 128


@cache
def common() -> frozenset[str]:
    """The 20,000 most common passwords, in lower case (Royce Williams's list, in Django)."""
    import django

    path = Path(django.__file__).parent / "contrib" / "auth" / "common-passwords.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return frozenset(line.strip() for line in lines)


def normalized(password: str) -> str:
    """The password in Unicode's form NFKC (NIST SP 800-63B; ADR 5).

    Keyboards write the same letters in different forms: `é` as one character or two, digits of
    full or half width. What is chosen on one of them is typed on another.
    """
    return unicodedata.normalize("NFKC", password)


def weakness(password: str, *, words: Iterable[str]) -> str | None:
    """Why the password is refused, None when it is fine.

    `words` are the learner's own: the address, the names.
    """
    folded = password.casefold()
    if folded in common():
        return Filled("This password is among the most common ones.")
    own = {part.casefold() for word in words for part in (word, word.partition("@")[0])}
    if folded in own | {first + second for first in own for second in own}:
        return Filled("The password must not be your name or your e-mail address.")
    return None
