"""A draft, played before anyone sees it: by its script, or with the model where there is one.

Nothing is stored. What was said stands in the page, and with a model what was answered as well,
signed, for a model never answers the same again.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict

from django.core import signing
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from config.problems import Problem
from learning.browse.desk import WritingPage
from learning.models.practice import Turn
from learning.practice import dialogue
from learning.practice.dialogue import TURN_LIMIT, Correction, Scores, Script, State
from learning.practice.script import MODEL, SCRIPTED
from learning.services import scenarios

LONGEST_TURN = 1000  # characters, as of a turn in a session
SALT = "learning.trial"
NATIVE_LANGUAGE = "en"  # that of these pages


class Kept(TypedDict):
    """A turn with the model as the page keeps it. `fallback`: why the script has answered."""

    text: str
    reply: str
    goals: list[str]
    corrections: list[dict[str, str]]
    hints: list[str]
    ended: bool
    fallback: str | None


@dataclass(frozen=True)
class TriedTurn:
    """A turn of the trial: what was said, the answer, and what the learner would see beside it."""

    text: str
    answer: str
    understood: bool
    goals: list[str]
    corrections: tuple[Correction, ...]
    by_model: bool = False
    fallback: str | None = None


@dataclass(frozen=True)
class Trial:
    """A dialogue with the draft, played anew from what was said: nothing is stored."""

    script: Script
    role: str
    opening: str
    turns: list[TriedTurn]
    state: State
    scores: Scores

    @property
    def goals(self) -> list[tuple[str, bool]]:
        """The learner's goals, each with whether it is reached."""
        goals = self.script.part(self.role).goals
        return [(goal.text, goal.id in self.state["goals"]) for goal in goals]


class TryView(WritingPage):
    """The draft, played in either role before anyone sees it."""

    def get(self, request: Request, id: str) -> Response:
        role, partner = (request.query_params.get(name, "") for name in ("role", "partner"))
        return self._page(id, role, partner, [])

    def post(self, request: Request, id: str) -> Response:
        text = self.sent.get("text", "")
        verb, _ = self.doing
        hints, error, status = 0, "", 200
        role, partner = self.sent.get("role", ""), self.sent.get("partner", "")
        played: list[Any] = (
            _unsigned(self.sent.get("played", ""))
            if partner == MODEL
            else self.sent.getlist("said")[:TURN_LIMIT]
        )
        if verb == "say":
            if not text.strip() or len(text) > LONGEST_TURN:
                error, status = f"Say something, in at most {LONGEST_TURN} characters.", 400
            else:
                try:
                    played = [*played, self._said(id, role, partner, played, text)]
                    text = ""
                except Problem as problem:
                    error, status = problem.detail or problem.title, problem.status
        elif verb == "hint":
            asked = self.sent.get("hints", "")
            hints = (int(asked) if re.fullmatch("[0-9]", asked) else 0) + 1
        elif verb == "back":
            played = played[:-1]
        elif verb == "again":
            played = []
        return self._page(id, role, partner, played, text, hints, error, status)

    def _said(
        self, id: str, role: str, partner: str, played: Sequence[Any], text: str
    ) -> "str | Kept":
        """What is kept of a turn. Raises what the model's budget or a local model's failure is."""
        script = scenarios.read_draft(id).script
        if partner != MODEL or MODEL not in scenarios.offered_partners(script):
            return text
        return _answered(script, _role(script, role), played, text, caller(self.request).id)

    def _page(
        self,
        id: str,
        role: str,
        partner: str,
        played: list[Any],
        text: str = "",
        hints: int = 0,
        error: str = "",
        status: int = 200,
    ) -> Response:
        detail = scenarios.read_draft(id)
        script = detail.script
        partners = _partners(script)
        partner = partner if partner in partners else partners[0] if partners else ""
        role = _role(script, role)
        by_model = partner == MODEL
        trial = (_play_with_model if by_model else _play)(script, role, _fitting(played, by_model))
        hint = ""
        if hints and not trial.state["ended"]:
            kept = played[-1]["hints"] if by_model and played else []
            hint = (
                kept[min(hints, len(kept)) - 1]
                if kept
                else dialogue.hint(trial.script, trial.state, hints)
            )
        names = {each.id: each for each in script.roles}
        context = {
            "scenario": detail.scenario,
            "title": script.title,
            "trial": trial,
            "role": names[trial.role],
            "partner": next(each for each in script.roles if each.id != trial.role),
            "roles": [names[part.role] for part in script.parts],
            "partners": partners,
            "by": partner,
            "played": signing.dumps(played, salt=SALT, compress=True) if by_model else "",
            "text": text,
            "hint": hint,
            "hints": hints,
            "error": error,
        }
        return Response(context, status, template_name="writing/try.html")


