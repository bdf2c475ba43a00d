"""A scenario's form as a page shows it: inputs, rows, errors at their place, and its words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from accounts.browse.forms import Choice, FormError, Input
from config.formats import CEFR_LEVELS
from learning.browse.script_fields import FIELDS, NODES, PARTS, Field, Table
from learning.browse.script_form import Fields, Form, lines_of
from learning.practice.script import MODEL, SCRIPTED

Errors = Mapping[str, list[str]]
"""Messages by the path of a field, a row or a table."""


@dataclass(frozen=True)
class RowView:
    """A row: the name and key of the hidden field that keeps its place, its id if it has one."""

    path: str
    key: str
    id: str | None
    title: str
    fields: list["Input | TableView"]
    rare: list[Input]
    errors: list[str]
    is_open: bool

    @property
    def anchor(self) -> str:
        return self.path.replace(".", "-")

    @property
    def is_part(self) -> bool:
        return self.path.startswith("parts.") and self.path.count(".") == 1

    @property
    def is_outlined(self) -> bool:
        return any(isinstance(field, TableView) and field.table is NODES for field in self.fields)

    @property
    def is_rare_open(self) -> bool:
        return any(input_.value or input_.errors for input_ in self.rare)


@dataclass(frozen=True)
class TableView:
    table: Table
    path: str
    rows: list[RowView]
    errors: list[str]

    @property
    def id(self) -> str:
        return self.path.replace(".", "-")

    @property
    def is_full(self) -> bool:
        """Whether there may be no more rows."""
        return len(self.rows) >= self.table.bounds.most

    @property
    def is_least(self) -> bool:
        return len(self.rows) <= self.table.bounds.least

    @property
    def is_single(self) -> bool:
        return len(self.rows) == 1

    @property
    def is_fixed(self) -> bool:
        return self.table.bounds.least == self.table.bounds.most


Choices = Mapping[str, list[tuple[str, str]]]


def view(form: Form, errors: Errors, touched: str = "") -> list[Input | TableView]:
    """The rows of a form as a page shows them, each with its errors.

    Rows that fold are open where something is wrong, and around what was `touched`.
    """
    names = [role["name"] for role in form["roles"]]
    choices = {
        "levels": [("", "Choose"), *((level, level) for level in CEFR_LEVELS)],
        "partners": [
            ("", "The script or a model"),
            (SCRIPTED, "The script alone"),
            (MODEL, "A model alone"),
        ],
        "roles": [
            ("", "Choose"),
            *((str(n), name or f"Role {n + 1}") for n, name in enumerate(names)),
        ],
    }
    by_model = form["partners"] == MODEL
    return list(_View(errors, choices, touched, by_model=by_model).of(FIELDS, form, ""))


@dataclass(frozen=True)
class _View:
    errors: Errors
    choices: Choices
    touched: str = ""  # the row or table of the button that was pressed
    outline: str = ""  # "with" or "without" one, inside a dialogue
    helps: bool = True  # only first rows say what their fields are for
    by_model: bool = False  # a model alone plays

    def of(self, fields: Fields, row: Form, prefix: str) -> Iterator[Input | TableView]:
        for field in fields:
            path = f"{prefix}{field.name}"
            if field.when not in ("", self.outline):
                continue
            if isinstance(field, Field):
                yield self.input(field, path, row[field.name])
            else:
                rows = [self.row(field, each, path, n) for n, each in enumerate(row[field.name])]
                yield TableView(field, path, rows, self.errors.get(path, []))

    def row(self, table: Table, row: Form, path: str, number: int) -> RowView:
        inside = self.in_dialogue(row) if table is PARTS else self
        inside = replace(inside, helps=self.helps and (number == 0 or table.folds))
        here = f"{path}.{number}"
        shown = list(inside.of(table.fields, row, f"{here}."))
        rare = {f"{here}.{f.name}" for f in table.fields if isinstance(f, Field) and f.rare}
        first = row[table.fields[0].name].strip() if table is not PARTS else ""
        return RowView(
            here,
            str(number),
            row.get("id") if table.id_prefix else None,
            first.partition("\n")[0][:40] or f"{table.item} {number + 1}",
            [s for s in shown if isinstance(s, TableView) or s.name not in rare],
            [s for s in shown if isinstance(s, Input) and s.name in rare],
            self.errors.get(here, []),
            not table.folds
            or not first
            or any(f"{at}.".startswith(f"{here}.") for at in (self.touched, *self.errors)),
        )

    def in_dialogue(self, part: Form) -> "_View":
        goals = [(goal["id"], goal["text"][:60] or goal["id"]) for goal in part["goals"]]
        lines = [(node["id"], node["line"][:60] or node["id"]) for node in part["nodes"]]
        choices = {
            **self.choices,
            "goals": [("", "none"), *goals],
            "lines_to": [("", "the next line"), *lines],
        }
        return replace(self, choices=choices, outline="with" if part["nodes"] else "without")

    def input(self, field: Field, path: str, value: str) -> Input:
        options = self.choices.get(field.widget)
        widget = "choice" if options else {"lines": "long"}.get(field.widget, field.widget)
        wrong = (ms for at, ms in self.errors.items() if at == path or at.startswith(f"{path}."))
        return Input(
            path,
            field.label,
            widget,
            values=[value],
            help=field.help if self.helps else "",
            required=field.required and not (self.by_model and field.for_script),
            choices=[Choice(v, label, v == value) for v, label in options or ()],
            errors=[message for messages in wrong for message in messages],
        )


def faults(shown: list[Input | TableView], errors: Errors) -> list[FormError]:
    """The errors for the head of the page, each with the place to put it right in."""
    labels = dict(_labels(shown, ()))
    return [
        FormError(at.replace(".", "-"), " \u203a ".join(labels.get(at, ())), message)
        for path, messages in errors.items()
        for at in [_nearest(path, labels)]
        for message in messages
    ]


def _nearest(path: str, labels: Mapping[str, Any]) -> str:
    while path and path not in labels:
        path = path.rpartition(".")[0]
    return path


def _labels(
    shown: list[Input | TableView], above: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in shown:
        if isinstance(each, Input):
            yield each.name, (*above, each.label)
            continue
        yield each.path, (*above, each.table.label)
        for number, row in enumerate(each.rows, start=1):
            name = (
                ()
                if each.table is PARTS and len(each.rows) == 1
                else (f"{each.table.item.capitalize()} {number}",)
            )
            yield row.path, (*above, *name)
            yield from _labels([*row.fields, *row.rare], (*above, *name))


# --- A script in words, to compare ----------------------------------------------------------------


def in_lines(form: Form) -> list[tuple[int, str]]:
    """The form as lines of words, each with its depth."""
    return list(_words_of(view(form, {}), 0))


def _words_of(shown: list[Input | TableView], depth: int) -> Iterator[tuple[int, str]]:
    for each in shown:
        if isinstance(each, TableView):
            if each.rows:
                yield depth, each.table.label
            for row in each.rows:
                yield depth + 1, each.table.item.capitalize()
                yield from _words_of([*row.fields, *row.rare], depth + 2)
        elif each.value.strip():
            chosen = next((choice.label for choice in each.choices if choice.chosen), each.value)
            yield depth, f"{each.label}: {' / '.join(lines_of(chosen))}"
