"""A scenario's script as a form for people who write: its inputs, what they say, where errors go.

The form is a document of its own: texts and lists of rows (`Form`). It differs from a script in
what nobody should have to write. Ids are made. Each goal has its answer beside it. A dialogue
without an outline is made of its goals, one after another. What stays empty has a default: the
next line, the partner's line once more, the example as its own pattern and hint. `script_of` and
`form_of` are inverses: a script that was written elsewhere comes back as it was.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from learning.browse.script_fields import (
    ANSWERS,
    BRANCHES,
    FIELDS,
    GOALS,
    NODES,
    PARTS,
    Field,
    Table,
)
from learning.practice.prompt import Proposal
from learning.practice.script import MODEL, PARTNERS, as_pattern

DRAFTED = "Drafted by a machine."  # what the notes begin with, until an author takes it away

Fields = tuple[Field | Table, ...]
Form = dict[str, Any]
"""Texts by the names of fields, lists of such rows by the names of tables."""


# --- What a browser has sent, and the buttons that change its rows --------------------------------


def read(sent: Any, fields: Fields = FIELDS, prefix: str = "") -> Form:
    """The form in a QueryDict. Rows stand in the order of the hidden fields with their keys.

    A key that is repeated counts once, so there are never more rows than fields were sent.
    """
    form: Form = {}
    for field in fields:
        path = f"{prefix}{field.name}"
        if isinstance(field, Table):
            form[field.name] = [
                read(sent, field.fields, f"{path}.{key}.")
                | ({"id": sent.get(f"{path}.{key}.id", "")} if field.id_prefix else {})
                for key in dict.fromkeys(sent.getlist(path))
            ]
        else:
            form[field.name] = sent.get(path, "").replace("\r\n", "\n")
    return form


def blank(fields: Fields = FIELDS) -> Form:
    """An empty form, with as many rows as there must be.

    A dialogue begins without an outline, a line of one with an answer.
    """
    form: Form = {}
    for field in fields:
        form[field.name] = ""
        if isinstance(field, Table):
            rows: list[Form] = []
            form[field.name] = rows
            count = 0 if field is NODES else 1 if field is BRANCHES else field.bounds.least
            for _ in range(count):
                rows.append(_new_row(field, rows))
    return form


def _new_row(table: Table, rows: list[Form]) -> Form:
    row = blank(table.fields)
    if table.id_prefix:
        taken = {other["id"] for other in rows}
        row["id"] = next(
            id for n in range(1, len(rows) + 2) if (id := f"{table.id_prefix}-{n}") not in taken
        )
    return row


def apply(form: Form, what: str, path: str) -> None:
    """Does what a button says to the rows of a form; a button that no page of ours has, nothing."""
    above, _, last = path.rpartition(".")
    found = _table_at(form, path if what == "add" else above)
    if found is None:
        return
    table, rows = found
    if what == "add":
        if len(rows) < table.bounds.most:
            rows.append(_new_row(table, rows))
        return
    at = _place(last, rows)
    if at is None:
        return
    other = at + {"up": -1, "down": 1}.get(what, 0)
    if what == "remove" and len(rows) > table.bounds.least:
        del rows[at]
    elif other != at and 0 <= other < len(rows):
        rows[at], rows[other] = rows[other], rows[at]
    elif table is PARTS and what == "outline" and not rows[at]["nodes"]:
        rows[at]["nodes"] = _form_of_nodes(_nodes_of_goals(rows[at]))
    elif table is PARTS and what == "no-outline" and rows[at]["nodes"]:
        _leave_out_outline(rows[at])


def _place(number: str, rows: list[Form]) -> int | None:
    known = number in map(str, range(len(rows)))
    return int(number) if known else None


def _table_at(form: Form, path: str, fields: Fields = FIELDS) -> tuple[Table, list[Form]] | None:
    """The table at a path like `parts.0.goals`, and its rows."""
    name, _, rest = path.partition(".")
    table = next((field for field in fields if field.name == name), None)
    if not isinstance(table, Table):
        return None
    rows: list[Form] = form[name]
    number, _, rest = rest.partition(".")
    if not number:
        return table, rows
    at = _place(number, rows)
    return _table_at(rows[at], rest, table.fields) if at is not None else None


def _leave_out_outline(part: Form) -> None:
    """Keeps of an outline what the goals and the opening line have of it."""
    part["opening"] = part["nodes"][0]["line"]
    for goal in part["goals"]:
        goal["example"] = next(iter(_examples(part, goal["id"])), "")
        asked = (n["line"] for n in part["nodes"][1:] if n["skip"] == goal["id"])
        goal["prompt"] = next(asked, "")
    part["nodes"] = []


# --- The script of a form -------------------------------------------------------------------------


def script_of(form: Form) -> dict[str, Any]:
    """The script that a form means; its texts may still be missing or wrong."""
    roles = _roles(form["roles"])
    given = {"partners": [form["partners"]]} if form["partners"] else {}
    given |= {"notes": form["notes"]} if form["notes"] else {}
    ids, by_model = [role["id"] for role in roles], form["partners"] == MODEL
    return given | {
        **{name: form[name] for name in ("title", "level", "description")},
        "language": form["language"].strip().lower(),
        "context": _slug(form["context"]),
        "roles": roles,
        "parts": [_part(part, ids, by_model=by_model) for part in form["parts"]],
        "phrases": [_row(row, ("text", "meaning")) for row in form["phrases"]],
        "mistakes": [{"phrases": [], **_row(row, ("right", "why"))} for row in form["mistakes"]],
    }


def _roles(rows: list[Form]) -> list[dict[str, Any]]:
    """The roles; one that is new gets its id from its name."""
    roles: list[dict[str, Any]] = []
    for row in rows:
        new = row["id"] in ("", "role-1", "role-2")
        id = (_slug(row["name"]) if new else row["id"]) or row["id"]
        if new and id in (role["id"] for role in roles):
            id = f"{id[:58]}-2"
        roles.append({"id": id, "name": row["name"], "brief": row["brief"]})
    return roles


def _slug(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", letters))[:60].strip("-")


def lines_of(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _row(row: Form, needed: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a row that are the script's own, without the optional ones that are empty."""
    lists = {name: lines_of(row[name]) for name in ("phrases", "also", "unless") if name in row}
    texts = {name: row[name] for name in ("goal", "say") if name in row and name not in needed}
    given = {name: value for name, value in (lists | texts).items() if value}
    return {name: row[name] for name in needed} | given


