"""Practice sessions."""

from collections.abc import Mapping
from typing import Any

from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.formats import CEFR_LEVELS
from config.http import told
from config.operations import operation
from config.problems import Filled, IdTaken, NotFound, ServiceUnavailable
from config.serializers import (
    BooleanField,
    IdField,
    InstantField,
    IntegerField,
    Serializer,
    TextField,
)
from config.viewsets import ListQuerySerializer, Resource, page_of, with_etag
from learning.api.serializers import (
    CardSerializer,
    RoleSerializer,
    ScriptLanguageField,
    ShapeSerializer,
    SlugField,
    TagsField,
)
from learning.models.practice import FALLBACKS, STATUSES, Session, Turn
from learning.practice.script import MODEL, PARTNERS, SCRIPTED, NewWord
from learning.services import practice, reports
from learning.services.cards import NoSuchDeck
from learning.services.practice import (
    ConsentNeeded,
    DialogueEnded,
    LocalModelFailed,
    MeaningNeeded,
    PartnerBudgetSpent,
    PartnerNotOffered,
    PhraseNotInTurn,
    SessionClosed,
    SessionDetail,
    UnknownRole,
    UnknownTurn,
)
from learning.services.scenarios import UnknownScenario

NOTICES = {
    SCRIPTED: Filled(
        "You are speaking with a machine: its lines were written by people beforehand."
    ),
    MODEL: Filled(
        "You are speaking with a machine: a language model makes up its lines. It can be wrong."
    ),
}

NOT_SCORED: dict[str, Any] = {"value": None, "evidence": []}  # of sessions of before there was it


class NewSessionSerializer(Serializer):
    samples = {
        "scenarioId": "coffee-to-take-away",
        "role": "customer",
        "goal": "Order without looking anything up",
        "level": "A1",
    }

    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")
    scenario_id = SlugField()
    role = SlugField(required=False, help_text="The learner's; by default the first that has goals")
    goal = TextField(max_length=200, required=False, help_text="What the learner wants from it")
    level = serializers.ChoiceField(
        CEFR_LEVELS, required=False, help_text="To be judged by; by default the scenario's"
    )
    partner = serializers.ChoiceField(
        PARTNERS, required=False, help_text="One of the scenario's; by default its script"
    )


class SessionQuerySerializer(ListQuerySerializer):
    status = serializers.ChoiceField(STATUSES, required=False, help_text="Only in this state")
    scenario_id = SlugField(required=False, help_text="Only of this scenario")


class SessionSerializer(Serializer):
    """One time through a scenario, with the revision that was the newest when it began."""

    id = IdField()
    status = serializers.ChoiceField(STATUSES)
    scenario_id = SlugField()
    revision = IntegerField()
    title = TextField(max_length=80)
    language = ScriptLanguageField()
    level = serializers.ChoiceField(CEFR_LEVELS)
    role = SlugField()
    goal = TextField(max_length=200, allow_null=True)
    turn_count = IntegerField()
    hints_used = IntegerField()
    partner = serializers.ChoiceField(PARTNERS)
    ended = BooleanField(help_text="The partner has taken leave: there is nothing left to answer")
    created_at = InstantField()
    updated_at = InstantField()
    finished_at = InstantField(allow_null=True)


class ClozeSerializer(Serializer):
    """A note ready to be made; only the deck is missing."""

    type = serializers.ChoiceField(["cloze"])
    front = TextField(max_length=2000)
    notes = TextField(max_length=400)
    source_session_id = IdField()
    source_turn = IntegerField()


class CorrectionSerializer(Serializer):
    """A mistake, put right: `said` → `better`, in the whole `sentence`."""

    said = TextField(max_length=1000)
    better = TextField(max_length=1000)
    sentence = TextField(max_length=2000)
    why = TextField(max_length=400)
    note = ClozeSerializer()


class NewWordSerializer(ShapeSerializer):
    """A word of the turn that a model explains; saved as a flashcard it needs no back."""

    shape = NewWord


class TurnSerializer(Serializer):
    id = IdField()
    number = IntegerField(help_text="From 1, without gaps")
    text = TextField(max_length=1000)
    reply = TextField(max_length=2000)
    goals = serializers.ListField(child=SlugField(), help_text="Those that it reached")
    corrections = CorrectionSerializer(many=True)
    new_words = NewWordSerializer(many=True, help_text="That a model thought worth learning")
    answered_by = serializers.ChoiceField(PARTNERS)
    fallback = serializers.ChoiceField(
        FALLBACKS, allow_null=True, help_text="Why the script answered in place of a model"
    )
    reported_at = InstantField(allow_null=True, help_text="When it was shown to staff")
    created_at = InstantField()


class SessionGoalSerializer(Serializer):
    id = SlugField()
    text = TextField(max_length=200)
    reached_at_turn = IntegerField(allow_null=True)


class EvidenceSerializer(Serializer):
    turn = IntegerField()
    what = TextField(max_length=1000, help_text="The learner's words, and what they show")


class ScoreSerializer(Serializer):
    value = IntegerField(
        allow_null=True, help_text="0–100; null where the learner said nothing that shows it"
    )
    evidence = EvidenceSerializer(many=True)


