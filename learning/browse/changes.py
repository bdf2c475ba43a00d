"""What a draft changes of the published revision, in words."""

from dataclasses import dataclass
from difflib import SequenceMatcher

from rest_framework.request import Request
from rest_framework.response import Response

from learning.browse import script_form, script_view
from learning.browse.desk import WritingPage
from learning.browse.script_form import Form
from learning.services import scenarios


@dataclass(frozen=True)
class Change:
    """A line of words: `how` is "same", "added", "removed", or "gap" for lines left out."""

    how: str
    depth: int
    text: str


class ChangesView(WritingPage):
    """What the draft changes of the published revision."""

    def get(self, request: Request, id: str) -> Response:
        detail = scenarios.read_draft(id)
        published = scenarios.read_published(detail.scenario)
        before = script_form.form_of(published) if published else None
        after = script_form.form_of(detail.draft or {})
        context = {
            "scenario": detail.scenario,
            "changes": changes_between(before, after) if before else [],
        }
        return Response(context, template_name="writing/changes.html")


def changes_between(before: Form, after: Form) -> list[Change]:
    """The lines that differ, with two unchanged ones around them."""
    one, other = script_view.in_lines(before), script_view.in_lines(after)
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    changes: list[Change] = []
    for group in matcher.get_grouped_opcodes(2):
        changes.append(Change("gap", 0, ""))
        for what, i, i_end, j, j_end in group:
            if what == "equal":
                changes += [Change("same", *line) for line in one[i:i_end]]
            else:
                changes += [Change("removed", *line) for line in one[i:i_end]]
                changes += [Change("added", *line) for line in other[j:j_end]]
    return changes[1:]
