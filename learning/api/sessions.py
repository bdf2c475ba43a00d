"""Practice sessions."""

from typing import Any

from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.problems import IdTaken, NotFound
from config.serializers import Boolean, Id, Instant, Integer, Serializer, Text
from config.viewsets import Resource, versioned
from learning.api.serializers import CardShape, RoleShape, ScriptLanguage, Slug, Tags
from learning.models.practice import STATUSES, Session, Turn
from learning.practice.script import LEVELS
from learning.services import practice
from learning.services.cards import NoSuchDeck
from learning.services.practice import (
    DialogueEnded,
    MeaningNeeded,
    PhraseNotInTurn,
    Played,
    SessionClosed,
    UnknownRole,
    UnknownTurn,
)
from learning.services.scenarios import UnknownScenario


class NewSessionShape(Serializer):
    samples = {
        "scenarioId": "coffee-to-take-away",
        "role": "customer",
        "goal": "Order without looking anything up",
        "level": "A1",
    }

    id = Id(required=False, help_text="Made by the client, so that sending again is safe")
    scenario_id = Slug()
    role = Slug(required=False, help_text="The learner's; by default the first that has goals")
    goal = Text(max_length=200, required=False, help_text="What the learner wants from it")
    level = serializers.ChoiceField(
        LEVELS, required=False, help_text="To be judged by; by default the scenario's"
    )


class SessionQuery(ListQuery):
    status = serializers.ChoiceField(STATUSES, required=False)
    scenario_id = Slug(required=False)


class SessionShape(Serializer):
    """One time through a scenario, with the revision that was the newest when it began."""

    id = Id()
    status = serializers.ChoiceField(STATUSES)
    scenario_id = Slug()
    revision = Integer()
    title = Text(max_length=80)
    language = ScriptLanguage()
    level = serializers.ChoiceField(LEVELS)
    role = Slug()
    goal = Text(max_length=200, allow_null=True)
    turn_count = Integer()
    hints_used = Integer()
    ended = Boolean(help_text="The partner has taken leave: there is nothing left to answer")
    created_at = Instant()
    updated_at = Instant()
    finished_at = Instant(allow_null=True)


class ClozeShape(Serializer):
    """A note ready to be made; only the deck is missing."""

    type = serializers.ChoiceField(["cloze"])
    front = Text(max_length=2000)
    notes = Text(max_length=400)
    source_session_id = Id()
    source_turn = Integer()


class CorrectionShape(Serializer):
    """A mistake, put right: `said` → `better`, in the whole `sentence`."""

    said = Text(max_length=1000)
    better = Text(max_length=1000)
    sentence = Text(max_length=2000)
    why = Text(max_length=400)
    note = ClozeShape()


class TurnShape(Serializer):
    id = Id()
    number = Integer(help_text="From 1, without gaps")
    text = Text(max_length=1000)
    reply = Text(max_length=2000)
    goals = serializers.ListField(child=Slug(), help_text="Those that it reached")
    corrections = CorrectionShape(many=True)
    created_at = Instant()


class SessionGoalShape(Serializer):
    id = Slug()
    text = Text(max_length=200)
    reached_at_turn = Integer(allow_null=True)


class EvidenceShape(Serializer):
    turn = Integer()
    what = Text(max_length=1000)


class ScoreShape(Serializer):
    value = Integer(help_text="0–100")
    evidence = EvidenceShape(many=True)


class ScoresShape(Serializer):
    """What text can show. Pronunciation is not among it."""

    vocabulary = ScoreShape()
    grammar = ScoreShape()
    fluency = ScoreShape()
    goals = ScoreShape()


class PlayedShape(SessionShape):
    learner_role = RoleShape()
    partner_role = RoleShape()
    goals = SessionGoalShape(many=True)
    opening = Text(max_length=2000, help_text="The partner's first line")
    turns = TurnShape(many=True)
    scores = ScoresShape(allow_null=True, help_text="Once completed")


class NewTurnShape(Serializer):
    samples = {"text": "Can I have a coffee, please?"}

    id = Id(required=False, help_text="Made by the client: a turn sent twice is said once")
    text = Text(max_length=1000)


class SaidShape(Serializer):
    turn = TurnShape()
    session = SessionShape()


class HintShape(Serializer):
    hint = Text(max_length=400)
    hints_used = Integer(help_text="In the whole session")


class PhraseCardShape(Serializer):
    """A phrase of a turn, in the learner's words, the partner's or a corrected sentence."""

    id = Id(required=False, help_text="Made by the client, so that sending again is safe")
    deck_id = Id()
    turn = Integer(min_value=1, max_value=9999)
    front = Text(max_length=400)
    back = Text(max_length=5000, required=False, help_text="Not needed for a useful phrase")
    phonetic = Text(max_length=200, required=False)
    example = Text(max_length=2000, required=False, help_text="By default the line it stands in")
    notes = Text(max_length=5000, required=False)
    tags = Tags(default=list)


