"""Texts read aloud by Amazon Polly, each once: the audio is kept for 90 days by what it says.

What the pack's scripts say is the same for all learners, and so is its audio. All else, even where
two learners write the same, is kept for each by itself, and goes with the account. A request that
finds no audio counts its characters before Polly is called.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from hashlib import sha256
from math import ceil
from typing import Any, Literal, Self

from botocore.exceptions import ClientError
from django.conf import settings

from config import objects
from config.aws import Throttled, call
from config.problems import (
    FieldError,
    Filled,
    NotFound,
    Problem,
    TooManyRequests,
    UpstreamFailed,
    ValidationFailed,
)
from config.records import dataclass
from learning.cloze import cloze_faces
from learning.models.budgets import BudgetSpent, Reservation, reserve
from learning.models.cards import Card, Deck
from learning.models.practice import Session, Turn
from learning.practice.script import SCRIPTED
from learning.services.practice import script_for
from learning.transfer.model import without_media
from learning.voices import Voice, voice_for

MOST_CHARS = 1_000  # Polly takes 3,000
CONTENT_TYPE = "audio/mpeg"
Side = Literal["front", "back", "example"]
SIDES: tuple[Side, ...] = ("front", "back", "example")


class SpeechOff(Problem):
    status, code, title = 404, "SPEECH_OFF", "This stage has no voice: use the device's own"


class NoVoice(Problem):
    status, code, title = 404, "NO_VOICE", "There is no voice for this language"

    @classmethod
    def at(cls, field: str, detail: str = "") -> Self:
        message = "There is no voice for this language."
        return cls(detail, errors=[FieldError(field, "no_voice", message)])


class BudgetUsedUp(TooManyRequests):
    code, title = "BUDGET_USED_UP", "No more of this is left for now"

    @classmethod
    def of(cls, spent: BudgetSpent, now: datetime) -> Self:
        detail = (
            "You have used up your share of today"
            if spent.scope == "learner"
            else "The share of all learners is used up for now"
        )
        wait_s = ceil((spent.until - now).total_seconds())
        return cls(detail, retry_after_s=wait_s)


@dataclass(frozen=True)
class Spoken:
    """Audio of a text: where it is for 15 minutes, and whose voice speaks."""

    url: str
    voice: Voice
    text: str
    cached: bool


@dataclass(frozen=True)
class Line:
    """A text to read aloud, its language, and the field that named it. `shared`: the pack says so,
    to everybody."""

    text: str
    language: str
    field: str
    shared: bool = False


def require_voice() -> None:
    """Raises SpeechOff where the stage has none."""
    if not settings.VOICE:
        raise SpeechOff


def say_text(
    *, learner_id: str, text: str, language: str, voice: str | None, now: datetime
) -> Spoken:
    """A text of the learner's. Raises SpeechOff, NoVoice, BudgetUsedUp, UpstreamFailed."""
    return _say(learner_id, Line(text, language, "text"), voice, now)


def say_card(
    *,
    learner_id: str,
    card_id: str,
    side: Side,
    language: str | None,
    voice: str | None,
    now: datetime,
) -> Spoken:
    """A side of a card, in its deck's language where none is given. Raises NotFound as well."""
    require_voice()
    card = Card.with_text(learner_id, card_id)
    if card is None:
        raise NotFound
    text, is_native = _side_of(card, side)
    if language is None:
        deck = Deck.of(learner_id, card.deck_id)
        known = (deck.native_language if is_native else deck.target_language) if deck else None
        if known is None:
            raise ValidationFailed.of("language", "required", "The deck does not say its language.")
        language = str(known)
    return _say(learner_id, Line(text, language, "side"), voice, now)


def _side_of(card: Card, side: Side) -> tuple[str, bool]:
    """What a side says, and whether that is in the learner's own language.

    The back of a cloze is its whole sentence, without the translation that is shown below it.
    """
    if side == "back" and card.note and card.note.type == "cloze":
        return cloze_faces(card.note.front)[0].back, False
    is_native = (side == "back") != (card.type == "reversed" and card.ordinal == 1)
    return getattr(card, side) or "", is_native