def _part(part: Form, roles: list[str], *, by_model: bool) -> dict[str, Any]:
    """A dialogue. Where a model alone plays and the script lacks something, there is none."""
    number = part["role"]
    role = roles[int(number)] if number in ("0", "1")[: len(roles)] else ""
    if by_model and not part["nodes"] and not _is_whole(part):
        return {"role": role, **_unscripted(part)}
    nodes = _nodes(part["nodes"]) if part["nodes"] else _nodes_of_goals(part)
    return {
        "role": role,
        "start": nodes[0]["id"],
        "farewell": part["farewell"],
        "goals": [_goal(part, goal) for goal in part["goals"]],
        "answers": [
            *({"goal": goal["id"], "say": goal["answer"]} for goal in _answered(part)),
            *(_row(row, ("say",)) for row in part["answers"]),
        ],
        "nodes": nodes,
    }


def _is_whole(part: Form) -> bool:
    """Whether a script can be made of the goals."""
    written = [goal[name] for goal in part["goals"] for name in ("example", "answer")]
    return all(text.strip() for text in [part["farewell"], *written])


def _unscripted(part: Form) -> dict[str, Any]:
    """What a model alone needs of a dialogue: its lines, and the goals."""
    answers = [
        *({"goal": goal["id"], "say": goal["answer"]} for goal in part["goals"] if goal["answer"]),
        *(_row(row, ("say",)) for row in part["answers"]),
    ]
    leading = [
        {"id": f"line-{number}", "line": goal["prompt"], "skip": goal["id"]}
        for number, goal in enumerate(part["goals"], start=2)
        if goal["prompt"]
    ]
    return {
        "start": "line-1",
        "goals": [
            {"id": goal["id"], "text": goal["text"], **_row(goal, ())}
            | ({"example": goal["example"]} if goal["example"] else {})
            for goal in part["goals"]
        ],
        "nodes": [{"id": "line-1", "line": part["opening"]}, *leading],
        **({"answers": answers} if answers else {}),
        **({"farewell": part["farewell"]} if part["farewell"] else {}),
    }


