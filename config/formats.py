"""Forms of values on the wire and in files: ids, names, instants, zones, levels. Pure rules."""

import re
from collections import Counter, defaultdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ULID_OR_UUID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
LANGUAGE_TAG = r"[a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{2,8})*"  # BCP 47
LOCAL_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
CEFR_LEVELS = ("A1", "A2", "B1", "B2", "C1", "C2")

RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)

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


def wire_name(name: str) -> str:
    """`first_name` → `firstName`."""
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


_TAG = re.compile(
    r"(?P<language>[a-z]{2,3}(?:-[a-z]{3})?)(?P<script>-[a-z]{4})?(?P<region>-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?P<variant>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)"
)


def is_language(tag: str) -> bool:
    """Whether a language tag (BCP 47) has registered subtags alone: `pt-BR`; not `zz`, `pt-ZZ`."""
    match = _TAG.fullmatch(tag.lower()) if tag.isascii() else None
    return match is not None and all(
        subtag in _registered()[kind]
        for kind, subtags in match.groupdict("").items()
        for subtag in subtags.split("-")
        if subtag
    )


@cache
def _registered() -> dict[str, set[str]]:
    """The registered subtags of each kind."""
    subtags = defaultdict[str, set[str]](set)
    for line in Path(__file__).with_name("subtags.txt").read_text("ascii").splitlines():
        kind, _, written = line.partition(" ")
        if kind == "language":
            groups = re.findall("([A-Z]+)([a-z]+)", written)
            subtags[kind] |= {start.lower() + end for start, ends in groups for end in ends}
        else:
            subtags[kind] |= {*written.lower().split()}
    return subtags


class DuplicateNameError(ValueError):
    """A JSON object has two members of the same `name`: which of them was meant is unknown."""

    def __init__(self, name: str) -> None:
        super().__init__("a name stands twice")
        self.name = name


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object (`json.loads`' `object_pairs_hook`). Raises DuplicateNameError."""
    members = dict(pairs)
    if len(members) != len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise DuplicateNameError(name)
    return members


ZONE_NAME = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*){0,2}")


class UnknownZoneError(ValueError):
    """Not the name of an IANA time zone."""


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of that name.

    Raises UnknownZoneError, also for what a system's zone folder holds beside the zones: `right/`
    counts leap seconds, `localtime` is the server's own, and `Factory` means that nobody set one.
    """
    if name == "Factory" or not ZONE_NAME.fullmatch(name):
        raise UnknownZoneError(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZoneError(name) from error
