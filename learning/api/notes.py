"""Notes: what makes one card or several."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuery, list_of, page_response, start_of
from config.problems import IdTaken, NotFound
from config.serializers import HttpsUrl, Id, Instant, Integer, Serializer, Text
from config.viewsets import Resource, expected_version, versioned
from learning.api.serializers import CardShape, Tags, _optional
from learning.cloze import MAX_CARDS
from learning.models.cards import Note
from learning.services import notes
from learning.services.cards import NoSuchDeck

TYPES = ["basic", "reversed", "cloze"]


class NoteShape(Serializer):
    """What a learner wrote. A basic note makes one card; a reversed one two, front to back and
    back to front; a cloze one a card for each number of `{{c1::answer::hint}}` in `front`, with
    `back` shown behind the answer."""

    samples = {
        "type": "cloze",
        "front": "O {{c1::gato::animal}} dorme na {{c2::cama}}.",
        "back": "The cat sleeps in the bed.",
        "phonetic": None,
        "example": None,
        "notes": None,
        "tags": ["frases"],
        "audioUrl": None,
        "imageUrl": None,
        "sourceSessionId": None,
        "sourceTurn": None,
        "version": 1,
    }

    id = Id(read_only=True)
    type = serializers.ChoiceField(TYPES, read_only=True)
    deck_id = Id()
    front = Text(max_length=2000)
    back = Text(max_length=2000, default="", allow_blank=True)
    phonetic = _optional(Text, max_length=200)
    example = _optional(Text, max_length=2000)
    notes = _optional(Text, max_length=5000)
    tags = Tags(default=list)
    audio_url = _optional(HttpsUrl)
    image_url = _optional(HttpsUrl)
    source_session_id = _optional(Id)
    source_turn = _optional(Integer, min_value=1, max_value=9999)
    created_at = Instant(read_only=True)
    updated_at = Instant(read_only=True)
    version = Integer(read_only=True, help_text="For If-Match")


class NewNoteShape(NoteShape):
    id = Id(required=False, help_text="Made by the client, so that sending again is safe")
    type = serializers.ChoiceField(
        TYPES, help_text=f"Stays as it is. A note makes at most {MAX_CARDS} cards"
    )


class WrittenNoteShape(NoteShape):
    cards = serializers.SerializerMethodField()

    @extend_schema_field(CardShape(many=True))
    def get_cards(self, note: Any) -> Any:
        return CardShape(self.context["cards"], many=True).data


class Notes(Resource):
    @operation("listNotes", answers={200: list_of(NoteShape)}, query=ListQuery)
    def list(self, request: Request) -> Response:
        """List the reversed and cloze notes. Basic ones are in the list of flashcards."""
        query = self.query(ListQuery)
        page = Note.all_of(
            self.learner_id, limit=query["limit"], start=start_of(request, query.get("cursor"))
        )
        return page_response(request, page, NoteShape)

    @operation(
        "createNote",
        request=NewNoteShape,
        answers={201: WrittenNoteShape},
        raises=[IdTaken, NoSuchDeck],
    )
    def create(self, request: Request) -> Response:
        """Make a note and its cards, which are new and due at once."""
        fields = self.body(NewNoteShape)
        written = notes.create_note(learner_id=self.learner_id, fields=fields, now=now())
        return _answer(written, status.HTTP_201_CREATED)

    @operation("getNote", answers={200: WrittenNoteShape}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a note of any type with its cards."""
        return _answer(notes.read_note(learner_id=self.learner_id, note_id=id))

    @operation(
        "replaceNote",
        request=NoteShape,
        answers={200: WrittenNoteShape},
        raises=[NotFound, NoSuchDeck],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a note says, on all its cards; what is left out becomes its default."""
        return self._change(request, id, self.body(NoteShape))

    @operation(
        "updateNote",
        request=NoteShape,
        answers={200: WrittenNoteShape},
        raises=[NotFound, NoSuchDeck],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a note, on all its cards.

        A new cloze makes a card, one that is gone removes its card; brought back, that card is
        where its reviews left it.
        """
        return self._change(request, id, self.body(NoteShape, partial=True))

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


def _answer(written: notes.Written, code: int = status.HTTP_200_OK) -> Response:
    note, cards = written
    body = WrittenNoteShape(note, context={"cards": cards}).data
    return versioned(Response(body, code), note.version)
