"""Words looked up by the partner's model or by Amazon Translate, and kept as cards.

What a bare word means is shared for 90 days, as it tells nothing of who asked. Whatever else a
learner writes (sentences, several words, digits, a context) is rendered for them alone and kept
nowhere. The model is asked for those who have agreed to it; whenever it gives no entry, Translate
answers. Whatever is asked for is counted before.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from django.conf import settings

from accounts.models import Profile, learner_key
from config.aws import Throttled, call, error_code
from config.problems import FieldError, IdTaken, Problem, UpstreamFailed, ValidationFailed
from config.records import dataclass
from learning.cloze import ClozeError, Face, cloze_faces
from learning.models.cards import Card, Deck, Note, front_start
from learning.models.dictionary import Translation
from learning.practice.script import MODEL
from learning.search_syntax import base_letters
from learning.services.cards import NoSuchDeck, Written, cards_of
from learning.services.notes import create_note
from learning.services.practice import ConsentNeeded, PartnerBudgetSpent, consents
from learning.services.scenarios import offers_model
from learning.services.speech import BudgetUsedUp, reserved
from learning.transfer.model import without_media

if TYPE_CHECKING:
    from learning.practice.prompt import Entry

TRANSLATE = "translate"
ANSWERERS = (MODEL, TRANSLATE)
MOST_CHARS = 200
MOST_CONTEXT_CHARS = 1_000
MOST_DUPLICATES = 5
LOOKED_AT = 50
# A word, perhaps with an article or a hyphen: nobody's sentence, number or address.
BARE = re.compile(r"[^\W\d_]{1,40}(?:[-’' ][^\W\d_]{1,40})?")
# Languages that write a word and what follows it without a space between them.
UNSPACED = frozenset({"ja", "km", "ko", "lo", "my", "th", "zh"})
UNSUPPORTED = "UnsupportedLanguagePairException"
# Amazon Translate: "Supported languages": the codes that have a region; all others go by language.
REGIONAL = frozenset({"es-MX", "fa-AF", "fr-CA", "pt-PT", "zh-TW"})


class DictionaryOff(Problem):
    status, code, title = 404, "DICTIONARY_OFF", "Words are not looked up on this stage"


class NoTranslation(Problem):
    status, code, title = 404, "NO_TRANSLATION", "There is no dictionary for these languages"


@dataclass(frozen=True)
class Question:
    """A text, the sentence that it stands in or nothing, and the tags of two languages."""

    text: str
    context: str
    source: str
    target: str

    @property
    def is_bare(self) -> bool:
        """Whether it is a word alone: that says nothing about the person who asks."""
        return not self.context and BARE.fullmatch(self.text) is not None


@dataclass(frozen=True)
class Meaning:
    """The translations of a text and its context, by a service or, with more fields, by a model."""

    translation: str
    context_translation: str | None = None
    by: str | None = None
    part_of_speech: str | None = None
    ipa: str | None = None
    example: str | None = None


@dataclass(frozen=True)
class LookedUp:
    """What a text means; cards that ask it already; the note made of it."""

    text: str
    meaning: Meaning
    duplicates: list[Card]
    written: Written | None = None


def look_up(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> LookedUp:
    """Finds what a text and its context mean, and on request makes a note of them.

    A note that this very request has made is answered as it stands, and costs nothing. Raises
    DictionaryOff, ConsentNeeded, NoTranslation, BudgetUsedUp, UpstreamFailed, in local runs
    LocalModelFailed, and as `create_note`.
    """
    if not (settings.VOICE or offers_model()):
        raise DictionaryOff
    question = Question(
        without_media(fields["text"]).strip(),
        without_media(fields.get("context") or "").strip(),
        fields["source"],
        fields["target"],
    )
    if not question.text:
        raise ValidationFailed.of("text", "blank", "There is nothing to look up.")
    save: Mapping[str, Any] = fields.get("save") or {}
    note = _note(question, save) if save else {}
    if save.get("id") and (present := Note.of(learner_id, save["id"])):
        if present.front != note["front"]:
            raise IdTaken
        meaning = Meaning(str(present.back), ipa=present.phonetic, example=present.example)
        return LookedUp(question.text, meaning, [], (present, cards_of(present)))
    if note and not _is_open(Deck.of(learner_id, note["deck_id"])):
        raise NoSuchDeck.at("save.deckId")  # before anything is asked that costs
    duplicates = _same_fronts(learner_id, question.text)
    meaning = _meaning(learner_id, question, now)
    if not note:
        return LookedUp(question.text, meaning, duplicates)
    is_cloze = note["type"] == "cloze"
    note["back"] = (meaning.context_translation if is_cloze else None) or meaning.translation
    note["phonetic"] = meaning.ipa
    if not is_cloze:
        note["example"] = question.context or meaning.example
    try:
        written = create_note(learner_id=learner_id, fields=note, now=now)
    except NoSuchDeck:  # deleted meanwhile
        raise NoSuchDeck.at("save.deckId") from None
    return LookedUp(question.text, meaning, duplicates, written)


def _is_open(deck: Deck | None) -> bool:
    return deck is not None and not deck.closing


def _note(question: Question, save: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a note, without what it answers. Raises ValidationFailed."""
    common = {name: save[name] for name in ("id", "deck_id", "type") if save.get(name)}
    front = question.text if save["type"] == "basic" else _cloze(question)
    return {**common, "front": front}