def _goal(part: Form, goal: Form) -> dict[str, Any]:
    row = _row(goal, ())
    patterns = row.pop("phrases", None) or _patterns(_examples(part, goal["id"]))
    return {"id": goal["id"], "text": goal["text"], "phrases": patterns} | row


def _examples(part: Form, goal_id: str) -> list[str]:
    """The examples of a goal, without empty ones."""
    if not part["nodes"]:
        examples = [goal["example"] for goal in part["goals"] if goal["id"] == goal_id]
    else:
        branches = [branch for node in part["nodes"] for branch in node["branches"]]
        examples = [branch["example"] for branch in branches if branch["goal"] == goal_id]
    return list(dict.fromkeys(filter(str.strip, examples)))


def _patterns(examples: list[str]) -> list[str]:
    """Sentences as the patterns that find just them."""
    return [pattern for example in examples if (pattern := as_pattern(example))]


def _answered(part: Form) -> list[Form]:
    """The goals whose answers stand beside them: not those that rows below answer."""
    elsewhere = {row["goal"] for row in part["answers"]}
    return [goal for goal in part["goals"] if goal["answer"] or goal["id"] not in elsewhere]


def _nodes_of_goals(part: Form) -> list[dict[str, Any]]:
    """The dialogue without an outline: the goals one after another, then the goodbye."""
    nodes: list[dict[str, Any]] = []
    for number, goal in enumerate(part["goals"], start=1):
        to, line = f"line-{number + 1}", goal["prompt"] or f"({goal['text']})"
        branch = {"example": goal["example"], "goal": goal["id"], "to": to}
        node = {
            "id": f"line-{number}",
            "line": line if nodes else f"{part['opening']} {goal['prompt']}".strip(),
            "branches": [branch | ({"say": goal["answer"]} if goal["answer"] else {})],
            "hints": [goal["text"]],
        }
        node["fallback"] = {"lines": [node["line"][:400]], "to": to}
        nodes.append(node | ({"skip": goal["id"]} if nodes else {}))
    return [*nodes, {"id": f"line-{len(nodes) + 1}", "line": part["farewell"]}]


def _nodes(rows: list[Form]) -> list[dict[str, Any]]:
    following = [row["id"] for row in rows[1:]]
    return [_node(row, next_id) for row, next_id in zip(rows, [*following, ""], strict=True)]


def _node(row: Form, next_id: str) -> dict[str, Any]:
    node: dict[str, Any] = {"id": row["id"], "line": row["line"]}
    helps, hints = lines_of(row["lines"]), lines_of(row["hints"])
    if row["branches"]:
        node["branches"] = [_branch(branch, next_id) for branch in row["branches"]]
        helps, hints = helps or [row["line"][:400]], hints or [row["branches"][0]["example"]]
    if helps:
        node["fallback"] = {"lines": helps, "to": row["to"] or next_id}
        node["fallback"] |= {"then": row["then"]} if row["then"] else {}
    if hints:
        node["hints"] = hints
    return node | ({"skip": row["skip"]} if row["skip"] else {})


def _branch(row: Form, next_id: str) -> dict[str, Any]:
    branch = _row(row, ("example",)) | {"to": row["to"] or next_id}
    if "goal" not in branch and "phrases" not in branch:
        branch["phrases"] = _patterns([row["example"]])
    return branch


# --- The form of a script -------------------------------------------------------------------------


def form_of(script: Mapping[str, Any]) -> Form:
    """The form of a script that is stored."""
    form = _texts(script, FIELDS)
    form["partners"] = (
        "" if set(script.get("partners", PARTNERS)) == set(PARTNERS) else form["partners"]
    )
    form["roles"] = [
        {"id": role["id"], **_texts(role, _fields("roles"))} for role in script["roles"]
    ]
    ids = [role["id"] for role in script["roles"]]
    form["parts"] = [_form_of_part(part, ids) for part in script["parts"]]
    for name in ("phrases", "mistakes"):
        form[name] = [_texts(row, _fields(name)) for row in script[name]]
    return form


