"""Every scenario of the pack played by an ideal learner, and by those who leave the script.

python -m tests.transcripts      writes the golden files anew: read them before you keep them
"""

import json
from collections.abc import Iterator
from functools import cache
from itertools import chain, cycle, islice
from pathlib import Path

from learning.practice import dialogue
from learning.practice.dialogue import Script

PACK = Path(__file__).parent.parent / "learning" / "content" / "scenarios"
GOLDEN = Path(__file__).with_name("transcripts")
OFF_TOPIC = {
    "en": ("My cat is called Molly.", "Did you see the football last night?"),
    "es": ("Mi gato se llama Luna.", "¿Viste el fútbol anoche?"),
    "fr": ("Mon chat s'appelle Minou.", "Tu as vu le foot hier soir ?"),
    "de": ("Meine Katze heißt Minka.", "Hast du gestern Fußball gesehen?"),
}
ONE_WORD = {
    "en": ("Yes.", "No.", "Maybe.", "OK.", "Thanks."),
    "es": ("Sí.", "No.", "Quizás.", "Vale.", "Gracias."),
    "fr": ("Oui.", "Non.", "Peut-être.", "D'accord.", "Merci."),
    "de": ("Ja.", "Nein.", "Vielleicht.", "Gut.", "Danke."),
}
ANOTHER_LANGUAGE = {
    "en": ("No entiendo, lo siento.", "¿Puede hablar más despacio?"),
    "es": ("I don't understand, sorry.", "Can you speak more slowly?"),
    "fr": ("I don't understand, sorry.", "Can you speak more slowly?"),
    "de": ("I don't understand, sorry.", "Can you speak more slowly?"),
}


@cache  # parsing them all takes a second
def scripts() -> list[Script]:
    paths = sorted(PACK.glob("*.json"))
    return [dialogue.parse(json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def transcript(script: Script) -> str:
    """What each of these learners and the partner say, in every role that can be played."""
    return "\n".join(chain.from_iterable(_plays(script)))


def _plays(script: Script) -> Iterator[list[str]]:
    for part in script.parts:
        ideal = dialogue.rehearsal(script, part.role)
        learners = {
            "ideal": iter(ideal),
            "out of order": reversed(ideal),
            "off topic": islice(cycle(OFF_TOPIC[script.language]), 30),
            "one word": islice(cycle(ONE_WORD[script.language]), 30),
            "another language": islice(cycle(ANOTHER_LANGUAGE[script.language]), 30),
        }
        for name, answers in learners.items():
            yield [f"## {part.role}, {name}", "", *_play(script, part.role, answers), ""]


def _play(script: Script, role: str, answers: Iterator[str]) -> Iterator[str]:
    line, state = dialogue.opening(script, role)
    yield f"- {line}"
    for answer in answers:
        if state["ended"]:
            return
        reply = dialogue.reply(script, state, answer)
        reached = f"   [{', '.join(reply.goals)}]" if reply.goals else ""
        yield f"> {answer}{reached}"
        yield f"- {reply.line}"
        state = reply.state


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for script in scripts():
        text = f"# {script.title}\n\n{transcript(script)}"
        (GOLDEN / f"{script.id}.md").write_text(text, encoding="utf-8")
