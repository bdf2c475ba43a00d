"""Notes: what makes one card or several."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.operations import operation
from config.pagination import ListQuerySerializer, decode_cursor, page_of, paginated_response
from config.problems import IdTaken, NotFound
from config.serializers import (
    HttpsUrlField,
    IdField,
    InstantField,
    IntegerField,
    Serializer,
    TextField,
)
from config.viewsets import Resource, if_match_version, with_etag
from learning.api.serializers import CardSerializer, TagsField, _optional
from learning.cloze import MAX_CARDS
from learning.models.cards import Note
from learning.services import notes
from learning.services.cards import NoSuchDeck, Written

TYPES = ["basic", "reversed", "cloze"]


class NoteSerializer(Serializer):
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

    id = IdField(read_only=True)
    type = serializers.ChoiceField(TYPES, read_only=True)
    deck_id = IdField()
    front = TextField(max_length=2000)
    back = TextField(max_length=2000, default="", allow_blank=True)
    phonetic = _optional(TextField, max_length=200)
    example = _optional(TextField, max_length=2000)
    notes = _optional(TextField, max_length=5000)
    tags = TagsField(default=list)
    audio_url = _optional(HttpsUrlField)
    image_url = _optional(HttpsUrlField)
    source_session_id = _optional(IdField)
    source_turn = _optional(IntegerField, min_value=1, max_value=9999)
    created_at = InstantField(read_only=True)
    updated_at = InstantField(read_only=True)
    version = IntegerField(read_only=True, help_text="For If-Match")


class NewNoteSerializer(NoteSerializer):
    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")
    type = serializers.ChoiceField(
        TYPES, help_text=f"Stays as it is. A note makes at most {MAX_CARDS} cards"
    )


class WrittenNoteSerializer(NoteSerializer):
    cards = serializers.SerializerMethodField()

    @extend_schema_field(CardSerializer(many=True))
    def get_cards(self, note: Any) -> Any:
        return CardSerializer(self.context["cards"], many=True).data


class NoteViewSet(Resource):
    @operation("listNotes", answers={200: page_of(NoteSerializer)}, query=ListQuerySerializer)
    def list(self, request: Request) -> Response:
        """List the reversed and cloze notes. Basic ones are in the list of flashcards."""
        query = self.validated_query(ListQuerySerializer)
        page = Note.several_of(
            self.learner_id, limit=query["limit"], start=decode_cursor(request, query.get("cursor"))
        )
        return paginated_response(request, page, NoteSerializer)

    @operation(
        "createNote",
        request=NewNoteSerializer,
        answers={201: WrittenNoteSerializer},
        raises=[IdTaken, NoSuchDeck],
    )
    def create(self, request: Request) -> Response:
        """Make a note and its cards, which are new and due at once."""
        fields = self.validated_body(NewNoteSerializer)
        written = notes.create_note(learner_id=self.learner_id, fields=fields, now=now())
        return _answer(written, status.HTTP_201_CREATED)

    @operation("getNote", answers={200: WrittenNoteSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a note of any type with its cards."""
        return _answer(notes.read_note(learner_id=self.learner_id, note_id=id))

    @operation(
        "replaceNote",
        request=NoteSerializer,
        answers={200: WrittenNoteSerializer},
        raises=[NotFound, NoSuchDeck],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a note says, on all its cards; what is left out becomes its default."""
        return self._change(request, id, self.validated_body(NoteSerializer))

    @operation(
        "updateNote",
        request=NoteSerializer,
        answers={200: WrittenNoteSerializer},
        raises=[NotFound, NoSuchDeck],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what is given of a note, on all its cards.

        A new cloze makes a card, one that is gone removes its card; brought back, that card is
        where its reviews left it.
        """
        return self._change(request, id, self.validated_body(NoteSerializer, partial=True))

    def _change(self, request: Request, id: str, changes: dict[str, Any]) -> Response:
        written = notes.update_note(
            learner_id=self.learner_id,
            note_id=id,
            changes=changes,
            expected_version=if_match_version(request),
            now=now(),
        )
        return _answer(written)

    @operation("deleteNote", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a note and its cards. Their reviews stay in the log and in the statistics."""
        notes.delete_note(
            learner_id=self.learner_id,
            note_id=id,
            expected_version=if_match_version(request),
            now=now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


def _answer(written: Written, code: int = status.HTTP_200_OK) -> Response:
    note, cards = written
    body = WrittenNoteSerializer(note, context={"cards": cards}).data
    return with_etag(Response(body, code), note.version)