def _fields(name: str) -> Fields:
    return next(field.fields for field in FIELDS if isinstance(field, Table) and field.name == name)


def _texts(source: Mapping[str, Any], fields: Fields) -> Form:
    """The fields of a row as texts: a list is one of lines."""
    values = {
        field.name: source.get(field.name) or "" for field in fields if isinstance(field, Field)
    }
    return {n: "\n".join(v) if isinstance(v, list) else str(v) for n, v in values.items()}


def _form_of_part(part: Mapping[str, Any], roles: list[str]) -> Form:
    first = [node for node in part["nodes"] if node["id"] == part["start"]]
    nodes = first + [node for node in part["nodes"] if node["id"] != part["start"]]
    if not any(node.get("branches") for node in nodes):
        return _form_of_unscripted(part, str(roles.index(part["role"])))
    count = len(part["goals"])
    plain = [
        {"goal": g["id"], "say": a["say"]}
        for g, a in zip(part["goals"], part["answers"], strict=False)
    ]
    beside = count if plain == part["answers"][:count] else 0
    form: Form = {
        **_texts(part, PARTS.fields),
        "role": str(roles.index(part["role"])),
        "opening": "",
        "goals": [{"id": goal["id"], **_texts(goal, GOALS.fields)} for goal in part["goals"]],
        "answers": [_texts(row, ANSWERS.fields) for row in part["answers"][beside:]],
        "nodes": _form_of_nodes(nodes),
    }
    for goal, answer in zip(form["goals"], part["answers"][:beside], strict=False):
        goal["answer"] = answer["say"]
    for goal in form["goals"]:
        if lines_of(goal["phrases"]) == _patterns(_examples(form, goal["id"])):
            goal["phrases"] = ""
    return _without_outline(form, nodes) or form


def _form_of_unscripted(part: Mapping[str, Any], role: str) -> Form:
    """The form of a dialogue that is lines and goals."""
    prompts = {node.get("skip"): node["line"] for node in part["nodes"]}
    answers = part.get("answers", [])
    plain = {each["goal"]: each["say"] for each in answers if each.keys() == {"goal", "say"}}
    goals = [
        {
            **blank(GOALS.fields),
            **_texts(goal, GOALS.fields),
            "id": goal["id"],
            "answer": plain.get(goal["id"], ""),
            "prompt": prompts.get(goal["id"], ""),
        }
        for goal in part["goals"]
    ]
    others = [each for each in answers if plain.get(each.get("goal")) != each["say"]]
    return {
        **_texts(part, PARTS.fields),
        "role": role,
        "opening": part["nodes"][0]["line"],
        "goals": goals,
        "answers": [_texts(row, ANSWERS.fields) for row in others],
        "nodes": [],
    }


def _without_outline(form: Form, nodes: list[Any]) -> Form | None:
    """The same dialogue without its outline, if that is just what its goals make of it."""
    bare = {**form, "goals": [dict(goal) for goal in form["goals"]]}
    _leave_out_outline(bare)
    for goal in bare["goals"]:
        goal["prompt"] = "" if goal["prompt"] == f"({goal['text']})" else goal["prompt"]
    return bare if _nodes_of_goals(bare) == nodes else None


def _form_of_nodes(nodes: list[Any]) -> list[Form]:
    following = [node["id"] for node in nodes[1:]]
    return [_form_of_node(*pair) for pair in zip(nodes, [*following, ""], strict=True)]


def _form_of_node(node: Mapping[str, Any], next_id: str) -> Form:
    """A line of the outline; what is the default stays empty."""
    form = _texts({**node, **node.get("fallback", {})}, NODES.fields) | {"id": node["id"]}
    form["branches"] = [_form_of_branch(b, next_id) for b in node.get("branches", ())]
    if form["branches"]:
        defaults = {
            "lines": node["line"][:400],
            "hints": form["branches"][0]["example"],
            "to": next_id,
        }
        form |= {name: "" for name, text in defaults.items() if form[name] == text}
    return form


