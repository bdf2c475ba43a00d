"""Staff write scenarios in a form: the desk with its buttons, the form, the trial, the changes.

Each page works without script. A button's value says what to do and to what: `up parts.0.goals.1`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

from django.http import HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.timezone import now
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from ulid import ULID

from accounts.authentication import IsStaff, staff_member
from accounts.browse.guard import StaffPage
from config.http import as_problem
from config.problems import (
    MalformedRequest,
    NotFound,
    PreconditionFailed,
    Problem,
    ValidationFailed,
)
from config.serializers import validated_body
from config.viewsets import decode_cursor, if_match_version, paginated_response
from learning.api.scenarios import (
    MAX_REORDERED,
    ScenarioQuerySerializer,
    ScriptSerializer,
    SummarySerializer,
)
from learning.browse import script_form, script_view
from learning.browse.script_form import Form
from learning.models.content import PUBLISHED, STATUSES, Scenario
from learning.practice import dialogue
from learning.practice.dialogue import TURN_LIMIT, Correction, Scores, Script, State
from learning.services import scenarios
from learning.services.scenarios import ScenarioDetail

DO = "_do"  # what a button says
CHOOSE = {"invalid_choice": "Choose one of these.", "blank": "Write something here."}
LONGEST_TURN = 1000  # characters, as of a turn in a session
DONE = "#done"


class WritingPage(StaffPage):
    permission_classes = (IsStaff,)

    @property
    def sent(self) -> QueryDict:
        """The fields of the form."""
        return self.request._request.POST

    @property
    def doing(self) -> tuple[str, list[str]]:
        """What the button that was pressed says: a verb and what it is about."""
        verb, *about = self.sent.get(DO, "").split(" ")
        return verb, about


def _led_to(name: str, scenario_id: str = "", mark: str = DONE) -> HttpResponseRedirect:
    arguments = [scenario_id] if scenario_id else []
    return HttpResponseRedirect(reverse(name, args=arguments) + mark, status=303)


# --- The desk -------------------------------------------------------------------------------------


class DeskView(WritingPage):
    """All scenarios of a status, level by level, with buttons."""

    def get(self, request: Request) -> Response:
        query = ScenarioQuerySerializer(request.query_params).values() | {"limit": 100}
        start = decode_cursor(request, query.pop("cursor", None))
        page = Scenario.catalogue(**query, start=start)
        context = {
            "scenarios": page.items,
            "status": query["status"],
            "statuses": STATUSES,
            "next": paginated_response(request, page, SummarySerializer).data["next"],
        }
        return Response(context, template_name="writing/desk.html")

    def post(self, request: Request) -> HttpResponseRedirect:
        verb, about = self.doing
        scenario_id, *version = about or [""]
        if verb in ("up", "down"):
            return self._move(scenario_id, -1 if verb == "up" else 1)
        services = {
            "publish": scenarios.publish,
            "archive": scenarios.archive,
            "delete": scenarios.delete,
        }
        if verb not in services or len(version) != 1 or not version[0].isdecimal():
            raise MalformedRequest("This button is none of ours")
        services[verb](
            scenario_id=scenario_id,
            expected_version=int(version[0]),
            by=staff_member(request),
            now=now(),
        )
        return _led_to("writing") if verb == "delete" else _led_to("writing-edit", scenario_id)

    def _move(self, scenario_id: str, by: int) -> HttpResponseRedirect:
        scenario = Scenario.of(scenario_id)
        if scenario is None:
            raise NotFound
        level = Scenario.catalogue(
            status=scenario.status, level=scenario.level, limit=MAX_REORDERED, start=None
        ).items
        if ids := _moved(level, scenario_id, by):
            scenarios.reorder(ids=ids, by=staff_member(self.request), now=now())
        address = f"{reverse('writing')}?status={scenario.status}#{scenario_id}"
        return HttpResponseRedirect(address, status=303)


def _moved(level: Sequence[Scenario], scenario_id: str, by: int) -> list[str]:
    """The ids to put into another order, so that a scenario moves by one place; none at an end.

    Two change places. Where several have the same place by now, the whole level is numbered anew.
    """
    ids = [each.id for each in level]
    at = ids.index(scenario_id) if scenario_id in ids else -1
    if at < 0 or not 0 <= at + by < len(ids):
        return []
    ids[at], ids[at + by] = ids[at + by], ids[at]
    distinct = all(one.order < other.order for one, other in pairwise(level))
    return ids[min(at, at + by) :][:2] if distinct else ids


# --- The form -------------------------------------------------------------------------------------


class EditorView(WritingPage):
    """The form of a scenario, new or stored.

    Buttons on rows show the form anew and store nothing. What cannot be stored comes back as it
    was written, with the errors at their rows.
    """

    def get(self, request: Request, id: str | None = None) -> Response:
        if id is None:
            return self._page(script_form.blank(), None)
        detail = scenarios.read_draft(id)
        return self._page(script_form.form_of(detail.draft or {}), detail)

    def post(self, request: Request, id: str | None = None) -> Response | HttpResponseRedirect:
        form = script_form.read(self.sent)
        verb, about = self.doing
        if verb not in ("save", "save-over", "try", "publish"):
            script_form.apply(form, verb, "".join(about))
            return self._page(form, _detail(id), touched="".join(about), unsaved=True)
        try:
            over = about[0] if verb == "save-over" and about and about[0].isdecimal() else None
            version = int(over) if over else if_match_version(request)
            saved = self._save(id, form, version)
            if verb == "publish":
                saved = scenarios.publish(
                    scenario_id=saved.scenario.id,
                    expected_version=int(saved.scenario.version),
                    by=staff_member(request),
                    now=now(),
                )
        except (Problem, ValidationError) as error:
            return self._refused(id, form, as_problem(error))
        page = "writing-try" if verb == "try" else "writing-edit"
        return _led_to(page, saved.scenario.id, "" if verb == "try" else DONE)

    def _save(self, id: str | None, form: Form, version: int | None) -> ScenarioDetail:
        fields = validated_body(ScriptSerializer, script_form.script_of(form))
        by = staff_member(self.request)
        if id is not None:
            return scenarios.change(
                scenario_id=id,
                fields=fields,
                partial=False,
                expected_version=version,
                by=by,
                now=now(),
            )
        new = {"id": self._new_id, "order": _last_place(fields["level"])}
        return scenarios.create(fields=fields | new, by=by, now=now())

    @property
    def _new_id(self) -> str:
        """The id of a scenario that is not stored yet, made once: sent twice it is made once."""
        sent = self.sent.get("_id", "")
        return sent if sent.isalnum() and len(sent) == 26 else str(ULID()).lower()

    def _refused(self, id: str | None, form: Form, problem: Problem) -> Response:
        """The form with what is wrong; of a scenario that is gone, as that of a new one."""
        detail = None if isinstance(problem, NotFound) else _detail(id)
        theirs: list[Change] = []
        if detail and isinstance(problem, PreconditionFailed):
            theirs = _changes(script_form.form_of(detail.draft or {}), form)
        return self._page(form, detail, problem=problem, theirs=theirs, unsaved=True)

    def _page(
        self,
        form: Form,
        detail: ScenarioDetail | None,
        *,
        problem: Problem | None = None,
        theirs: Sequence["Change"] = (),
        touched: str = "",
        unsaved: bool = False,
    ) -> Response:
        errors: dict[str, list[str]] = {}
        for error in problem.errors if problem else ():
            at, message = script_form.place(form, error.field), error.message
            message = script_form.in_words(form, CHOOSE.get(error.code, message))
            if message not in errors.setdefault(at, []):
                errors[at].append(message)
        shown = script_view.view(form, errors, touched)
        sent = self.sent.get("_if_match")
        context = {
            "scenario": detail.scenario if detail else None,
            "new_id": self._new_id,
            "version": detail and (sent or f'"{int(detail.scenario.version)}"'),
            "title": form["title"] or "A new scenario",
            "inputs": [each for each in shown if not isinstance(each, script_view.TableView)],
            "tables": [each for each in shown if isinstance(each, script_view.TableView)],
            "form": {
                "method": "POST",
                "faults": script_view.faults(shown, errors),
                "problem": problem and _said(problem),
            },
            "theirs": theirs,
            "unsaved": unsaved,
        }
        status = problem.status if problem else 200
        return Response(context, status, template_name="writing/editor.html")


def _said(problem: Problem) -> dict[str, Any]:
    """A problem for the head of the form."""
    if isinstance(problem, ValidationFailed):
        return {"title": "Nothing is saved yet: put these right first"}
    return {"title": problem.title, "detail": problem.detail, "code": problem.code}


def _detail(id: str | None) -> ScenarioDetail | None:
    return scenarios.read_draft(id) if id is not None else None


def _last_place(level: str) -> int:
    """The place behind all published scenarios of a level."""
    page = Scenario.catalogue(status=PUBLISHED, level=level, limit=100, start=None)
    return int(page.items[-1].order) + 1 if page.items else 0


# --- What has changed -----------------------------------------------------------------------------


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
            "changes": _changes(before, after) if before else [],
        }
        return Response(context, template_name="writing/changes.html")


def _changes(before: Form, after: Form) -> list[Change]:
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


# --- The trial ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TriedTurn:
    """A turn of the trial: what was said, the answer, and what the learner would see beside it."""

    text: str
    answer: str
    understood: bool
    goals: list[str]
    corrections: tuple[Correction, ...]


@dataclass(frozen=True)
class Trial:
    """A dialogue with the draft, played anew from what was said: nothing is stored."""

    script: Script
    role: str
    opening: str
    turns: list[TriedTurn]
    state: State

    @property
    def goals(self) -> list[tuple[str, bool]]:
        """The learner's goals, each with whether it is reached."""
        goals = self.script.part(self.role).goals
        return [(goal.text, goal.id in self.state["goals"]) for goal in goals]

    @property
    def scores(self) -> Scores:
        said = [turn.text for turn in self.turns]
        return dialogue.score(self.script, self.role, said)


