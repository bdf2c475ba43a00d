"""Plays a scenario to its end and prints the transcript, so that people can judge a partner."""

import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.test.utils import override_settings

from config import aws
from config.stack import StackUnknown
from learning.management.commands.load_content import CONTENT
from learning.models.budgets import Units
from learning.models.practice import Turn
from learning.practice import dialogue
from learning.practice.dialogue import Script, State
from learning.practice.script import MODEL, PARTNERS, SCRIPTED
from learning.services import partner
from learning.services.practice import LocalModelFailed


class Tally:
    """Counts tokens in place of a budget: nothing of a trial is stored."""

    calls = read = written = 0

    def __call__(self, learner_id: str, units: Units, *, now: datetime) -> "Tally":
        self.calls += 1
        return self

    def settle(self, used: Units) -> None:
        self.read += used.get(partner.READ, 0)
        self.written += used.get(partner.WRITTEN, 0)

    def release(self) -> None:
        """Nothing was charged."""


class Command(BaseCommand):
    """`manage.py try_partner coffee-to-take-away --partner model --learner scripted`.

    The model is that of the environment (`PARLEY_PARTNER_MODEL`, `PARLEY_LOCAL_MODEL_URL`). Without
    one the stand-in of local runs plays.
    """

    help = "Play a scenario of our pack to its end; print transcript, goals, corrections, tokens."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("scenario", help="the id of a scenario of our pack")
        parser.add_argument("--role", help="the learner's; by default the first")
        parser.add_argument("--partner", choices=PARTNERS, default=MODEL)
        parser.add_argument("--learner", choices=PARTNERS, default=SCRIPTED)
        parser.add_argument("--native", default="en", help="the learner's native language")

    def handle(self, *, scenario: str, role: str | None, **options: Any) -> None:
        path = CONTENT / "scenarios" / f"{scenario}.json"
        if not path.is_file():
            raise CommandError(f"there is no {path.name} in our pack")
        script = dialogue.parse(json.loads(path.read_text("utf-8")))
        roles = [part.role for part in script.parts]
        if role not in (None, *roles):
            raise CommandError(f"the role is one of: {', '.join(roles)}")
        try:
            with model_of_trial():
                self._play(script, role or roles[0], **options)
        except StackUnknown as error:
            raise CommandError(f"{error}, or once `make run`") from error
        except LocalModelFailed as failed:
            raise CommandError(str(failed.detail)) from failed

    def _play(self, script: Script, role: str, **options: Any) -> None:
        spent, native = Tally(), options["native"]
        opening, state = dialogue.opening(script, role)
        self.stdout.write(f"# {script.title} ({script.level}), {role}\n\n- {opening}")
        turns: list[Turn] = []
        mirrored: list[Turn] = []  # as a model sees them that plays the learner
        goals: list[str] = []
        answers = iter(dialogue.rehearsal(script, role))
        line = opening
        while not state["ended"] and len(turns) < dialogue.TURN_LIMIT:
            if options["learner"] == MODEL:
                text = _asked(script, _other(script, role), mirrored, line, native, spent)[0]
                mirrored.append(Turn("", "", number=len(mirrored) + 1, text=line, reply=text))
            elif (text := next(answers, "")) == "":
                break
            reached: tuple[str, ...]
            if options["partner"] == MODEL:
                line, reply = _asked(script, role, turns, text, native, spent, goals, state)
                beside = dialogue.beside(state, dialogue.reply(script, state, text).state)
                state = {**beside, "ended": reply.ended if reply else False}
                reached = reply.goals if reply else ()
                corrections = reply.corrections if reply else ()
            else:
                line, state, reached, corrections = dialogue.reply(script, state, text)
            goals += reached
            number = len(turns) + 1
            turns.append(
                Turn("", "", number=number, text=text, reply=line, goals=list[Any](reached))
            )
            self.stdout.write(f"> {text}" + (f"   [{', '.join(reached)}]" if reached else ""))
            for each in corrections:
                self.stdout.write(f"  {each.said} → {each.better}: {each.why}")
            self.stdout.write(f"- {line}")
        self._sum_up(script, role, turns, goals, spent)

    def _sum_up(
        self, script: Script, role: str, turns: list[Turn], goals: list[str], spent: Tally
    ) -> None:
        wanted = [goal.id for goal in script.part(role).goals]
        self.stdout.write(f"\n{len(turns)} turns, {len(goals)} of {len(wanted)} goals")
        if spent.calls:
            tokens = f"{spent.read} tokens read, {spent.written} written"
            self.stdout.write(f"{spent.calls} calls, {tokens}{_price(spent)}")


def _other(script: Script, role: str) -> str:
    return next(each.id for each in script.roles if each.id != role)


def _asked(
    script: Script,
    role: str,
    turns: list[Turn],
    text: str,
    native_language: str,
    spent: Tally,
    goals: Sequence[str] = (),
    state: State | None = None,
) -> tuple[str, Any]:
    """What a model says to `text` as the partner of whoever plays `role`, and its whole answer."""
    stand = state or dialogue.opening(script, role)[1]
    try:
        answer = partner.try_turn(
            script,
            role,
            turns,
            learner_id="trial",
            text=text,
            native_language=native_language,
            state={**stand, "goals": [*goals]},
            count=spent,
        )
    except partner.Unanswered as unanswered:
        return f"({unanswered.reason}) {dialogue.say_again(script.language)}", None
    return answer.reply, answer


@contextmanager
def model_of_trial() -> Iterator[None]:
    """The model of the environment, or the stand-in of local runs where there is none."""
    if settings.PARTNER_MODEL:
        yield
        return
    stand_in = import_module("config.ops.model_stand_in")  # Lambda has no such module
    endpoint = aws.ENDPOINT_OF["bedrock-runtime"]
    with stand_in.serving() as served, override_settings(PARTNER_MODEL=stand_in.MODEL):
        os.environ[endpoint] = served.url
        try:
            yield
        finally:
            del os.environ[endpoint]


def _price(spent: Tally) -> str:
    """The price by the price list, which is not on Lambda."""
    try:
        costs = import_module("config.ops.management.commands.estimate_cost")
    except ImportError:
        return ""
    units = {"model_input": spent.read, "model_output": spent.written}
    return f", {costs.price_of(units, costs.prices()):.5f} USD at the listed model's price"