def _cloze(question: Question) -> str:
    """The context with the text as its answer. Raises ValidationFailed."""
    context, word = question.context, re.escape(question.text)
    if question.source.partition("-")[0].lower() not in UNSPACED:
        word = rf"(?<!\w){word}(?!\w)"
    found = re.search(word, context, re.IGNORECASE)
    if not found:
        message = "A cloze needs a context that has the text in it."
        raise ValidationFailed.of("context", "not_in_context", message)
    before, after = context[: found.start()], context[found.end() :]
    front = f"{before}{{{{c1::{found[0]}}}}}{after}"
    # Marks of clozes in what the learner wrote would hide something else, or lose a part of it.
    try:
        faces = cloze_faces(front)
    except ClozeError:
        faces = []
    if faces != [Face(0, f"{before}[…]{after}", context)]:
        message = "No cloze can be made of a text with ::, {{ or }}."
        raise ValidationFailed.of("context", "cloze_marks", message)
    return front


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


def _meaning(learner_id: str, question: Question, now: datetime) -> Meaning:
    """By the model where the learner lets it, else by Translate."""
    if not offers_model():
        return _by_translate(learner_id, question, now)
    if not consents(Profile.get_or_none(learner_key(learner_id), Profile.SK)):
        if not settings.VOICE:
            raise ConsentNeeded.to("modelText")
        return _by_translate(learner_id, question, now)
    from learning.services import partner  # no stage without a model loads it

    try:
        return _by_model(learner_id, question, now, partner.define)
    except (partner.Unanswered, PartnerBudgetSpent) as none:
        if settings.VOICE:
            return _by_translate(learner_id, question, now)
        if isinstance(none, PartnerBudgetSpent):
            raise BudgetUsedUp(retry_after_s=none.retry_after_s) from none
        raise UpstreamFailed from none


def _by_model(
    learner_id: str, question: Question, now: datetime, define: Callable[..., "Entry"]
) -> Meaning:
    text, source, target = question.text, question.source, question.target
    place = Translation.at(text, source, target, model=settings.PARTNER_MODEL)
    if question.is_bare and (known := place.found(now)):
        return Meaning(str(known.translation), None, MODEL, **known.details())
    entry = define(learner_id=learner_id, **vars(question))
    details = {name: getattr(entry, name) for name in Translation.DETAILS}
    if question.is_bare:
        place.keep(entry.translation, now, **details)
    return Meaning(entry.translation, entry.context_translation, MODEL, **details)


def _by_translate(learner_id: str, question: Question, now: datetime) -> Meaning:
    languages = _code(question.source), _code(question.target)
    if BARE.fullmatch(question.text):  # in a context too it is asked for by itself
        translation = _of_word(learner_id, question.text, languages, now)
    else:
        translation = _translated(learner_id, question.text, languages, now)
    if not question.context:
        return Meaning(translation, None, TRANSLATE)
    of_context = _translated(learner_id, question.context, languages, now)
    return Meaning(translation, of_context, TRANSLATE)


def _of_word(learner_id: str, text: str, languages: tuple[str, str], now: datetime) -> str:
    place = Translation.at(text, *languages)
    if known := place.found(now):
        return str(known.translation)
    translation = _translated(learner_id, text, languages, now)
    place.keep(translation, now)
    return translation


def _code(tag: str) -> str:
    """Translate's code of a language."""
    return tag if tag in REGIONAL else tag.partition("-")[0].lower()


def _translated(learner_id: str, text: str, languages: tuple[str, str], now: datetime) -> str:
    counted = reserved(learner_id, {"dictionary_characters": len(text)}, now=now)
    try:
        answer = call(
            "translate",
            "translate_text",
            Text=text,
            SourceLanguageCode=languages[0],
            TargetLanguageCode=languages[1],
        )
    except ClientError as error:
        counted.release()
        if error_code(error) == UNSUPPORTED:
            message = "There is no dictionary for these languages."
            raise NoTranslation(errors=[FieldError("to", "no_translation", message)]) from error
        raise UpstreamFailed from error
    except Throttled:  # of anything else nobody knows whether it was charged
        counted.release()
        raise
    return str(answer["TranslatedText"])
