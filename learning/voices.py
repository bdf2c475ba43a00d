"""The voices of Amazon Polly: the best one of each language, by its tag.

Amazon Polly: "Available voices" (read in November 2026). Ids are Polly's, without accents. Polly
has no voice for Vietnamese.
"""

from config.records import dataclass

STANDARD_ONLY = frozenset({"ro-RO", "ru-RU"})
# The first voice of a tag is its best. A language without a region takes the first tag that has it.
VOICES = {
    "de-DE": ("Vicki", "Daniel"),
    "en-GB": ("Amy", "Brian"),
    "en-US": ("Joanna", "Matthew"),
    "es-ES": ("Lucia", "Sergio"),
    "fr-FR": ("Lea", "Remi"),
    "it-IT": ("Bianca", "Adriano"),
    "ja-JP": ("Takumi", "Kazuha"),
    "ko-KR": ("Seoyeon",),
    "nl-NL": ("Laura",),
    "pl-PL": ("Ola",),
    "pt-PT": ("Ines",),
    "pt-BR": ("Camila", "Thiago"),
    "ro-RO": ("Carmen",),
    "ru-RU": ("Tatyana", "Maxim"),
    "sv-SE": ("Elin",),
}
NAMES = tuple(sorted({name for names in VOICES.values() for name in names}))


@dataclass(frozen=True)
class Voice:
    """A voice, how Polly makes it, and the tag of the language that it speaks."""

    id: str
    engine: str
    language: str


def voice_for(language: str, wanted: str | None = None) -> Voice | None:
    """The wanted voice of a language, or its best one; None where there is none."""
    tags = [tag for tag in VOICES if tag.lower() == language.lower()]
    base = language.partition("-")[0].lower()
    tags += [tag for tag in VOICES if tag.partition("-")[0] == base]
    for tag in tags:
        for name in VOICES[tag]:
            if wanted in (None, name):
                return Voice(name, "standard" if tag in STANDARD_ONLY else "neural", tag)
    return None
