"""What counts of a model's answer: it is read as if an enemy had written it.

A model may be wrong, and may obey what a learner has written to it. So nothing of an answer changes
what code can tell by itself: whose role it is, the language, which goals there are, whether a
goal's own patterns stand in the learner's words, where a mistake stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin

from config.records import dataclass
from learning.practice import dialogue
from learning.practice.dialogue import Correction, Evidence, Score, Scores
from learning.practice.languages import content_words, speaks
from learning.practice.matching import Match, Text
from learning.practice.prompt import (
    MOST_WORDS,
    Answer,
    Band,
    Claim,
    Judgement,
    Remark,
)
from learning.practice.script import Goal, Mistake, NewWord, Script, words_of_the_scene
from learning.shapes import Items, ShapeError, decode, shape_of

T = TypeVar("T")

BAND_POINTS = 20  # of a hundred, for each of the five bands
COPIED_WORDS = 9
"""So many words in a row that stand in our rules were copied from them."""

MOST_OF_EXAMPLE = 0.6
"""So many of its words are most of a goal's example."""


class Refused(ValueError):
    """An answer that may not be shown. The text tells the model why, once."""


class Leaked(Refused):
    """An answer that tells something of our rules: the model is not asked again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is left of an answer."""

    reply: str
    goals: tuple[str, ...]
    corrections: tuple[Correction, ...]
    new_words: tuple[NewWord, ...]
    hints: tuple[str, ...]
    ended: bool


def accept_answer(
    raw: object,
    script: Script,
    role: str,
    *,
    text: str,
    reached: Sequence[str],
    heard: Sequence[str] = (),
    native_language: str,
    secret: str,
    told: str,
) -> Accepted:
    """What counts of the answer to `text`. Raises Refused.

    `heard`: the goals that the script hears in the text, as an answer to its last line. `told` is
    our part of the request, of which nothing may be repeated. Goals, corrections and the
    like that do not hold are left out; without a proper reply there is no answer.
    """
    _refuse_leaks(raw, secret, told)
    answer = _decoded(Answer, _without_faulty_entries(raw))
    [partner] = (each.id for each in script.roles if each.id != role)
    if answer.speaker != partner:
        raise Refused(f"speaker must be {partner}")
    _refuse_foreign(answer.reply, script.language)
    if _length(answer.reply, script.language) > MOST_WORDS[script.level]:
        raise Refused(f"reply has more than {MOST_WORDS[script.level]} words")
    goals = _proved_goals(answer.goals_reached, script, role, text, reached, heard)
    over = {*reached, *goals} >= {goal.id for goal in script.part(role).goals}
    spoken = {script.language, _base(native_language)}
    hints = [hint for hint in answer.hints if any(speaks(hint, each) for each in spoken)]
    return Accepted(
        reply=answer.reply.strip(),
        goals=goals,
        corrections=_sound_corrections(answer.corrections, script, text, native_language),
        new_words=tuple(_words_of(answer.new_words, f"{answer.reply}\n{text}", native_language)),
        hints=tuple(hints),
        ended=answer.ended and over,
    )


def accept_scores(
    raw: object, script: Script, turns: Sequence[str], scripted: Scores, *, secret: str, told: str
) -> Scores:
    """The scores by a model's judgement, each at most a band from the script's own.

    One whose evidence does not stand where it says stays the script's, and so do the goals and
    what the script does not score. Raises Refused.
    """
    _refuse_leaks(raw, secret, told)
    judged = _decoded(Judgement, raw)
    return replace(
        scripted,
        vocabulary=_moved(scripted.vocabulary, judged.vocabulary, script, turns),
        grammar=_moved(scripted.grammar, judged.grammar, script, turns),
        fluency=_moved(scripted.fluency, judged.fluency, script, turns),
        task=_moved(scripted.task, judged.task, script, turns),
    )


def _moved(scripted: Score, judged: Band, script: Script, turns: Sequence[str]) -> Score:
    evidence = tuple(
        Evidence(quote.turn - 1, quote.said)
        for quote in judged.evidence
        if quote.turn <= len(turns)
        and _find(quote.said, turns[quote.turn - 1]) is not None
        and not dialogue.is_foreign(script, turns[quote.turn - 1])
    )
    if not evidence or scripted.value is None:
        return scripted
    least, most = scripted.value - BAND_POINTS, scripted.value + BAND_POINTS
    value = max(least, min(most, judged.band * BAND_POINTS))
    return Score(max(0, min(100, value)), evidence)


# --- The shape ------------------------------------------------------------------------------------


def _decoded(kind: type[T], raw: object) -> T:
    try:
        decoded: T = decode(kind, raw, {})
    except ShapeError as error:
        raise Refused(str(error)) from None
    return decoded


def _without_faulty_entries(raw: object) -> object:
    """The answer without entries of its lists that are not of their shape, and with each list."""
    if not isinstance(raw, dict):
        return raw
    kept = dict(raw)
    for name, field in shape_of(Answer).items():
        if get_origin(field.kind) is tuple and isinstance(field.bound, Items):
            entries = raw.get(name)
            listed = entries if isinstance(entries, list) else []
            entry_kind = get_args(field.kind)[0]
            kept[name] = [each for each in listed if _is_of(entry_kind, each)][: field.bound.most]
    return kept


def _is_of(kind: Any, value: object) -> bool:
    try:
        decode(kind, value, {})
    except ShapeError:
        return False
    return True