class ScoresSerializer(Serializer):
    """What text can show. Pronunciation is not among it."""

    vocabulary = ScoreSerializer()
    grammar = ScoreSerializer()
    fluency = ScoreSerializer()
    task = ScoreSerializer(help_text="How the goals were reached")
    goals = ScoreSerializer(help_text="The goals reached, of all: a count, and never null")


class SessionDetailSerializer(SessionSerializer):
    learner_role = RoleSerializer()
    partner_role = RoleSerializer()
    goals = SessionGoalSerializer(many=True)
    notice = TextField(max_length=200, help_text="Who the partner is; show it to the learner")
    opening = TextField(max_length=2000, help_text="The partner's first line")
    turns = TurnSerializer(many=True)
    scores = ScoresSerializer(allow_null=True, help_text="Once completed")
    scored_by = serializers.ChoiceField(PARTNERS, allow_null=True)
    scoring_fallback = serializers.ChoiceField(
        FALLBACKS, allow_null=True, help_text="Why the script scored where a model had played"
    )


class NewTurnSerializer(Serializer):
    samples = {"text": "Can I have a coffee, please?"}

    id = IdField(required=False, help_text="Made by the client: a turn sent twice is said once")
    text = TextField(max_length=1000)
    partner = serializers.ChoiceField(
        [SCRIPTED], required=False, help_text="Has the script answer where a model is the partner"
    )


class ReportSerializer(Serializer):
    samples = {"turn": 2, "reason": "This answer was rude."}

    turn = IntegerField(min_value=1, max_value=9999)
    reason = TextField(max_length=500, required=False, help_text="What is wrong with it")


class TurnAddedSerializer(Serializer):
    turn = TurnSerializer()
    session = SessionSerializer()


class HintSerializer(Serializer):
    hint = TextField(max_length=400)
    hints_used = IntegerField(help_text="In the whole session")


class PhraseCardSerializer(Serializer):
    """A phrase of a turn, in the learner's words, the partner's or a corrected sentence."""

    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")
    deck_id = IdField()
    turn = IntegerField(min_value=1, max_value=9999)
    front = TextField(max_length=400)
    back = TextField(max_length=5000, required=False, help_text="Not needed for a useful phrase")
    phonetic = TextField(max_length=200, required=False)
    example = TextField(
        max_length=2000, required=False, help_text="By default the line it stands in"
    )
    notes = TextField(max_length=5000, required=False)
    tags = TagsField(default=list)


def turn_body(session: Session, turn: Turn) -> dict[str, Any]:
    """A turn on the wire: TurnSerializer."""
    return dict(TurnSerializer(turn_fields(session.id, turn)).data)


def turn_fields(session_id: str, turn: Turn) -> dict[str, Any]:
    """What TurnSerializer shows of a turn: more than is stored."""
    corrections = [
        {
            **correction,
            "note": {
                "type": "cloze",
                "front": correction["cloze"],
                "notes": correction["why"],
                "source_session_id": session_id,
                "source_turn": turn.number,
            },
        }
        for correction in turn.corrections
    ]
    plain = ("id", "number", "text", "reply", "goals", "fallback", "reported_at", "created_at")
    shown = {name: getattr(turn, name) for name in plain}
    shown |= {"corrections": corrections, "new_words": turn.new_words or []}
    return shown | {"answered_by": turn.answered_by or SCRIPTED}


def session_body(detail: SessionDetail) -> dict[str, Any]:
    """A session with all of its turns on the wire: SessionDetailSerializer."""
    session, script = detail.session, detail.script
    roles = {role.id: role for role in script.roles}
    learner = roles.pop(session.role)
    [partner] = roles.values()
    goals = [
        {"id": goal.id, "text": goal.text, "reached_at_turn": session.reached.get(goal.id)}
        for goal in script.part(session.role).goals
    ]
    return {
        **SessionSerializer(session).data,
        "learnerRole": RoleSerializer(learner).data,
        "partnerRole": RoleSerializer(partner).data,
        "goals": SessionGoalSerializer(goals, many=True).data,
        "notice": told(NOTICES[session.partner]),
        "opening": session.opening,
        "turns": [turn_body(session, turn) for turn in detail.turns],
        "scores": _told_scores(session.scores) if session.scores else None,
        "scoredBy": (session.scored_by or SCRIPTED) if session.scores else None,
        "scoringFallback": session.scoring_fallback,
    }