def _partners(script: Script) -> list[str]:
    """Who can play: the script where one is written, and the model where there is one."""
    offered = scenarios.offered_partners(script)
    written = all(part.is_scripted for part in script.parts)
    partners = [SCRIPTED] if written else []
    partners += [MODEL] if MODEL in offered else []
    return partners if SCRIPTED in script.partners else partners[::-1]


def _role(script: Script, role: str) -> str:
    """The role, if it can be played; else the first that can."""
    roles = [part.role for part in script.parts]
    return role if role in roles else roles[0]


def _unsigned(played: str) -> list[Kept]:
    """The turns that a page has kept; none of what is not from a page of ours."""
    try:
        kept: list[Kept] = signing.loads(played, salt=SALT)
    except signing.BadSignature:
        return []
    return kept[:TURN_LIMIT]


def _fitting(played: list[Any], by_model: bool) -> list[Any]:
    """The turns of the same partner: another one begins anew."""
    return [each for each in played if isinstance(each, str) != by_model]


def _answered(
    script: Script, role: str, played: Sequence[Kept], text: str, learner_id: str
) -> Kept:
    """The model's answer, counted in the budget of who tries it, or the script's in its place."""
    from learning.services import partner  # loaded when it is asked for

    state = _play_with_model(script, role, played).state
    turns = [
        Turn("", "", number=number, text=each["text"], reply=each["reply"])
        for number, each in enumerate(played, start=1)
    ]
    hints: tuple[str, ...] = ()
    fallback = None
    try:
        answer = partner.try_turn(
            script,
            role,
            turns,
            learner_id=learner_id,
            text=text,
            native_language=NATIVE_LANGUAGE,
            state=state,
        )
    except partner.Unanswered as unanswered:
        line, after, goals, corrections = dialogue.reply(script, state, text)
        ended, fallback = after["ended"], unanswered.reason
    else:
        at_limit = len(played) + 1 >= TURN_LIMIT and not answer.ended
        line = dialogue.farewell(script, role) if at_limit else answer.reply
        goals, corrections, hints = answer.goals, answer.corrections, answer.hints
        ended = answer.ended or at_limit
    return Kept(
        text=text,
        reply=line,
        goals=[*goals],
        corrections=[asdict(each) for each in corrections],
        hints=[*hints],
        ended=ended,
        fallback=fallback,
    )


def _play_with_model(script: Script, role: str, played: Sequence[Kept]) -> Trial:
    """What was said and answered, with the script beside it."""
    goals = {goal.id: goal.text for goal in script.part(role).goals}
    opening, state = dialogue.opening(script, role)
    turns: list[TriedTurn] = []
    reached: dict[str, int] = {}
    for each in played:
        if state["ended"]:
            break
        after = dialogue.reply(script, state, each["text"]).state
        understood = not each["fallback"] or after["missed"] == state["missed"]
        new = [goal for goal in each["goals"] if goal in goals]
        stand = after if each["fallback"] else dialogue.beside(state, after)
        state = {**stand, "goals": [*state["goals"], *new], "ended": each["ended"]}
        corrections = tuple(Correction(**correction) for correction in each["corrections"])
        reached |= dict.fromkeys(new, len(turns))
        by_model, fallback = not each["fallback"], each["fallback"]
        texts = [goals[goal] for goal in new]
        turn = TriedTurn(
            each["text"], each["reply"], understood, texts, corrections, by_model, fallback
        )
        turns.append(turn)
    said = [turn.text for turn in turns]
    scores = replace(
        dialogue.score(script, role, said, free=True),
        task=dialogue.task_score(script.part(role), reached, said),
        goals=dialogue.goals_score(script.part(role), reached),
    )
    return Trial(script, role, opening, turns, state, scores)


def _play(script: Script, role: str, said: Sequence[str]) -> Trial:
    """Says the same again; what comes after the end is not said."""
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
    scores = dialogue.score(script, role, [turn.text for turn in turns])
    return Trial(script, role, opening, turns, state, scores)
