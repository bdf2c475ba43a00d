"""The fields of a scenario's form: their labels, help and bounds, and the tables of rows.

How many rows a table may have is said by the script's own dataclasses (`learning.practice.script`).
"""

from dataclasses import dataclass, replace

from learning.practice.script import Node, Part, Script
from learning.shapes import Items, shape_of


@dataclass(frozen=True)
class Field:
    """A text. `widget`: "text", "wide", "long", "lines" (one item each) or the name of its choices.

    `rare`: shown on demand. `when`: only in a dialogue "with" or "without" an outline.
    `for_script`: may be empty where a model alone plays.
    """

    name: str
    label: str
    widget: str = "text"
    help: str = ""
    required: bool = True
    rare: bool = False
    when: str = ""
    for_script: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of the same fields; `shape` and `source` name the list that bounds their number."""

    name: str
    label: str
    item: str
    fields: tuple["Field | Table", ...]
    bounds: Items
    help: str = ""
    id_prefix: str = ""  # rows have ids, which others refer to
    when: str = ""
    folds: bool = False  # rows are shown by their first text, until they are opened

    @property
    def an(self) -> str:
        return "an" if self.item[0] in "aeiou" else "a"


def _bounds(shape: type, name: str) -> Items:
    bound = shape_of(shape)[name].bound
    assert isinstance(bound, Items)  # noqa: S101 - the annotation of a list
    return bound


WORDS = "One way to say it on each line. A slash stands between words that do equally well."
PATTERNS = Field("phrases", "Recognised by", "lines", WORDS, required=False)
UNLESS = Field("unless", "But not if it has", "lines", required=False, rare=True)
EXAMPLE = "A whole sentence, as a good learner of this level says it"

BY_SENTENCE = "Empty: by the whole sentence, for a model alone by any sentence of the scene"

BRANCHES = Table(
    "branches",
    "What learners may say",
    "answer",
    (
        Field("example", "A learner may say", "wide", EXAMPLE),
        replace(PATTERNS, help=f"{WORDS} Empty: by its goal, else by the whole sentence"),
        Field("say", "The partner answers", "wide", required=False),
        Field("goal", "Reaches the goal", "goals", required=False),
        Field("to", "Then on to", "lines_to", required=False),
        Field("also", "Leads here without reaching the goal", "lines", required=False, rare=True),
        UNLESS,
    ),
    replace(_bounds(Node, "branches"), least=0),
    "The first one is the ideal answer. A line without any is an end.",
)
NODES = Table(
    "nodes",
    "The outline",
    "line",
    (
        Field("line", "The partner says", "long"),
        BRANCHES,
        Field(
            "lines",
            "When the partner does not understand",
            "lines",
            "One try on each line. Empty: the line once more",
            required=False,
        ),
        Field("then", "After these tries", "wide", "Said before going on", required=False),
        Field("to", "And on to", "lines_to", required=False),
        Field(
            "hints",
            "Hints",
            "lines",
            "From light to plain, one on each line. Empty: the ideal answer",
            required=False,
        ),
        Field("skip", "Pass over once this goal is reached", "goals", required=False, rare=True),
    ),
    _bounds(Part, "nodes"),
    id_prefix="line",
    when="with",
    folds=True,
)
GOALS = Table(
    "goals",
    "Goals of the learner",
    "goal",
    (
        Field("text", "The goal", "wide", "As learners read it: Ask how much it is"),
        Field(
            "prompt",
            "The partner leads there with",
            "wide",
            "Empty: the goal in brackets. The first goal follows the opening line",
            required=False,
            when="without",
        ),
        Field("example", "A learner may say", "wide", EXAMPLE, when="without", for_script=True),
        replace(PATTERNS, help=f"{WORDS} {BY_SENTENCE}"),
        Field("answer", "The partner answers", "wide", "Wherever it is said", for_script=True),
        UNLESS,
    ),
    _bounds(Part, "goals"),
    id_prefix="goal",
)
ANSWERS = Table(
    "answers",
    "Answers that hold anywhere",
    "answer",
    (
        replace(PATTERNS, label="When a learner says", help=WORDS),
        Field("say", "The partner answers", "wide"),
        Field("goal", "It is about the goal", "goals", required=False, rare=True),
        UNLESS,
    ),
    replace(_bounds(Part, "answers"), least=0),
    "Side questions that may come up at any line: the partner answers, then goes back.",
)
PARTS = Table(
    "parts",
    "Dialogues",
    "dialogue",
    (
        Field("role", "The learner plays", "roles"),
        Field("opening", "Opening line of the partner", "long", when="without"),
        GOALS,
        NODES,
        ANSWERS,
        Field(
            "farewell",
            "Goodbye of the partner",
            "wide",
            "Also said when time is up",
            for_script=True,
        ),
    ),
    _bounds(Script, "parts"),
    "One for each role that learners may take.",
)
FIELDS: tuple[Field | Table, ...] = (
    Field("title", "Title"),
    Field("level", "Level", "levels"),
    Field("language", "Language", help="To practise, by its code: en, es, fr, de"),
    Field("context", "Topic", help="One word to find it by: food, travel, work"),
    Field(
        "partners",
        "Who may play the partner",
        "partners",
        "A model alone needs no sentences of learners, no answers and no goodbye",
        required=False,
    ),
    Field("description", "Situation", "long", "As learners read it, with what they are to achieve"),
    Field("notes", "Notes for teachers", "long", required=False),
    Table(
        "roles",
        "The two roles",
        "role",
        (
            Field("name", "Name", help="Customer, Waiter, Neighbour"),
            Field("brief", "What this person wants and knows", "long"),
        ),
        _bounds(Script, "roles"),
        id_prefix="role",
    ),
    PARTS,
    Table(
        "phrases",
        "Useful phrases",
        "phrase",
        (
            Field("text", "Phrase", help="Can I have …, please?"),
            Field("meaning", "Meaning"),
            replace(PATTERNS, rare=True, help=f"{WORDS} Empty: by the phrase itself"),
            UNLESS,
        ),
        _bounds(Script, "phrases"),
        "Learners may make flashcards of them.",
    ),
    Table(
        "mistakes",
        "Typical mistakes",
        "mistake",
        (
            replace(PATTERNS, label="Wrong", help=WORDS),
            Field("right", "Right"),
            Field("why", "Why"),
            UNLESS,
        ),
        _bounds(Script, "mistakes"),
    ),
)
