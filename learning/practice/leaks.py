"""Finds confidential instructions in a model's words, in whatever disguise.

All texts of an answer are looked at as one, so that nothing is hidden by being cut into pieces.
Compared are letters alone, whatever their case, accents and shape, and whatever stands between
them; forwards, backwards and by ROT13. The numbers below are from the scenarios of our pack: all of
their lines pass.
"""

from __future__ import annotations

import base64
import codecs
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

COPIED = 18
"""So many letters in a row that stand in our rules were copied from them; 16 happen by chance."""

SECRET_PARTS = 4
"""So many different threes of the secret's signs are no chance."""

ENCODED = 8
"""So many signs in a row of the encoded secret are no chance."""

NOTIONS_TOLD = 3
"""A text with so many notions of our rules speaks of them; in our pack one text has two."""
COUNT_TWICE = frozenset({"instructions", "prompt", "formats"})
"""Notions that scenes have rarely."""

# Letters that look like Latin ones, beside those whose Unicode names end in the letter itself.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһкмтвнԁԛԝαβεζηικμνορτυχıℓ",
    "aeopcyxijshkmtbhdqwabezhikmnoptyxil",
)
_LEET = str.maketrans("0134578", "oieastb")
_NUMBERS = {
    "de": "null eins zwei drei vier funf sechs sieben acht neun",
    "en": "zero one two three four five six seven eight nine",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "fr": "zero un deux trois quatre cinq six sept huit neuf",
    "vi": "khong mot hai ba bon nam sau bay tam chin",
}
_SIGNS = {name: str(i) for names in _NUMBERS.values() for i, name in enumerate(names.split())}
_SIGNS |= {
    name: name[0] for name in ("alfa", "alpha", "bravo", "charlie", "delta", "echo", "foxtrot")
}
# Control signs, those that turn the order of letters, halves of signs, private ones, tags.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\uf8ff\U000e0000-\U0010ffff]"
)
_STRUCTURE = re.compile(r"[{}`]|\"\s*:\s*[\"\d\[tfn]|</?\w+>|\\u[0-9a-fA-F]{4}|&#|://")
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters of Hangul that nobody sees
_PARTS_OF_PROMPT = re.compile(r"\b(?:SCENARIO|SESSION|RUBRIC)\b")
_ENTRY = re.compile(r"(?<!\w)(\w+)[\"']?\s*[:=]")
_LONG_WORD = re.compile("[A-Za-z0-9]{16,}")
_CASE_CHANGES = re.compile("[a-z][A-Z]")

# The names of our prompts, first those that no language has.
OUR_NAMES = frozenset({"goalsreached", "mostwords", "nativelanguage", "newwords"})
_FIELDS = (
    "title situation language level partner learner goals examples facts lines phrases endings "
    "secret opening turn reached speaker reply corrections hints"
)
_ENTRIES = OUR_NAMES.union(_FIELDS.split())
# How our rules' notions begin in the languages that learners read, folded.
NOTIONS = {
    "instructions": "instruc instruk anweisung vorschrift consigne istruzion huongdan chidan "
    "инструкц указани 指示 指令 talimat 지시 تعليمات",
    "rules": "rule regel regle regla regola regole regra quytac правил 规则 ルール zasad "
    "kural 규칙 قواعد",
    "prompt": "prompt systemprompt systemnachricht промпт 提示词",
    "formats": "json cefr mcer cecr iso639",
    "scenario": "scenario scenari szenario escenario cenario kichban roleplay rollenspiel "
    "сценари 场景 剧本 シナリオ senaryo 시나리오 سيناريو",
    "learner": "learner lernende apprenant aprendiz alumn estudiante discente allievo "
    "aluno nguoihoc hocvien учащ ученик 学习者 学生 学習者 leerling uczen ogrenci 학습자 "
    "متعلم",
    "role": "role rolle papel ruolo vaidien роль роли 角色 役割 rola rolu 역할 دور",
    "secret": "secret geheim secreto segret segredo bimat секрет 秘密 tajemnic gizli 비밀 سر",
    "tool": "tool werkzeug outil herramienta strumento ferramenta congcu инструмент 工具 ツール",
    "goals": "goal ziele objecti objetivo obiettiv muctieu цели 目标 目標 doelen hedef 목표 هدف",
    "message": "message nachricht mensaje messaggi mensagem tinnhan сообщени 消息 メッセージ "
    "bericht wiadomos mesaj 메시지 رسالة",
    "partner": "partner partenaire companero đoitac партнер 伙伴 パートナー",
    "session": "session sitzung sesion sessione phien сесси 会话 セッション",
    "language": "language sprache idioma langue lingua ngonngu язык 语言 言語 taal jezyk dil 언어 "
    "لغة",
    "level": "level niveau nivel livello trinhdo уров 水平 レベル",
    "correction": "correction korrektur correccion correzion correcao suasai исправлени 纠正 訂正",
    "hint": "hint hinweis indice pista suggeriment goiy подсказк 提示",
}


