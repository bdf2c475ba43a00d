"""The language of a text, by its letters and most frequent words.

A pure rule of its own: what a learner writes and what a model answers are both looked at by it.
"""

import unicodedata

from learning.practice.matching import Text

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


def speaks(text: str, language: str) -> bool:
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


def content_words(text: str, language: str) -> set[str]:
    """The words that say what a text is about: of three letters or more, and not frequent."""
    frequent = FREQUENT_WORDS.get(language, frozenset())
    return {word for word in Text.of(text, language).words if len(word) > 2} - frequent
