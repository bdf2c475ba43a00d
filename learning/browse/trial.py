"""A draft, played before anyone sees it."""

import re
from dataclasses import dataclass

from rest_framework.request import Request
from rest_framework.response import Response

from learning.browse.desk import WritingPage
from learning.practice import dialogue
from learning.practice.dialogue import TURN_LIMIT, Correction, Scores, Script, State
from learning.services import scenarios

LONGEST_TURN = 1000  # characters, as of a turn in a session


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
            hints = (int(asked) if re.fullmatch("[0-9]", asked) else 0) + 1
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
