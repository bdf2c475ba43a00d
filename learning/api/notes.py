"""Notes: what makes one card or several."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import IdTaken, NotFound
from config.serializers import (
    IdField,
)
from config.viewsets import ItemViewSet, ListQuerySerializer, page_of, with_etag
from learning.api.serializers import NOTE_TYPES, CardSerializer, NoteSerializer
from learning.cloze import MAX_CARDS
from learning.models.cards import Note
from learning.services import notes
from learning.services.cards import NoSuchDeck, Written
from learning.services.media_on_cards import UnknownMedium


class NewNoteSerializer(NoteSerializer):
    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")
    type = serializers.ChoiceField(
        NOTE_TYPES, help_text=f"Stays as it is. A note makes at most {MAX_CARDS} cards"
    )


class WrittenNoteSerializer(NoteSerializer):
    cards = serializers.SerializerMethodField()

    @extend_schema_field(CardSerializer(many=True))
    def get_cards(self, note: Any) -> Any:
        return CardSerializer(self.context["cards"], many=True).data


class NoteViewSet(ItemViewSet):
    serializer_class = NoteSerializer
    create_serializer_class = NewNoteSerializer

    def answer(self, item: Written, code: int = status.HTTP_200_OK) -> Response:
        """A note with its cards."""
        note, cards = item
        body = WrittenNoteSerializer(note, context={"cards": cards}).data
        return with_etag(Response(body, code), int(note.version))

    @operation("listNotes", answers={200: page_of(NoteSerializer)}, query=ListQuerySerializer)
    def list(self, request: Request) -> Response:
        """List the reversed and cloze notes. Basic ones are in the list of flashcards.

        The cards of a note are in `GET /notes/{id}`.
        """
        return self.paginated(Note.several_of, self.learner_id, serializer_class=NoteSerializer)

    @operation(
        "createNote",
        request=NewNoteSerializer,
        answers={201: WrittenNoteSerializer},
        raises=[IdTaken, NoSuchDeck, UnknownMedium],
    )
    def create(self, request: Request) -> Response:
        """Make a note and its cards, which are new and due at once.

        201 with the note and its cards. A `reversed` note makes two; a `cloze` note one for each
        number in `{{c1::…}}`, and its `errors` tell a fault of these (`no_cloze`, `empty_cloze`).
        """
        return self.create_item(notes.create_note)

    @operation("getNote", answers={200: WrittenNoteSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a note of any type with its cards.

        Keep `version` for a later change of it.
        """
        return self.answer(notes.read_note(learner_id=self.learner_id, note_id=id))

    @operation(
        "replaceNote",
        request=NoteSerializer,
        answers={200: WrittenNoteSerializer},
        raises=[NotFound, NoSuchDeck, UnknownMedium],
        if_match=True,
    )
    def update(self, request: Request, id: str) -> Response:
        """Replace a note, on all its cards. A field that is left out gets its default.

        Its `type` stays as it is. The cards keep their schedules.
        """
        return self.update_item(notes.update_note, note_id=id)

    @operation(
        "updateNote",
        request=NoteSerializer,
        answers={200: WrittenNoteSerializer},
        raises=[NotFound, NoSuchDeck, UnknownMedium],
        if_match=True,
    )
    def partial_update(self, request: Request, id: str) -> Response:
        """Change the given fields of a note, on all its cards.

        A new cloze makes a card, one that is gone removes its card; brought back, that card is
        where its reviews left it.
        """
        return self.update_item(notes.update_note, note_id=id, partial=True)

    @operation("deleteNote", answers={204: None}, raises=[NotFound], if_match=True)
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a note and its cards. Their reviews stay in the log and in the statistics.

        204. It can be made again only under another id.
        """
        return self.delete_item(notes.delete_note, note_id=id)