class TryView(WritingPage):
    """The draft, played in either role before anyone sees it."""

    def get(self, request: Request, id: str) -> Response:
        return self._page(id, request.query_params.get("role", ""), [])

    def post(self, request: Request, id: str) -> Response:
        said, text = self.sent.getlist("said")[:TURN_LIMIT], self.sent.get("text", "")
        verb, _ = self.doing
        hints, error = 0, ""
        if verb == "say":
            if not text.strip() or len(text) > LONGEST_TURN:
                error = f"Say something, in at most {LONGEST_TURN} characters."
            else:
                said, text = [*said, text], ""
        elif verb == "hint":
            asked = self.sent.get("hints", "")
            hints = min(int(asked) if asked.isascii() and asked.isdecimal() else 0, 9) + 1
        elif verb == "back":
            said = said[:-1]
        elif verb == "again":
            said = []
        return self._page(id, self.sent.get("role", ""), said, text, hints, error)

    def _page(
        self,
        id: str,
        role: str,
        said: list[str],
        text: str = "",
        hints: int = 0,
        error: str = "",
    ) -> Response:
        detail = scenarios.read_draft(id)
        trial = _play(detail.script, role, said)
        hint = ""
        if hints and not trial.state["ended"]:
            hint = dialogue.hint(trial.script, trial.state, hints)
        names = {each.id: each for each in detail.script.roles}
        context = {
            "scenario": detail.scenario,
            "title": detail.script.title,
            "trial": trial,
            "role": names[trial.role],
            "partner": next(each for each in detail.script.roles if each.id != trial.role),
            "roles": [names[part.role] for part in detail.script.parts],
            "text": text,
            "hint": hint,
            "hints": hints,
            "error": error,
        }
        return Response(context, 400 if error else 200, template_name="writing/try.html")


def _play(script: Script, role: str, said: list[str]) -> Trial:
    """Says the same again; what comes after the end is not said. Another role is the first."""
    played = [part.role for part in script.parts]
    role = role if role in played else played[0]
    goals = {goal.id: goal.text for goal in script.part(role).goals}
    opening, state = dialogue.opening(script, role)
    turns: list[TriedTurn] = []
    for text in said:
        if state["ended"]:
            break
        reply = dialogue.reply(script, state, text[:LONGEST_TURN])
        understood = reply.state["missed"] == state["missed"]
        reached = [goals[goal] for goal in reply.goals]
        turns.append(TriedTurn(text, reply.line, understood, reached, reply.corrections))
        state = reply.state
    return Trial(script, role, opening, turns, state)
