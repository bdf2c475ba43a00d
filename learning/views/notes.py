"""Notes: what makes one card or several."""

from typing import Any

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pages import ListQuery, list_of, page_response, start_of
from config.preconditions import expected_version, versioned
from config.problems import IdTaken, NotFound
from config.viewsets import Resource
from learning.models.cards import Note
from learning.serializers import notes as shapes
from learning.services import notes
from learning.services.cards import NoSuchDeck, Written


class Notes(Resource):
    @operation("listNotes", answers={200: list_of(shapes.NoteShape)}, query=ListQuery)
    def list(self, request: Request) -> Response:
        """List the reversed and cloze notes. Basic ones are in the list of flashcards."""
        query = self.query(ListQuery)
        page = Note.several_of(
            self.learner_id, limit=query["limit"], start=start_of(request, query.get("cursor"))
        )
        return page_response(request, page, shapes.NoteShape)

    @operation(
        "createNote",
        request=shapes.NewNoteShape,
        answers={201: shapes.WrittenNoteShape},
        raises=[IdTaken, NoSuchDeck],
    )
    def create(self, request: Request) -> Response:
        """Make a note and its cards, which are new and due at once."""
        fields = self.body(shapes.NewNoteShape)
        written = notes.create_note(learner_id=self.learner_id, fields=fields, now=now())
        return _answer(written, status.HTTP_201_CREATED)

    @operation("getNote", answers={200: shapes.WrittenNoteShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a note of any type with its cards."""
        return _answer(notes.read_note(learner_id=self.learner_id, note_id=id))

    @operation(
        "replaceNote",
        request=shapes.NoteShape,
        answers={200: shapes.WrittenNoteShape},
        raises=[NotFound, NoSuchDeck],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a note says, on all its cards; what is left out becomes its default."""
        return self._change(request, id, self.body(shapes.NoteShape))

    @operation(
        "updateNote",
        request=shapes.NoteShape,
        answers={200: shapes.WrittenNoteShape},
        raises=[NotFound, NoSuchDeck],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a note, on all its cards.

        A new cloze makes a card, one that is gone removes its card; brought back, that card is
        where its reviews left it.
        """
        return self._change(request, id, self.body(shapes.NoteShape, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        written = notes.update_note(
            learner_id=self.learner_id,
            note_id=id,
            changes=changes,
            expected_version=expected_version(request),
            now=now(),
        )
        return _answer(written)

    @operation("deleteNote", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a note and its cards. Their reviews stay in the log and in the statistics."""
        notes.delete_note(
            learner_id=self.learner_id,
            note_id=id,
            expected_version=expected_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


def _answer(written: Written, code: int = status.HTTP_200_OK) -> Response:
    note, cards = written
    body = shapes.WrittenNoteShape(note, context={"cards": cards}).data
    return versioned(Response(body, code), note.version)
