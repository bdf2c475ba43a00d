"""Notes: what makes one card or several."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.pagination import ListQuerySerializer, page_of
from config.problems import IdTaken, NotFound
from config.serializers import (
    HttpsUrlField,
    IdField,
    InstantField,
    IntegerField,
    Serializer,
    TextField,
    optional,
)
from config.viewsets import ItemViewSet, with_etag
from learning.api.serializers import CardSerializer, TagsField
from learning.cloze import MAX_CARDS
from learning.models.cards import Note
from learning.services import notes
from learning.services.cards import NoSuchDeck

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
    phonetic = optional(TextField, max_length=200)
    example = optional(TextField, max_length=2000)
    notes = optional(TextField, max_length=5000)
    tags = TagsField(default=list)
    audio_url = optional(HttpsUrlField)
    image_url = optional(HttpsUrlField)
    source_session_id = optional(IdField)
    source_turn = optional(IntegerField, min_value=1, max_value=9999)
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


class NoteViewSet(ItemViewSet):
    serializer_class = NoteSerializer
    create_serializer_class = NewNoteSerializer

    def answer(self, item: notes.Written, code: int = status.HTTP_200_OK) -> Response:
        """A note with its cards."""
        note, cards = item
        body = WrittenNoteSerializer(note, context={"cards": cards}).data
        return with_etag(Response(body, code), int(note.version))

    @operation("listNotes", answers={200: page_of(NoteSerializer)}, query=ListQuerySerializer)
    def list(self, request: Request) -> Response:
        """List the reversed and cloze notes. Basic ones are in the list of flashcards."""
        return self.paginated(Note.all_of, self.learner_id, serializer_class=NoteSerializer)

    @operation(
        "createNote",
        request=NewNoteSerializer,
        answers={201: WrittenNoteSerializer},
        raises=[IdTaken, NoSuchDeck],
    )
    def create(self, request: Request) -> Response:
        """Make a note and its cards, which are new and due at once."""
        return self.create_item(notes.create_note)

    @operation("getNote", answers={200: WrittenNoteSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a note of any type with its cards."""
        return self.answer(notes.read_note(learner_id=self.learner_id, note_id=id))

    @operation(
        "replaceNote",
        request=NoteSerializer,
        answers={200: WrittenNoteSerializer},
        raises=[NotFound, NoSuchDeck],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace what a note says, on all its cards; what is left out becomes its default."""
        return self.update_item(notes.update_note, note_id=id)

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
        return self.update_item(notes.update_note, note_id=id, partial=True)

    @operation("deleteNote", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a note and its cards. Their reviews stay in the log and in the statistics."""
        return self.delete_item(notes.delete_note, note_id=id)