def _refuse_leaks(raw: object, secret: str, told: str) -> None:
    """Raises Leaked where a text of the answer has the secret, or a piece of our rules."""
    ours = _runs(told)
    for text in _texts(raw):
        if secret in text or not ours.isdisjoint(_runs(text)):
            raise Leaked("it tells something of the rules")


@lru_cache(maxsize=16)  # that of our rules, and of an answer's few texts
def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + COPIED_WORDS]) for i in range(len(words) - COPIED_WORDS + 1)}


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


# --- The language ---------------------------------------------------------------------------------


def _refuse_foreign(text: str, language: str) -> None:
    if not speaks(text, language):
        raise Refused(f'reply is not in the language "{language}"')


def _base(tag: str) -> str:
    """The language of a tag: `pt` of `pt-BR`."""
    return tag.partition("-")[0].lower()


def _length(text: str, language: str) -> int:
    """The number of words; where words have no spaces between them, two letters are one."""
    spaced = language not in ("ja", "th", "zh")
    return len(Text.of(text, language).words) if spaced else len(text) // 2


# --- Goals, corrections, words --------------------------------------------------------------------


def _proved_goals(
    claims: Iterable[Claim],
    script: Script,
    role: str,
    text: str,
    reached: Sequence[str],
    heard: Sequence[str],
) -> tuple[str, ...]:
    """The goals claimed that the learner's words show.

    The evidence must stand among these words. A goal with patterns is shown by them, or `heard` by
    the script; one without by a sentence of its own that belongs into the scene.
    """
    said = Text.of(text, script.language)
    quotes = {claim.goal: match for claim in claims if (match := _find(claim.evidence, text))}
    if dialogue.is_foreign(script, text):
        return ()
    sentences = _sentences(unicodedata.normalize("NFC", text))
    proved: list[str] = []
    for goal in script.part(role).goals:
        if goal.id not in quotes or goal.id in reached:
            continue
        if goal.phrases:
            if goal.id in heard or goal.cues.find(said):
                proved.append(goal.id)
            continue
        quote = quotes[goal.id]
        fitting = (
            (start, end)
            for start, end, sentence in sentences
            if start < quote.end and quote.start < end and _is_of_scene(script, goal, sentence)
        )
        if place := next(fitting, None):
            proved.append(goal.id)
            sentences = [each for each in sentences if each[:2] != place]
    return tuple(proved)


def _sentences(text: str) -> list[tuple[int, int, str]]:
    return [(*found.span(), found[0]) for found in re.finditer(r"[^.!?…\n]+", text)]


def _is_of_scene(script: Script, goal: Goal, sentence: str) -> bool:
    """Whether a sentence has most words of the goal's example, or words of the scene or the goal.

    Of those it has two, or they are half of what it says.
    """
    wanted = {*Text.of(goal.example, script.language).words}
    said = {*Text.of(sentence, script.language).words}
    if wanted and len(said & wanted) >= MOST_OF_EXAMPLE * len(wanted):
        return True
    scene = words_of_the_scene(script) | content_words(goal.text, script.language)
    about = content_words(sentence, script.language)
    shared = sum(any(_is_same(word, other) for other in scene) for word in about)
    return shared >= 2 or 0 < len(about) <= 2 * shared


def _is_same(word: str, other: str) -> bool:
    """Whether two words are the same but for a last letter: cost and costs."""
    shorter, longer = sorted((word, other), key=len)
    return longer.startswith(shorter) and len(longer) - len(shorter) <= 1


def _sound_corrections(
    remarks: Iterable[Remark], script: Script, text: str, native_language: str
) -> tuple[Correction, ...]:
    """The script's own corrections, and those of the model's that stand elsewhere in the text."""
    written = unicodedata.normalize("NFC", text)
    mistakes = dialogue.mistakes(script, Text.of(text, script.language))
    for remark in remarks:
        match = _find(remark.said, written)
        if (
            match
            and _plain(remark.said) != _plain(remark.better)
            and speaks(remark.why, _base(native_language))
            and not any(
                match.start < other.end and other.start < match.end for other, _ in mistakes
            )
        ):
            mistakes.append((match, Mistake(phrases=(), right=remark.better, why=remark.why)))
    return dialogue.put_right(written, sorted(mistakes, key=lambda each: each[0].start))


def _words_of(words: Iterable[NewWord], spoken: str, native_language: str) -> Iterable[NewWord]:
    """The words that were really said."""
    language = _base(native_language)
    for word in words:
        if _find(word.term, spoken) and speaks(word.meaning, language):
            yield word


def _find(words: str, text: str) -> Match | None:
    """Where words stand in a text as whole words, whatever the case, spaces and apostrophes."""
    parts = [re.escape(part) for part in _plain(words).split()]
    if not parts:
        return None
    written = unicodedata.normalize("NFC", text)
    words_in_a_row = r"\s+".join(parts)
    found = re.search(rf"(?<!\w){words_in_a_row}(?!\w)", _straight(written), re.IGNORECASE)
    if found is None:
        return None
    start, end = found.span()
    return Match(start, end, len(parts), written[start:end], ())


def _plain(text: str) -> str:
    return " ".join(_straight(unicodedata.normalize("NFC", text)).split())


def _straight(text: str) -> str:
    """The text with straight quotes, letter for letter."""
    return text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})
