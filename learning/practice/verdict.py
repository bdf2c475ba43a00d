"""What counts of a model's answer: it is read as if an enemy had written it.

A model may be wrong, and may obey what a learner has written to it. So nothing of an answer changes
what code can tell by itself: whose role it is, the language, which goals there are, whether a
goal's own patterns stand in the learner's words, where a mistake stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin

from config.records import dataclass
from learning.practice import dialogue, leaks
from learning.practice.dialogue import Correction, Evidence, Score, Scores
from learning.practice.languages import content_words, explains, speaks, words_of
from learning.practice.matching import Match, Text, straight
from learning.practice.prompt import (
    MOST_WORDS,
    Answer,
    Band,
    Claim,
    Entry,
    Judgement,
    Remark,
)
from learning.practice.script import Goal, Mistake, NewWord, Script, words_of_the_scene
from learning.shapes import Items, ShapeError, decode, shape_of

T = TypeVar("T")

BAND_POINTS = 20  # of a hundred, for each of the five bands
COPIES = frozenset({"said", "evidence", "sentence", "cloze"})
"""Fields with the learner's own words."""
BETTER_BY = 8
"""A correction has at most twice as many words as the mistake, and so many more."""
MOST_OF_EXAMPLE = 0.8
"""So many of its words are most of a goal's example: of "Here you are" all three."""


class Refused(ValueError):
    """An answer that may not be shown. The text tells the model why, once."""


class Leaked(Refused):
    """An answer that tells something of our rules: the model is not asked again."""


@dataclass(frozen=True)
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
    answer = _decoded(Answer, _without_faulty_entries(raw))
    _refuse_leaks(answer, secret, told)
    [partner] = (each.id for each in script.roles if each.id != role)
    if answer.speaker != partner:
        raise Refused(f"speaker must be {partner}")
    if leaks.is_no_speech(answer.reply):
        raise Refused("reply is nothing that a person says aloud")
    tongue = _Tongue(script, _base(native_language))
    if not tongue.says(answer.reply):
        raise Refused(f'reply is not in the language "{script.language}"')
    if not tongue.is_short(answer.reply):
        raise Refused(f"reply has more than {MOST_WORDS[script.level]} words")
    goals = _proved_goals(answer.goals_reached, script, role, text, reached, heard)
    over = {*reached, *goals} >= {goal.id for goal in script.part(role).goals}
    return Accepted(
        reply=answer.reply.strip(),
        goals=goals,
        corrections=_sound_corrections(answer.corrections, script, text, tongue),
        new_words=tuple(_words_of(answer.new_words, f"{answer.reply}\n{text}", tongue)),
        hints=tuple(hint for hint in answer.hints if tongue.is_hint(hint)),
        ended=answer.ended and over,
    )


def accept_scores(
    raw: object, script: Script, turns: Sequence[str], scripted: Scores, *, secret: str, told: str
) -> Scores:
    """The scores by a model's judgement, each at most a band from the script's own.

    One whose evidence does not stand where it says stays the script's, and so do the goals and
    what the script does not score. Raises Refused.
    """
    judged = _decoded(Judgement, raw)
    _refuse_leaks(judged, secret, told)
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


def _refuse_leaks(answer: Answer | Judgement, secret: str, told: str) -> None:
    """Raises Leaked where the texts of an answer tell of our rules, in whatever words."""
    refuse_copies(answer, secret, told)
    if any(map(leaks.speaks_of_rules, spoken(asdict(answer)))):
        raise Leaked("it speaks of the rules")


def refuse_copies(answer: Answer | Judgement | Entry, secret: str, told: str) -> None:
    """Raises Leaked where the texts of an answer have the secret, or a piece of our rules."""
    fields = asdict(answer)
    if leaks.has_secret(_texts(fields), secret) or leaks.has_rules(spoken(fields), told):
        raise Leaked("it tells something of the rules")


def spoken(fields: object) -> list[str]:
    """All texts of an answer, a proposal and the like, but for the learner's own words."""
    return list(_texts(fields, but=COPIES))


def _texts(value: object, *, but: frozenset[str] = frozenset()) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in but:
                yield from _texts(inner, but=but)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, but=but)


# --- The language ---------------------------------------------------------------------------------


