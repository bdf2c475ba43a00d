"""Notes out as files: at once, or by exports that work by themselves."""

from tempfile import TemporaryFile

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request

from config.clock import now
from config.http import Renderer
from config.operations import operation
from config.problems import NotFound
from config.serializers import IdField, QuerySerializer
from config.viewsets import Resource
from learning.api.serializers import FORMATS
from learning.services import exports, file_uploads

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "apkg": "application/zip",
}


class ExportQuerySerializer(QuerySerializer):
    format = serializers.ChoiceField(FORMATS)
    deck_id = IdField(required=False)


class AnyRenderer(Renderer):
    """Lets a client ask for any type of file; problems are JSON all the same."""

    media_type = "*/*"


class ExportViewSet(Resource):
    renderer_classes = [AnyRenderer]

    @operation(
        "exportFlashcards",
        query=ExportQuerySerializer,
        answers={
            (200, "text/csv"): OpenApiTypes.BINARY,
            (200, "application/zip"): OpenApiTypes.BINARY,
            (200, "application/json"): OpenApiTypes.OBJECT,
            303: None,
        },
        raises=[NotFound],
    )
    def retrieve(self, request: Request) -> HttpResponse:
        """Export the notes of one deck or of all as a file.

        CSV has what was written; JSON and Anki packages have schedule and history as well. A file
        that is too large for an answer is found at the address that 303 leads to, for 15 minutes.
        """
        query, at = self.validated_query(ExportQuerySerializer), now()
        format = query["format"]
        filename, media_type = f"parley-{at:%Y-%m-%d}.{format}", MEDIA_TYPES[format]
        with TemporaryFile() as file:
            exports.export_notes(
                learner_id=self.learner_id,
                format=format,
                deck_id=query.get("deck_id"),
                target=file,
                now=at,
            )
            if file.tell() > file_uploads.ANSWER_BYTES:
                url = file_uploads.presign_download(
                    learner_id=self.learner_id, file=file, filename=filename, media_type=media_type
                )
                return HttpResponse(status=303, headers={"Location": url})
            file.seek(0)
            answer = HttpResponse(file.read(), content_type=media_type)
        answer["Content-Disposition"] = f'attachment; filename="{filename}"'
        return answer
