"""Pictures and sounds for cards: uploaded, listed, removed."""

from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import NotFound
from config.serializers import IdField, InstantField, IntegerField, PatternField, Serializer
from config.viewsets import ListQuerySerializer, Resource, page_of
from learning.api.serializers import DigestField, SignedUploadSerializer
from learning.media_types import (
    MOST_BYTES,
    TYPES,
    MediumRefused,
    MediumTooLarge,
    MediumUnsupported,
)
from learning.models.media import STATES, Medium
from learning.services import media


class FilenameField(PatternField):
    """The bare name of a file, without a path."""

    sample = "casa.png"

    def __init__(self, **kwargs: Any) -> None:
        message = "Give a name without / \\ : and control characters."
        pattern = r"[^/\\:\x00-\x1f\x7f.][^/\\:\x00-\x1f\x7f]*"
        super().__init__(pattern, message, max_length=200, **kwargs)


class NewMediumSerializer(Serializer):
    """What is about to be uploaded. The same bytes are kept once, whatever they are called."""

    content_type = serializers.ChoiceField(TYPES)
    size_bytes = IntegerField(min_value=1, max_value=MOST_BYTES)
    sha256 = DigestField()
    name = FilenameField(required=False)


class MediumSerializer(Serializer):
    """A picture or sound. A card shows it by `imageId` or `audioId`, or as `[media:<id>]` in any of
    its texts. `url` gives its bytes out for 15 minutes; it is null until the upload is complete."""

    samples = {
        "state": "ready",
        "contentType": "image/png",
        "sizeBytes": 48213,
        "width": 640,
        "height": 480,
        "names": ["casa.png"],
    }

    id = IdField()
    state = serializers.ChoiceField(STATES)
    content_type = serializers.ChoiceField(TYPES)
    size_bytes = IntegerField(help_text="Without what the file told of camera, place and author")
    width = IntegerField(help_text="In pixels; 0 for a sound")
    height = IntegerField()
    names = serializers.ListField(child=serializers.CharField())
    created_at = InstantField()
    url = serializers.SerializerMethodField()

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_url(self, medium: Medium) -> str | None:
        return media.url_of(medium)


class MediumOfferSerializer(MediumSerializer):
    upload = SignedUploadSerializer(allow_null=True, help_text="Null where it is there already")


class MediumViewSet(Resource):
    @operation("listMedia", query=ListQuerySerializer, answers={200: page_of(MediumSerializer)})
    def list(self, request: Request) -> Response:
        """List the pictures and sounds, each with an address for 15 minutes.

        With size, type and state. Use the `url` at once; it is another one each time.
        """
        return self.paginated(Medium.all_of, self.learner_id, serializer_class=MediumSerializer)

    @operation(
        "createMedium",
        request=NewMediumSerializer,
        answers={201: MediumOfferSerializer},
        raises=[media.ShelfFull],
    )
    def create(self, request: Request) -> Response:
        """Ask where to upload a picture or a sound of at most 10 MB.

        The address takes exactly these bytes within 15 minutes. Then complete the upload.
        """
        fields = self.validated_body(NewMediumSerializer)
        offer = media.begin_upload(learner_id=self.learner_id, fields=fields, now=now())
        shown = MediumSerializer(offer.medium).data
        upload = SignedUploadSerializer(offer.upload).data if offer.upload else None
        return Response({**shown, "upload": upload}, status.HTTP_201_CREATED)

    @operation("getMedium", answers={200: MediumSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read a picture or sound, with an address for 15 minutes.

        Use the `url` at once; it is another one each time.
        """
        return Response(MediumSerializer(media.read(learner_id=self.learner_id, id=id)).data)

    @operation(
        "completeMedium",
        answers={200: MediumSerializer},
        raises=[
            NotFound,
            MediumRefused,
            MediumUnsupported,
            MediumTooLarge,
            media.NotUploaded,
            media.ShelfFull,
        ],
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, id: str) -> Response:
        """Complete an upload. What is not a picture or sound of its type is refused and removed.

        What the file told of camera, place and author is taken out; the picture stays as it is.
        """
        medium = media.complete_upload(learner_id=self.learner_id, id=id, now=now())
        return Response(MediumSerializer(medium).data)

    @operation("deleteMedium", answers={204: None}, raises=[NotFound])
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a picture or sound at once. Cards that show it stay, and keep its id.

        `GET /media/{id}` is 404 from then on: show nothing in its place. The same file uploaded
        again has the same id, so the cards show it again.
        What no card shows any more goes by itself, a quarter of an hour after the card.
        """
        media.delete(learner_id=self.learner_id, id=id)
        return Response(status=status.HTTP_204_NO_CONTENT)