def is_no_speech(text: str) -> bool:
    """Whether a text is none that a person says: structure, encoded, unseen, or hardly a word."""
    if has_unseen(text) or _STRUCTURE.search(text):
        return True
    if any(_is_encoded(word) for word in _LONG_WORD.findall(text)):
        return True
    seen = [unicodedata.category(character)[0] for character in text if not character.isspace()]
    return 2 * sum(kind in "LMN" for kind in seen) < len(seen)  # letters, marks on them, numbers


def has_unseen(text: str) -> bool:
    """Whether a text has signs that nobody sees and no language needs."""
    return _UNSEEN.search(text) is not None


def _is_encoded(word: str) -> bool:
    """Whether a long word is none of a language: letters and digits, or capitals in its midst."""
    has_digits = any(map(str.isdigit, word)) and any(map(str.isalpha, word))
    return has_digits or len(_CASE_CHANGES.findall(word)) >= 3 or len(word) >= 50


def has_secret(texts: Iterable[str], secret: str) -> bool:
    """Whether the texts together have the secret, in pieces, spelt or encoded."""
    words = [_SIGNS.get(word, word) for word in _words(" ".join(texts))]
    pieces = "".join(word for word in words if re.fullmatch("[0-9a-f]+", word))
    told = ("".join(words), pieces)
    for form in _both_ways(secret, codecs.encode(secret, "rot13")):
        parts = {form[i : i + 3] for i in range(len(form) - 2)}
        if any(sum(part in each for part in parts) >= SECRET_PARTS for each in told):
            return True
    return not _encoded(secret).isdisjoint(_runs(told[0], ENCODED))


def has_rules(texts: Iterable[str], rules: str) -> bool:
    """Whether the texts together have a piece of our rules."""
    letters = _letters(" ".join(texts))
    told = _both_ways(letters, codecs.encode(letters, "rot13"))
    return any(not _pieces(rules).isdisjoint(_runs(each, COPIED)) for each in told)


def speaks_of_rules(text: str) -> bool:
    """Whether a text names parts of our prompts, or so many of their notions in any language."""
    words = _words(text)
    if not OUR_NAMES.isdisjoint({*words, *(word[::-1] for word in words)}):
        return True
    entries = {"".join(_words(name)) for name in _ENTRY.findall(text)}
    pairs = [first + second for first, second in pairwise(words)]  # Vietnamese has two for one
    said = f" {' '.join(words)} {' '.join(pairs)}"
    notions = sum(
        2 if notion in COUNT_TWICE else 1
        for notion, stems in _stems().items()
        if any(stem in said for stem in stems)
    )
    notions += bool(_PARTS_OF_PROMPT.search(text))
    return len(_ENTRIES & entries) >= NOTIONS_TOLD or notions >= NOTIONS_TOLD


@lru_cache(maxsize=1)
def _stems() -> dict[str, list[str]]:
    """The notions' beginnings, each where a word may begin: anywhere in Chinese and Japanese."""
    return {name: [_as_begun(_fold(each)) for each in NOTIONS[name].split()] for name in NOTIONS}


def _as_begun(stem: str) -> str:
    return stem if stem[0] >= "\u2e80" else f" {stem}"


@lru_cache(maxsize=8)
def _encoded(secret: str) -> set[str]:
    """The runs of the secret in the usual encodings, wherever in a text it was encoded."""
    forms = [base64.b32encode(secret.encode()).decode()]
    for form in (secret, secret.upper()):
        forms += [form.encode().hex(), "".join(str(ord(sign)) for sign in form)]
    for form in _both_ways(secret, secret.upper()):
        for offset in range(3):
            encoded = base64.b64encode(b" " * offset + form.encode()).decode()
            forms.append(encoded[4 if offset else 0 :].rstrip("=")[:-1])
    return {run for each in _both_ways(*forms) for run in _runs(_fold(each), ENCODED)}


def _both_ways(*texts: str) -> list[str]:
    return [*texts, *(text[::-1] for text in texts)]


@lru_cache(maxsize=4)
def _pieces(rules: str) -> set[str]:
    return _runs(_letters(rules), COPIED)


def _runs(text: str, length: int) -> set[str]:
    return {text[i : i + length] for i in range(len(text) - length + 1)}


def _letters(text: str) -> str:
    """The letters alone, those that digits stand for as well."""
    return "".join(filter(str.isalpha, "".join(_words(text)).translate(_LEET)))


def _words(text: str) -> list[str]:
    """The words, as they are compared. Signs that nobody sees divide none."""
    return [word for each in text.split() for word in re.findall(r"[^\W_]+", _fold(each))]


def _fold(text: str) -> str:
    """The text in lower case and Latin letters, without accents and signs that nobody sees."""
    seen = "".join(
        each for each in text if unicodedata.category(each) != "Cf" and each not in _FILLERS
    )
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", seen).casefold())
    shown = "".join(each for each in plain if not unicodedata.combining(each))
    if shown.isascii():
        return shown
    return "".join(_look(each) for each in shown.translate(_LOOKALIKES))


def _look(character: str) -> str:
    """The Latin letter or digit that a sign is a shape of, else the sign."""
    if character.isascii():
        return character
    number = unicodedata.numeric(character, -1)
    if number in range(10):
        return str(int(number))
    last = unicodedata.name(character, "").rpartition(" ")[2]
    return last.casefold() if len(last) == 1 else character