def _form_of_branch(branch: Mapping[str, Any], next_id: str) -> Form:
    form = _texts(branch, BRANCHES.fields)
    by_example = not branch.get("goal") and branch.get("phrases") == _patterns([branch["example"]])
    form["phrases"] = "" if by_example else form["phrases"]
    form["to"] = "" if form["to"] == next_id else form["to"]
    return form


def form_of_proposal(proposal: Proposal, told: Form) -> Form:
    """The form of a scenario that a model has drafted for the title, level and language told."""
    form = blank() | {name: told[name] for name in ("title", "level", "language", "partners")}
    form["description"] = proposal.situation
    form["context"] = told["context"] or proposal.topic
    form["notes"] = f"{DRAFTED}\n{proposal.notes}"
    for row, role in zip(form["roles"], (proposal.learner, proposal.partner), strict=True):
        row |= {"name": role.name, "brief": role.brief}
    [part] = form["parts"]
    part |= {"role": "0", "opening": proposal.opening, "farewell": proposal.farewell, "goals": []}
    for goal in proposal.goals:
        row = _new_row(GOALS, part["goals"]) | {
            name: getattr(goal, name) for name in ("text", "prompt", "example", "answer")
        }
        part["goals"].append(row | {"phrases": "\n".join(goal.phrases)})
    part["goals"][0]["prompt"] = ""  # the opening line is there already
    form["phrases"] = [
        blank(_fields("phrases")) | {"text": phrase.text, "meaning": phrase.meaning}
        for phrase in proposal.phrases
    ]
    return form


# --- Errors ---------------------------------------------------------------------------------------


def place(form: Form, path: str) -> str:
    """Where in the form an error of the script belongs: `parts.0.nodes.1.fallback.to` and so on."""
    steps = path.split(".")
    if (
        steps[0] == "parts"
        and len(steps) > 3
        and (at := _place(steps[1], form["parts"])) is not None
    ):
        steps[2:] = _place_in_part(form["parts"][at], steps[2], int(steps[3]), steps[4:])
    if steps[0] in ("roles", "parts") and steps[-1] == "id":
        steps[-1] = {"roles": "name", "goals": "text"}.get(steps[-3], "line")
    if steps[-1].isdigit() and steps[-2] in ("phrases", "unless", "also") and len(steps) > 2:
        steps.pop()  # a line of a field with many
    return ".".join(steps)


def _place_in_part(part: Form, table: str, number: int, rest: list[str]) -> list[str]:
    if table == "goals" and not rest:
        return ["goals", str(number), "answer"]
    if table == "answers":
        beside = _answered(part)
        if number < len(beside):
            return ["goals", str(part["goals"].index(beside[number])), "answer"]
        return ["answers", str(number - len(beside)), *rest]
    if table != "nodes":
        return [table, str(number), *rest]
    if not part["nodes"]:
        return _place_in_goals(part, number, rest)
    if rest[:1] == ["fallback"]:
        rest = rest[1:2] or ["lines"]
    return ["nodes", str(number), *(rest[:1] if rest[:1] in (["lines"], ["hints"]) else rest)]


def _place_in_goals(part: Form, number: int, rest: list[str]) -> list[str]:
    if number >= len(part["goals"]):
        return ["farewell"]
    match rest:
        case ["branches", _, "example" | "say" as name]:
            return ["goals", str(number), {"say": "answer"}.get(name, name)]
        case ["hints", *_]:
            return ["goals", str(number), "text"]
    return ["goals", str(number), "prompt"] if number else ["opening"]


def in_words(form: Form, message: str) -> str:
    """A message in which ids are the words that they stand for."""
    for part in form["parts"]:
        named = [(row["id"], row["text"]) for row in part["goals"]]
        named += [(row["id"], row["line"]) for row in part["nodes"]]
        for row_id, text in named:
            if row_id and text:
                words = f"\u201c{text[:60]}\u201d".replace("\\", r"\\")
                pattern = (
                    rf"'{re.escape(row_id)}'|(?<![\w\u201c-]){re.escape(row_id)}(?![\w\u201d-])"
                )
                message = re.sub(pattern, words, message)
    return message