def turn_body(session: Session, turn: Turn) -> dict[str, Any]:
    """A turn on the wire: TurnShape."""
    corrections = [
        {
            **correction,
            "note": {
                "type": "cloze",
                "front": correction["cloze"],
                "notes": correction["why"],
                "source_session_id": session.id,
                "source_turn": turn.number,
            },
        }
        for correction in turn.corrections
    ]
    shown = {name: getattr(turn, name) for name in ("id", "number", "text", "reply", "goals")}
    shown |= {"corrections": corrections, "created_at": turn.created_at}
    return dict(TurnShape(shown).data)


def session_body(played: Played) -> dict[str, Any]:
    """A session with all of its turns on the wire: PlayedShape."""
    session, script = played.session, played.script
    roles = {role.id: role for role in script.roles}
    learner = roles.pop(session.role)
    [partner] = roles.values()
    goals = [
        {"id": goal.id, "text": goal.text, "reached_at_turn": session.reached.get(goal.id)}
        for goal in script.part(session.role).goals
    ]
    return {
        **SessionShape(session).data,
        "learnerRole": RoleShape(learner).data,
        "partnerRole": RoleShape(partner).data,
        "goals": SessionGoalShape(goals, many=True).data,
        "opening": session.opening,
        "turns": [turn_body(session, turn) for turn in played.turns],
        "scores": session.scores,
    }


class Sessions(Resource):
    @operation("listSessions", answers={200: list_of(SessionShape)}, query=SessionQuery)
    def list(self, request: Request) -> Response:
        """List the sessions, newest first, narrowed by any of the parameters.

        A narrowed page may be short and still have a next one.
        """
        query = self.query(SessionQuery)
        start = start_of(request, query.pop("cursor", None))
        page = Session.newest(self.learner_id, **query, start=start)
        return page_response(request, page, SessionShape)

    @operation(
        "createSession",
        request=NewSessionShape,
        answers={201: PlayedShape},
        raises=[IdTaken, UnknownScenario, UnknownRole],
    )
    def create(self, request: Request) -> Response:
        """Begin a session with a published scenario; the partner says the first line."""
        fields = self.body(NewSessionShape)
        played = practice.begin(learner_id=self.learner_id, fields=fields, now=now())
        return Response(session_body(played), status.HTTP_201_CREATED)

    @operation("getSession", answers={200: PlayedShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a session with its turns and, once completed, its scores."""
        played = practice.read(learner_id=self.learner_id, session_id=id)
        return Response(session_body(played))

    @operation(
        "addTurn",
        request=NewTurnShape,
        answers={201: SaidShape},
        raises=[NotFound, IdTaken, SessionClosed, DialogueEnded],
    )
    @action(detail=True, methods=["post"])
    def turns(self, request: Request, id: str) -> Response:
        """Say something; the partner answers.

        Safe to send again with the same id. After the last turn there may be, or when the scenario
        has come to its end, the partner takes leave and the session waits to be completed.
        """
        fields = self.body(NewTurnShape)
        played, turn = practice.say(
            learner_id=self.learner_id,
            session_id=id,
            turn_id=fields.get("id"),
            text=fields["text"],
            now=now(),
        )
        body = {
            "turn": turn_body(played.session, turn),
            "session": SessionShape(played.session).data,
        }
        return Response(body, status.HTTP_201_CREATED)

    @operation(
        "getHint",
        answers={200: HintShape},
        raises=[NotFound, SessionClosed, DialogueEnded],
    )
    @action(detail=True, methods=["post"])
    def hint(self, request: Request, id: str) -> Response:
        """Ask for help with the partner's last line.

        Every hint is counted, and says more than the one before; the last is a model answer.
        """
        text, session = practice.hint(learner_id=self.learner_id, session_id=id, now=now())
        return Response({"hint": text, "hintsUsed": int(session.hints_used)})

    @operation("completeSession", answers={200: PlayedShape}, raises=[NotFound, SessionClosed])
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, id: str) -> Response:
        """End a session and get its scores, each with the turns that it rests on."""
        played = practice.complete(learner_id=self.learner_id, session_id=id, now=now())
        return Response(session_body(played))

    @operation("abandonSession", answers={200: SessionShape}, raises=[NotFound, SessionClosed])
    @action(detail=True, methods=["post"])
    def abandon(self, request: Request, id: str) -> Response:
        """End a session without scores."""
        session = practice.abandon(learner_id=self.learner_id, session_id=id, now=now())
        return Response(SessionShape(session).data)

    @operation(
        "savePhrase",
        request=PhraseCardShape,
        answers={201: CardShape},
        raises=[NotFound, IdTaken, NoSuchDeck, UnknownTurn, PhraseNotInTurn, MeaningNeeded],
    )
    @action(detail=True, methods=["post"])
    def flashcards(self, request: Request, id: str) -> Response:
        """Make a flashcard of a phrase in a turn; the card knows where it comes from.

        The phrase of the partner's first line belongs to turn 1.
        """
        card = practice.save_phrase(
            learner_id=self.learner_id,
            session_id=id,
            fields=self.body(PhraseCardShape),
            now=now(),
        )
        return versioned(Response(CardShape(card).data, status.HTTP_201_CREATED), card.version)