class _Tongue:
    """The languages of an answer: the scenario's, which its script shows, and the learner's own."""

    def __init__(self, script: Script, native: str) -> None:
        self._script, self._native = script, native
        self._known = _known_words(script)

    def says(self, text: str) -> bool:
        """Whether a text is in the scenario's language."""
        return not leaks.is_no_speech(text) and speaks(text, self._script.language, self._known)

    def explains(self, text: str, quoted: str) -> bool:
        """Whether a text about words of the scenario's language is in the learner's own."""
        known = words_of([quoted], self._native)
        return not leaks.is_no_speech(text) and explains(text, self._native, known)

    def is_short(self, text: str) -> bool:
        return _length(text, self._script.language) <= MOST_WORDS[self._script.level]

    def is_hint(self, text: str) -> bool:
        """Whether the text is a line for the learner to say, or advice on finding one."""
        return self.is_short(text) and (self.says(text) or self.explains(text, ""))

    def is_example(self, text: str) -> bool:
        return self.is_short(text) and self.says(text)

    def is_better(self, better: str, said: str) -> bool:
        """Whether a text may stand in the place of a mistake."""
        most = 2 * _length(said, self._script.language) + BETTER_BY
        return _length(better, self._script.language) <= most and self.says(better)


@lru_cache(maxsize=8)
def _known_words(script: Script) -> frozenset[str]:
    return words_of(_lines(script), script.language)


def _lines(script: Script) -> Iterable[str]:
    """All that a script says in its language, or lets learners say."""
    for part in script.parts:
        for node in part.nodes:
            yield node.line
            yield from (text for each in node.branches for text in (each.say, each.example))
            if node.fallback:
                yield from (*node.fallback.lines, node.fallback.then)
        yield from (part.farewell, *(answer.say for answer in part.answers))
    yield from (phrase.text for phrase in script.phrases)


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

    Of those it has two, or they are more than half of what it says.
    """
    wanted = {*Text.of(goal.example, script.language).words}
    said = {*Text.of(sentence, script.language).words}
    if wanted and len(said & wanted) >= MOST_OF_EXAMPLE * len(wanted):
        return True
    scene = words_of_the_scene(script) | content_words(goal.text, script.language)
    about = content_words(sentence, script.language)
    shared = sum(any(_is_same(word, other) for other in scene) for word in about)
    return shared >= 2 or 2 * shared > len(about)


def _is_same(word: str, other: str) -> bool:
    """Whether two words are the same but for a last letter: cost and costs."""
    shorter, longer = sorted((word, other), key=len)
    return longer.startswith(shorter) and len(longer) - len(shorter) <= 1


def _sound_corrections(
    remarks: Iterable[Remark], script: Script, text: str, tongue: _Tongue
) -> tuple[Correction, ...]:
    """The script's own corrections, and those of the model's that stand elsewhere in the text."""
    written = unicodedata.normalize("NFC", text)
    mistakes = dialogue.mistakes(script, Text.of(text, script.language))
    for remark in remarks:
        match = _find(remark.said, written)
        if (
            match
            and _plain(remark.said) != _plain(remark.better)
            and tongue.is_better(remark.better, remark.said)
            and tongue.explains(remark.why, remark.better)
            and not any(
                match.start < other.end and other.start < match.end for other, _ in mistakes
            )
        ):
            mistakes.append((match, Mistake(phrases=(), right=remark.better, why=remark.why)))
    return dialogue.put_right(written, sorted(mistakes, key=lambda each: each[0].start))


def _words_of(words: Iterable[NewWord], heard: str, tongue: _Tongue) -> Iterable[NewWord]:
    """The words that were really said."""
    for word in words:
        if (
            _find(word.term, heard)
            and tongue.explains(word.meaning, word.term)
            and tongue.is_example(word.example)
        ):
            yield word


def _find(words: str, text: str) -> Match | None:
    """Where words stand in a text as whole words, whatever the case, spaces and apostrophes."""
    parts = [re.escape(part) for part in _plain(words).split()]
    if not parts:
        return None
    written = unicodedata.normalize("NFC", text)
    words_in_a_row = r"\s+".join(parts)
    found = re.search(rf"(?<!\w){words_in_a_row}(?!\w)", straight(written), re.IGNORECASE)
    if found is None:
        return None
    start, end = found.span()
    return Match(start, end, len(parts), written[start:end], ())


def _plain(text: str) -> str:
    return " ".join(straight(unicodedata.normalize("NFC", text)).split())
