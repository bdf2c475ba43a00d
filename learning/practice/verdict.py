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
from learning.practice.matching import Match, Text
from learning.practice.prompt import (
    MOST_WORDS,
    Answer,
    Band,
    Claim,
    Judgement,
    Remark,
)
from learning.practice.script import Mistake, NewWord, Script
from learning.shapes import Items, ShapeError, decode, shape_of

T = TypeVar("T")

BAND_POINTS = 20  # of a hundred, for each of the five bands
COPIED_WORDS = 9
"""So many words in a row that stand in our rules were copied from them."""

SHOWS_ITSELF = 10
"""Of so many words one is frequent, if they are in the language."""

# Frequent words by which a text's language shows, folded. Of a language that is not here only the
# letters are checked.
FREQUENT = {
    "en": "the and you is to of it that in for what have are with this not your can would please i "
    "my me we on at be do dont so but if or how was will about he she they there im its has see",
    "de": "der die das und ist ich sie nicht ein eine mit fur auf wir haben was wie bitte den im "
    "an auch aber es bei dass noch nur sehr so wenn zu mir sich muss kann alles von dem ihnen sind",
    "fr": "le la les et est vous je pas une des un de que pour avec dans ce qui bien votre il elle "
    "on nous mais ou du au sur ca si tres plus y a en ne me mon c j l d moi oui merci",
    "es": "el la los que de y es en un una no para con por usted su lo como muy tiene yo me mi se "
    "pero si hay esta este al del las mas tu te le nos son ser he aqui eso gracias quiere",
    "it": "il la che di e un una non per sono con mi lei questo del si come grazie vuole anche lo "
    "gli le i ma se ho ha al da nel piu io ci cosa bene suo sua qui molto quanto",
    "pt": "o a que de e um uma nao para com por os voce seu isso como mais obrigado tem esta eu me "
    "mas se do da no na ao as ele ela muito aqui sim meu minha sao foi bem quer",
    "nl": "de het een en is ik niet dat van je u met voor op wat heeft zijn te kan dit we maar als "
    "er ook om aan bij naar hoe nog dan wel geen mijn uw zo die goed graag",
    "pl": "nie to jest w na z sie i co jak do pan pani prosze tak za ale czy dla ma o od po juz "
    "ja mi mnie tu ten ta te bardzo moze tylko jestem dziekuje",
    "sv": "och det att som jag ar en ett inte for med har vad kan du vi pa till om den i av men "
    "sa hur mig min ni de var ska vill tack bra har nagot",
}
FREQUENT_WORDS = {language: frozenset(words.split()) for language, words in FREQUENT.items()}
OTHER_LETTERS = {
    "ar": "ARABIC", "bg": "CYRILLIC", "el": "GREEK", "fa": "ARABIC", "he": "HEBREW",
    "hi": "DEVANAGARI", "ja": "HIRAGANA KATAKANA CJK", "ko": "HANGUL", "ru": "CYRILLIC",
    "th": "THAI", "uk": "CYRILLIC", "zh": "CJK",
}  # fmt: skip


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
    hints = [hint for hint in answer.hints if any(_speaks(hint, each) for each in spoken)]
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

    One whose evidence does not stand where it says stays the script's, and so do the goals. Raises
    Refused.
    """
    _refuse_leaks(raw, secret, told)
    judged = _decoded(Judgement, raw)
    return replace(
        scripted,
        vocabulary=_moved(scripted.vocabulary, judged.vocabulary, script, turns),
        grammar=_moved(scripted.grammar, judged.grammar, script, turns),
        fluency=_moved(scripted.fluency, judged.fluency, script, turns),
    )


def _moved(scripted: Score, judged: Band, script: Script, turns: Sequence[str]) -> Score:
    evidence = tuple(
        Evidence(quote.turn - 1, quote.said)
        for quote in judged.evidence
        if quote.turn <= len(turns)
        and _find(quote.said, turns[quote.turn - 1]) is not None
        and not dialogue.is_foreign(script, turns[quote.turn - 1])
    )
    if not evidence:
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
    if not _speaks(text, language):
        raise Refused(f'reply is not in the language "{language}"')


def _speaks(text: str, language: str) -> bool:
    """Whether nothing shows that a text is in another language."""
    letters = [character for character in text if character.isalpha()]
    expected = OTHER_LETTERS.get(language, "LATIN").split()
    foreign = [each for each in letters if unicodedata.name(each, "").split()[0] not in expected]
    if len(foreign) * 2 > len(letters):
        return False
    if language not in FREQUENT:
        return True
    words = Text.of(text, language).words
    said = set(words)
    hits = {name: len(said & frequent) for name, frequent in FREQUENT_WORDS.items()}
    if len(words) >= SHOWS_ITSELF and not hits[language]:
        return False
    return max(hits.values()) < hits[language] + 2


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
    """The goals claimed that the learner's words show by the script's patterns.

    The evidence must stand among these words; `heard` are goals that the script hears in them.
    """
    said = Text.of(text, script.language)
    claimed = {claim.goal for claim in claims if _find(claim.evidence, text) is not None}
    return tuple(
        goal.id
        for goal in script.part(role).goals
        if goal.id in claimed
        and goal.id not in reached
        and (goal.id in heard or goal.cues.find(said))
        and not dialogue.is_foreign(script, text)
    )


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
            and _speaks(remark.why, _base(native_language))
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
        if _find(word.term, spoken) and _speaks(word.meaning, language):
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
