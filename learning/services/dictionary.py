"""Words looked up by Amazon Translate, and kept as cards.

What a bare word means is shared for 90 days, as it tells nothing of who asked. Whatever else a
learner writes (sentences, several words, digits, a context) is translated for them alone and kept
nowhere. Characters are counted before Translate is called.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings

from config.aws import Throttled, call, error_code
from config.problems import IdTaken, Problem, UpstreamFailed, ValidationFailed
from config.records import dataclass
from learning.models.cards import Card, Note, front_start
from learning.models.dictionary import Translation
from learning.search_syntax import base_letters
from learning.services.cards import Written, cards_of
from learning.services.notes import create_note
from learning.services.speech import reserved
from learning.transfer.model import without_media

MOST_CHARS = 200
MOST_CONTEXT_CHARS = 1_000
MOST_DUPLICATES = 5
LOOKED_AT = 50
# A word, perhaps with an article or a hyphen: nobody's sentence, number or address.
BARE = re.compile(r"[^\W\d_]{1,40}(?:[-’' ][^\W\d_]{1,40})?")
UNSUPPORTED = "UnsupportedLanguagePairException"
# Amazon Translate: "Supported languages": the codes that have a region; all others go by language.
REGIONAL = frozenset({"es-MX", "fa-AF", "fr-CA", "pt-PT", "zh-TW"})


class DictionaryOff(Problem):
    status, code, title = 404, "DICTIONARY_OFF", "Words are not looked up on this stage"


class NoTranslation(Problem):
    status, code, title = 404, "NO_TRANSLATION", "There is no dictionary for these languages"


@dataclass(frozen=True)
class Entry:
    """What a text means, and its context; cards that ask it already; the note made of it."""

    text: str
    translation: str
    context_translation: str | None
    duplicates: list[Card]
    written: Written | None = None


def look_up(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> Entry:
    """Translates a text and its context, and on request makes a note of them.

    A note that this very request has made is answered as it stands, and costs nothing. Raises
    DictionaryOff, NoTranslation, BudgetUsedUp, UpstreamFailed, and as `create_note`.
    """
    if not settings.VOICE:
        raise DictionaryOff
    text, context = fields["text"].strip(), (fields.get("context") or "").strip()
    source, target = _code(fields["source"]), _code(fields["target"])
    save: Mapping[str, Any] = fields.get("save") or {}
    note = _note(text, context, save) if save else {}
    if save.get("id") and (present := Note.of(learner_id, save["id"])):
        if present.front != note["front"]:
            raise IdTaken
        return Entry(text, str(present.back), None, [], (present, cards_of(present)))
    duplicates = _same_fronts(learner_id, text)
    translation = _meaning(learner_id, text, source, target, now)
    of_context = _translated(learner_id, context, source, target, now) if context else None
    written = None
    if note:
        is_cloze = note["type"] == "cloze"
        note["back"] = (of_context if is_cloze else None) or translation
        written = create_note(learner_id=learner_id, fields=note, now=now)
    return Entry(text, translation, of_context, duplicates, written)


def _code(tag: str) -> str:
    """Translate's code of a language."""
    return tag if tag in REGIONAL else tag.partition("-")[0].lower()


def _note(text: str, context: str, save: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a note, without its back. Raises ValidationFailed."""
    common = {name: save[name] for name in ("id", "deck_id", "type") if save.get(name)}
    if save["type"] == "basic":
        return {**common, "front": text, "example": context or None}
    found = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", context, re.IGNORECASE)
    if not found or "{{" in context or "}}" in context:
        message = "A cloze needs a context that has the text in it."
        raise ValidationFailed.of("context", "not_in_context", message)
    front = f"{context[: found.start()]}{{{{c1::{found[0]}}}}}{context[found.end() :]}"
    return {**common, "front": front}


def _same_fronts(learner_id: str, text: str) -> list[Card]:
    """The learner's cards with this front, whatever the case and accents: a query and a read."""
    wanted = front_start(text)
    pairs, _ = Card.candidates(
        learner_id, Card.lsi3.startswith(wanted), index="lsi3", limit=LOOKED_AT, start=None
    )
    cards = Card.join(learner_id, [card for card, _ in pairs])
    same = base_letters(text)
    equal = [c for c in cards if base_letters(without_media(c.front).strip()) == same]
    return equal[:MOST_DUPLICATES]


def _meaning(learner_id: str, text: str, source: str, target: str, now: datetime) -> str:
    if not BARE.fullmatch(text):
        return _translated(learner_id, text, source, target, now)
    place = Translation.at(text, source, target)
    if (known := place.found(now)) is not None:
        return known
    translation = _translated(learner_id, text, source, target, now)
    place.keep(translation, now)
    return translation


def _translated(learner_id: str, text: str, source: str, target: str, now: datetime) -> str:
    counted = reserved(learner_id, {"dictionary_characters": len(text)}, now=now)
    try:
        answer = call(
            "translate",
            "translate_text",
            Text=text,
            SourceLanguageCode=source,
            TargetLanguageCode=target,
        )
    except ClientError as error:
        counted.release()
        if error_code(error) == UNSUPPORTED:
            raise NoTranslation from error
        raise UpstreamFailed from error
    except Throttled:  # of anything else nobody knows whether it was charged
        counted.release()
        raise
    return str(answer["TranslatedText"])