def say_turn(
    *,
    learner_id: str,
    session_id: str,
    turn: int,
    language: str | None,
    voice: str | None,
    now: datetime,
) -> Spoken:
    """The partner's answer of a turn; that of turn 0 is the opening. Raises NotFound as well."""
    require_voice()
    session = Session.of(learner_id, session_id)
    answer = Turn.get_or_none(*Turn.key(learner_id, session_id, turn)) if turn else None
    if session is None or (turn and answer is None):
        raise NotFound
    text = answer.reply if answer else session.opening
    shared = session.partner == SCRIPTED and _is_of_script(session, str(text))
    line = Line(str(text), language or str(session.language), "turn", shared)
    return _say(learner_id, line, voice, now)


def _is_of_script(session: Session, text: str) -> bool:
    """Whether each sentence stands in the script: nothing of it came from the learner."""
    written = "\n".join(_texts(script_for(session)))
    return all(sentence in written for sentence in re.split(r"(?<=[.!?…])\s+", text))


def _texts(value: Any) -> Iterator[str]:
    """All texts of a dataclass, in its tuples too."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)


def _say(learner_id: str, line: Line, wanted: str | None, now: datetime) -> Spoken:
    require_voice()
    text = " ".join(without_media(line.text).split())
    if not text:
        raise ValidationFailed.of(line.field, "blank", "There is nothing to say.")
    if len(text) > MOST_CHARS:
        message = Filled("More than {most} characters are not read aloud.", most=MOST_CHARS)
        raise ValidationFailed.of(line.field, "max_length", message)
    voice = voice_for(line.language, wanted)
    if voice is None:
        raise NoVoice.at("voice" if wanted and voice_for(line.language) else "language")
    key = _key(learner_id, text, voice, shared=line.shared)
    size_bytes = objects.size_of(key)
    cached = size_bytes is not None
    if size_bytes is None:
        audio = _read_aloud(learner_id, text, voice, now)
        objects.put(key, audio, content_type=CONTENT_TYPE)
        size_bytes = len(audio)
    url = objects.sign_get(key, content_type=CONTENT_TYPE, size_bytes=size_bytes)
    return Spoken(url, voice, text, cached)


def _key(learner_id: str, text: str, voice: Voice, *, shared: bool) -> str:
    said = "\x1f".join((voice.engine, voice.id, voice.language, text))
    return f"speech/{'pack' if shared else learner_id}/{sha256(said.encode()).hexdigest()}"


def _read_aloud(learner_id: str, text: str, voice: Voice, now: datetime) -> bytes:
    """Polly's audio. Raises BudgetUsedUp, and UpstreamFailed where Polly refuses."""
    counted = reserved(learner_id, {"speech_characters": len(text)}, now=now)
    try:
        answer = call(
            "polly",
            "synthesize_speech",
            Text=text,
            TextType="text",
            OutputFormat="mp3",
            VoiceId=voice.id,
            Engine=voice.engine,
            LanguageCode=voice.language,
        )
        with answer["AudioStream"] as stream:
            data = bytes(stream.read())
    except ClientError as error:
        counted.release()
        raise UpstreamFailed from error
    except Throttled:  # of anything else nobody knows whether it was charged
        counted.release()
        raise
    counted.settle({"speech_characters": int(answer.get("RequestCharacters", len(text)))})
    return data


def reserved(learner_id: str, units: dict[str, int], *, now: datetime) -> Reservation:
    """Counts units before the call that costs. Raises BudgetUsedUp."""
    try:
        return reserve(learner_id, units, now=now)
    except BudgetSpent as spent:
        raise BudgetUsedUp.of(spent, now) from spent


def shown(spoken: Spoken, now: datetime) -> dict[str, Any]:
    """As the answer shows it."""
    return {
        "url": spoken.url,
        "expires_at": now + objects.URL_LIFE,
        "content_type": CONTENT_TYPE,
        "voice": spoken.voice.id,
        "language": spoken.voice.language,
        "text": spoken.text,
        "cached": spoken.cached,
    }
