"""Whether a text is in a language, told by its letters and its frequent words.

No library: those that are exact on one short sentence are larger than the whole function.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from learning.practice.matching import Text, fold

KNOWN_BY = 6
"""Of so many words one is known, if they are in the language."""

# Frequent words by which a text's language shows, without accents.
FREQUENT = {
    "da": "og det at som jeg er en et ikke for med har hvad kan du vi pa til om den i af men sa "
    "hvor mig min de var skal vil tak godt hej ja nej",
    "de": "der die das und ist ich sie nicht ein eine einen mit fur auf wir haben was wie bitte "
    "den im an auch aber es bei dass noch nur sehr so wenn zu mir sich muss kann alles von "
    "dem ihnen sind ja nein danke guten tag hallo gut heute hier ihr ihre mein er du hat wo "
    "gern gerne morgen jetzt da dann doch mich uns war werden wird mehr schon immer uber "
    "nach aus am vom zum zur habe hatte mochte konnen gibt oder ob wer als um bis ganz "
    "etwas nichts geht macht komme kommen",
    "en": "the and you is to of it that in for what have are with this not your can would please "
    "i my me we on at be do dont so but if or how was will about he she they there im its "
    "has see yes no hello thank thanks sorry here good from by an any all one when which "
    "who did does then just very too as than more our let lets could should right had been "
    "were his her him us them their now time day days up out well some only over into "
    "because last first two three four five six seven eight nine ten go going get got come "
    "came take make give say said tell know think look want need like thats ive ill youre "
    "youll id whats theres isnt cant didnt wont again really maybe much many another other "
    "little big new old where why course a something anything nothing everything oh youve "
    "weve theyre",
    "es": "el la los que de y es en un una no para con por usted su lo como muy tiene yo me mi se "
    "pero si hay esta este al del las mas tu te le nos son ser he aqui eso gracias quiere "
    "hola buenos buenas dias bien claro cuanto donde ahora quiero puede ha o sus ya cuando "
    "porque desde estoy tengo era fue vale todo todos nada algo uno dos tres vamos estas "
    "estos estan sobre",
    "fr": "le la les et est vous je pas une des un de que pour avec dans ce qui bien votre il "
    "elle on nous mais ou du au sur ca si tres plus y a en ne me mon c j l d moi oui non "
    "merci bonjour voici voila quel quelle ici tu sont avez alors bonsoir se qu n s m t ma "
    "vos ses cette ces par tout tous deux trois quand comme aux fait faut peut suis ai "
    "etait cela rien vraiment",
    "id": "yang dan di ini itu saya anda tidak untuk dengan ada apa ke dari akan bisa terima "
    "kasih ya juga kami mau selamat",
    "it": "il la che di e un una non per sono con mi lei questo del si come grazie vuole anche lo "
    "gli le i ma se ho ha al da nel piu io ci cosa bene suo sua qui molto quanto ciao "
    "buongiorno prego certo va quale adesso della dei delle ti era essere fare questa tutto "
    "due tre",
    "nl": "de het een en is ik niet dat van je u met voor op wat heeft zijn te kan dit we maar "
    "als er ook om aan bij naar hoe nog dan wel geen mijn uw zo die goed graag ja nee dank "
    "hallo goedendag",
    "pl": "nie to jest w na z sie i co jak do pan pani prosze tak za ale czy dla ma o od po juz "
    "ja mi mnie tu ta te bardzo moze tylko jestem dziekuje dobrze dzien dobry",
    "pt": "o a que de e um uma nao para com por os voce seu isso como mais obrigado tem esta eu "
    "me mas se do da no na ao as ele ela muito aqui sim meu minha sao foi bem quer ola bom "
    "dia qual onde agora obrigada",
    "ro": "si nu este un o de la pe cu ce va rog multumesc da eu sunt sa mai pentru dar ca al ai "
    "buna bine",
    "sv": "och det att som jag ar en ett inte for med har vad kan du vi pa till om den i av men "
    "sa hur mig min ni de var ska vill tack bra nagot hej ja nej",
    "tr": "ve bir bu icin siz cok yok evet hayir tesekkurler lutfen merhaba iyi ama gibi daha mi "
    "degil nasil simdi istiyorum tamam",
    "vi": "la cua va co khong toi ban mot được cho nguoi nay trong voi cac nhung rat xin chao cam "
    "vang muon đay đen anh em se thi ma noi cau tu hay",
}
OTHER_LETTERS = {
    "ar": "ARABIC", "bg": "CYRILLIC", "el": "GREEK", "fa": "ARABIC", "he": "HEBREW",
    "hi": "DEVANAGARI", "ja": "HIRAGANA KATAKANA CJK", "ko": "HANGUL", "ru": "CYRILLIC",
    "th": "THAI", "uk": "CYRILLIC", "zh": "CJK",
}  # fmt: skip
_SENTENCE_END = re.compile(r"(?<=[.!?…;:。！？])\s*")
_QUOTED = re.compile(r"(?<!\w)'.+?'(?!\w)|\".+?\"|«.+?»|„.+?[“”]|“.+?”|‘.+?’(?!\w)")


def speaks(text: str, language: str, known: frozenset[str] = frozenset()) -> bool:
    """Whether every sentence of a text is in the language; `known` are more words of it, folded."""
    return all(_is_in(each, language, known) for each in {*_SENTENCE_END.split(text), text})


def explains(text: str, language: str, known: frozenset[str] = frozenset()) -> bool:
    """Whether a text is in this language, apart from quotations of another one."""
    plain = _QUOTED.sub(" ", text)
    return _is_in(plain if any(map(str.isalpha, plain)) else text, language, known)


def words_of(texts: Iterable[str], language: str) -> frozenset[str]:
    """The words of some texts, folded."""
    return frozenset(word for text in texts for word in Text.of(text, language).words)


def content_words(text: str, language: str) -> set[str]:
    """The words that say what a text is about: of three letters or more, and not frequent."""
    words = Text.of(text, language).words
    return {word for word in words if len(word) > 2} - _frequent(language, language)


def _is_in(text: str, language: str, known: frozenset[str]) -> bool:
    letters = [character for character in text if character.isalpha()]
    expected = OTHER_LETTERS.get(language, "LATIN").split()
    strange = [each for each in letters if unicodedata.name(each, "").split()[0] not in expected]
    if len(strange) * 2 > len(letters):
        return False
    own = _frequent(language, language) | known
    if language in OTHER_LETTERS or not own:
        return True
    words = Text.of(text, language).words
    if len(words) >= KNOWN_BY and own.isdisjoint(words):
        return False
    # English has "don't" for one word, French "l'eau" for two: a text is read both ways.
    said = {word for way in {language, "en", "fr"} for word in Text.of(text, way).words}
    return not any(
        _outweighs(said, theirs=_frequent(other, language), ours=own)
        for other in FREQUENT
        if other != language
    )


def _outweighs(said: set[str], *, theirs: frozenset[str], ours: frozenset[str]) -> bool:
    """Whether of the words that only one of two languages has more are theirs; letters are none."""
    for_them = sum(len(word) > 1 for word in (said & theirs) - ours)
    for_us = len((said & ours) - theirs)
    return for_them > max(for_us, 1) or (for_them == 1 and len(said) > 1 and not for_us)


@lru_cache(maxsize=256)
def _frequent(language: str, folded_as: str) -> frozenset[str]:
    """A language's frequent words as a text in another language has them folded."""
    return frozenset(fold(word, folded_as) for word in FREQUENT.get(language, "").split())