def _told_scores(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Scores with their evidence in the reader's language."""
    scores = {"task": NOT_SCORED, **stored}
    return {
        name: score | {"evidence": [_told_evidence(**each) for each in score["evidence"]]}
        for name, score in scores.items()
    }


def _told_evidence(
    turn: int, what: str, filled: tuple[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """`filled`: the text and its values, where it is one of ours."""
    return {"turn": turn, "what": told(Filled(filled[0], **filled[1])) if filled else what}


class SessionViewSet(Resource):
    @operation(
        "listSessions", answers={200: page_of(SessionSerializer)}, query=SessionQuerySerializer
    )
    def list(self, request: Request) -> Response:
        """List the sessions, newest first, narrowed by any of the parameters.

        A narrowed page may be short and still have a next one.
        """
        return self.paginated(
            Session.newest,
            self.learner_id,
            serializer_class=SessionSerializer,
            query=SessionQuerySerializer,
        )

    @operation(
        "createSession",
        request=NewSessionSerializer,
        answers={201: SessionDetailSerializer},
        raises=[IdTaken, UnknownScenario, UnknownRole, PartnerNotOffered, ConsentNeeded],
    )
    def create(self, request: Request) -> Response:
        """Begin a session with a published scenario; the partner says the first line.

        201 with the goals, the partner's first line in `opening`, and `notice`, which tells the
        learner who answers: show it. `partner: model` needs a consent (403 `CONSENT_NEEDED`: ask
        the learner, then `PATCH /profile/consents`) and a model on this stage (409
        `PARTNER_NOT_OFFERED`: play `scripted`).
        """
        fields = self.validated_body(NewSessionSerializer)
        played = practice.start_session(learner_id=self.learner_id, fields=fields, now=now())
        return Response(session_body(played), status.HTTP_201_CREATED)

    @operation("getSession", answers={200: SessionDetailSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a session with its turns and, once completed, its scores.

        Goes on where another device was: `turns` has all that was said.
        """
        played = practice.read_session(learner_id=self.learner_id, session_id=id)
        return Response(session_body(played))

    @operation(
        "addTurn",
        request=NewTurnSerializer,
        answers={201: TurnAddedSerializer},
        raises=[
            *(NotFound, IdTaken, SessionClosed, DialogueEnded),
            *(PartnerBudgetSpent, ServiceUnavailable, LocalModelFailed),
        ],
    )
    @action(detail=True, methods=["post"])
    def turns(self, request: Request, id: str) -> Response:
        """Say something; the partner answers.

        Safe to send again with the same id. After the last turn there may be, or when the scenario
        has come to its end, the partner takes leave and the session waits to be completed. Where a
        model is the partner and does not answer, the script does; the turn tells who and why. When
        the model's budget is spent, or a local run's model fails, send the turn again with
        `"partner": "scripted"`.
        """
        fields = self.validated_body(NewTurnSerializer)
        played, turn = practice.add_turn(
            learner_id=self.learner_id,
            session_id=id,
            turn_id=fields.get("id"),
            text=fields["text"],
            by_script=fields.get("partner") == SCRIPTED,
            now=now(),
        )
        body = {
            "turn": turn_body(played.session, turn),
            "session": SessionSerializer(played.session).data,
        }
        return Response(body, status.HTTP_201_CREATED)

    @operation(
        "getHint",
        answers={200: HintSerializer},
        raises=[NotFound, SessionClosed, DialogueEnded],
    )
    @action(detail=True, methods=["post"])
    def hint(self, request: Request, id: str) -> Response:
        """Ask for help with the partner's last line.

        Every hint is counted, and says more than the one before; the last is a model answer.
        """
        text, session = practice.give_hint(learner_id=self.learner_id, session_id=id, now=now())
        return Response({"hint": text, "hintsUsed": int(session.hints_used)})

    @operation(
        "completeSession",
        answers={200: SessionDetailSerializer},
        raises=[NotFound, SessionClosed, ServiceUnavailable],
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, id: str) -> Response:
        """End a session and get its scores, each with the turns that it rests on.

        A model that has played scores as well. Where it does not, the script does, and
        `scoringFallback` says why. `SESSION_CLOSED`: it is over already; read it.
        """
        played = practice.complete_session(learner_id=self.learner_id, session_id=id, now=now())
        return Response(session_body(played))

    @operation("abandonSession", answers={200: SessionSerializer}, raises=[NotFound, SessionClosed])
    @action(detail=True, methods=["post"])
    def abandon(self, request: Request, id: str) -> Response:
        """End a session without scores.

        Answers the session. `SESSION_CLOSED`: it is over already.
        """
        session = practice.abandon_session(learner_id=self.learner_id, session_id=id, now=now())
        return Response(SessionSerializer(session).data)

    @operation(
        "reportTurn",
        request=ReportSerializer,
        answers={201: TurnSerializer},
        raises=[NotFound, UnknownTurn],
    )
    @action(detail=True, methods=["post"])
    def report(self, request: Request, id: str) -> Response:
        """Show a turn to staff, who see no others.

        They see what was said in it, and the reason, for 90 days. Reported again, another reason
        takes its place. Each look is in `GET /auth/activity`.
        """
        fields = self.validated_body(ReportSerializer)
        session, turn = reports.report_turn(
            self.learner_id, id, number=fields["turn"], reason=fields.get("reason", ""), now=now()
        )
        return Response(turn_body(session, turn), status.HTTP_201_CREATED)

    @operation(
        "savePhrase",
        request=PhraseCardSerializer,
        answers={201: CardSerializer},
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
            fields=self.validated_body(PhraseCardSerializer),
            now=now(),
        )
        return with_etag(Response(CardSerializer(card).data, status.HTTP_201_CREATED), card.version)
