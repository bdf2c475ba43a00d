"""Events, and when they take place."""

from typing import Any

from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.problems import IdTaken, NotFound
from config.viewsets import Resource, expected_version, found, versioned
from reminders.api.serializers import EventShape, NewEventShape, ShowingShape, WindowQuery
from reminders.models import Event
from reminders.services import events


def _answer(event: Event, code: int = status.HTTP_200_OK) -> Response:
    return versioned(Response(EventShape(event).data, code), int(event.version))


class Events(Resource):
    @operation("listEvents", answers={200: list_of(EventShape)}, query=ListQuery)
    def list(self, request: Request) -> Response:
        """List the events, each once."""
        query = self.query(ListQuery)
        start = start_of(request, query.get("cursor"))
        page = Event.all_of(self.learner_id, limit=query["limit"], start=start)
        return page_response(request, page, EventShape)

    @operation(
        "listOccurrences",
        answers={200: list_of(ShowingShape)},
        query=WindowQuery,
    )
    @action(detail=False)
    def occurrences(self, request: Request) -> Response:
        """List what takes place in a window, in order of start, each event as often as it does."""
        query = self.query(WindowQuery)
        page = events.window(
            learner_id=self.learner_id,
            after=query.get("after"),
            before=query.get("before"),
            limit=query["limit"],
            start=start_of(request, query.get("cursor")),
            now=now(),
        )
        return page_response(request, page, ShowingShape)

    @operation(
        "createEvent",
        request=NewEventShape,
        answers={201: EventShape},
        raises=[IdTaken, events.TooManyEvents],
    )
    def create(self, request: Request) -> Response:
        """Make an event."""
        fields = self.body(NewEventShape)
        event = events.create_event(learner_id=self.learner_id, fields=fields, now=now())
        return _answer(event, status.HTTP_201_CREATED)

    @operation("getEvent", answers={200: EventShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read an event."""
        return _answer(found(Event.of(self.learner_id, id)))

    @operation(
        "replaceEvent",
        request=EventShape,
        answers={200: EventShape},
        raises=[NotFound],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace an event; what is left out becomes its default. Its reminders follow."""
        return self._change(request, id, self.body(EventShape))

    @operation(
        "updateEvent",
        request=EventShape,
        answers={200: EventShape},
        raises=[NotFound],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of an event. Its reminders follow.

        With another start it lasts as long as before; exceptions stay as far as their occurrences.
        """
        return self._change(request, id, self.body(EventShape, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        event = events.update_event(
            learner_id=self.learner_id,
            event_id=id,
            changes=changes,
            expected_version=expected_version(request),
            now=now(),
        )
        return _answer(event)

    @operation("deleteEvent", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete an event and its reminders."""
        events.delete_event(
            learner_id=self.learner_id,
            event_id=id,
            expected_version=expected_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)
