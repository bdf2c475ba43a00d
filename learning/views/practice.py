"""Practice sessions."""

from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import list_of, page_response, start_of
from config.problems import IdTaken, NotFound
from config.viewsets import Resource, versioned
from learning.api import sessions as shapes
from learning.api.serializers import CardShape
from learning.api.sessions import (
    HintShape,
    NewSessionShape,
    NewTurnShape,
    PhraseCardShape,
    PlayedShape,
    SaidShape,
    SessionQuery,
    SessionShape,
)
from learning.models.practice import Session
from learning.services import practice
from learning.services.cards import NoSuchDeck
from learning.services.practice import (
    DialogueEnded,
    MeaningNeeded,
    PhraseNotInTurn,
    SessionClosed,
    UnknownRole,
    UnknownTurn,
)
from learning.services.scenarios import UnknownScenario


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
        return Response(shapes.session_body(played), status.HTTP_201_CREATED)

    @operation("getSession", answers={200: PlayedShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a session with its turns and, once completed, its scores."""
        played = practice.read(learner_id=self.learner_id, session_id=id)
        return Response(shapes.session_body(played))

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
            "turn": shapes.turn_body(played.session, turn),
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
        return Response(shapes.session_body(played))

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
