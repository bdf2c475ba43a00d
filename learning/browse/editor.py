"""The form of a scenario, new or stored."""

import re
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponseRedirect
from django.utils.timezone import now
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from ulid import ULID

from accounts.authentication import caller, staff_member
from config.http import as_problem
from config.problems import (
    FieldError,
    NotFound,
    PreconditionFailed,
    Problem,
    ValidationFailed,
)
from config.serializers import validated_body
from config.viewsets import if_match_version
from learning.api.scenarios import (
    ScriptSerializer,
)
from learning.browse import script_form, script_view
from learning.browse.changes import Change, changes_between
from learning.browse.desk import DONE, WritingPage, led_to, version_of
from learning.browse.script_form import Form
from learning.models.content import PUBLISHED, Scenario
from learning.practice import dialogue
from learning.practice.dialogue import ScriptError
from learning.practice.prompt import Proposal
from learning.practice.verdict import Refused
from learning.services import scenarios
from learning.services.scenarios import ScenarioDetail

CHOOSE = {"invalid_choice": "Choose one of these.", "blank": "Write something here."}


class ToldSerializer(ScriptSerializer):
    """What a model is told of the scenario that it drafts."""

    only = ("title", "level", "language")


class EditorView(WritingPage):
    """The form of a scenario, new or stored.

    Buttons on rows show the form anew and store nothing. What cannot be stored comes back as it
    was written, with the errors at their rows.
    """

    def get(self, request: Request, id: str | None = None) -> Response:
        if id is None:
            form = script_form.blank()
            form["parts"][0]["role"] = "0"
            return self._page(form, None)
        detail = scenarios.read_draft(id)
        return self._page(script_form.form_of(detail.draft or {}), detail)

    def post(self, request: Request, id: str | None = None) -> Response | HttpResponseRedirect:
        form = script_form.read(self.sent)
        verb, about = self.doing
        if verb == "draft" and id is None and scenarios.offers_model():
            return self._draft(form)
        if verb not in ("save", "save-over", "try", "publish"):
            script_form.apply(form, verb, "".join(about))
            return self._page(form, _detail(id), touched="".join(about), unsaved=True)
        try:
            over = version_of(about) if verb == "save-over" else None
            version = if_match_version(request) if over is None else over
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
        return led_to(page, saved.scenario.id, "" if verb == "try" else DONE)

    def _draft(self, form: Form) -> Response:
        """The form as a model fills it in, stored by nobody: whoever has asked reads it first."""
        from learning.services import partner  # loaded when it is asked for

        told = {name: form[name] for name in ToldSerializer.only}
        errors = [FieldError(name, "blank", "") for name in told if not form[name].strip()]
        try:
            if errors:
                raise ValidationFailed(errors=errors)
            drafted = partner.draft(
                learner_id=caller(self.request).id,
                **validated_body(ToldSerializer, told),
                accept=lambda proposal: _accepted(proposal, form),
            )
        except (Problem, ValidationError) as error:
            return self._page(form, None, problem=as_problem(error), unsaved=True)
        return self._page(drafted, None, unsaved=True)

    def _save(self, id: str | None, form: Form, version: int | None) -> ScenarioDetail:
        fields = validated_body(ScriptSerializer, script_form.script_of(form))
        by = staff_member(self.request)
        if id is not None:
            return scenarios.change(
                scenario_id=id,
                fields=fields,
                partial=True,  # who may play the partner is not in the form
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
        return sent if re.fullmatch("[0-9a-z]{26}", sent) else str(ULID()).lower()

    def _refused(self, id: str | None, form: Form, problem: Problem) -> Response:
        """The form with what is wrong; of a scenario that is gone, as that of a new one."""
        detail = None if isinstance(problem, NotFound) else _detail(id)
        theirs: list[Change] = []
        if detail and isinstance(problem, PreconditionFailed):
            theirs = changes_between(script_form.form_of(detail.draft or {}), form)
        return self._page(form, detail, problem=problem, theirs=theirs, unsaved=True)

    def _page(
        self,
        form: Form,
        detail: ScenarioDetail | None,
        *,
        problem: Problem | None = None,
        theirs: Sequence[Change] = (),
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
            "is_drafted": form["notes"].startswith(script_form.DRAFTED),
            "offers_draft": detail is None and scenarios.offers_model(),
        }
        status = problem.status if problem else 200
        return Response(context, status, template_name="writing/editor.html")


def _said(problem: Problem) -> dict[str, Any]:
    """A problem for the head of the form."""
    if isinstance(problem, ValidationFailed):
        return {"title": "Nothing is saved yet: put these right first"}
    return {"title": problem.title, "detail": problem.detail, "code": problem.code}


def _accepted(proposal: Proposal, told: Form) -> Form:
    """The form of a proposal that can be played to its end. Raises Refused, which says why not."""
    form = script_form.form_of_proposal(proposal, told)
    try:
        fields = validated_body(ScriptSerializer, script_form.script_of(form))
        dialogue.parse({**fields, "id": "draft"})
    except ValidationError as error:
        wrong = as_problem(error).errors[0]
        raise Refused(f"{script_form.place(form, wrong.field)}: {wrong.message}") from None
    except ScriptError as error:
        raise Refused(f"{script_form.place(form, error.path)}: {error.why}") from None
    return form


def _detail(id: str | None) -> ScenarioDetail | None:
    return scenarios.read_draft(id) if id is not None else None


def _last_place(level: str) -> int:
    """The place behind all published scenarios of a level."""
    page = Scenario.catalogue(status=PUBLISHED, level=level, limit=100, start=None)
    return int(page.items[-1].order) + 1 if page.items else 0
