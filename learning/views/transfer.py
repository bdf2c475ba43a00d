"""Notes in and out as files."""

from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from config.clock import now
from config.http import Parser, Renderer, as_problem
from config.operations import operation
from config.problems import NotFound
from config.serializers import Serializer
from config.viewsets import Resource
from learning import transfer
from learning.serializers import transfer as shapes
from learning.serializers.cards import DeckShape
from learning.serializers.notes import NoteShape
from learning.services import exports, imports, transfers
from learning.services.cards import NoSuchDeck

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "apkg": "application/zip",
}
REFUSALS = [
    transfer.FileRefused,
    transfer.FormatUnknown,
    transfer.FileUnsafe,
    transfer.FileTooNew,
    transfer.FileTooLarge,
]


class AnyRenderer(Renderer):
    """Lets a client ask for any type of file; problems are JSON all the same."""

    media_type = "*/*"


class Imports(Resource):
    parser_classes = [MultiPartParser, Parser]

    @operation(
        "importFlashcards",
        request={
            "multipart/form-data": shapes.ImportFileShape,
            "application/json": shapes.ImportUploadShape,
        },
        answers={200: shapes.ReportShape},
        raises=[*REFUSALS, NoSuchDeck, transfers.NoSuchUpload],
    )
    def create(self, request: Request) -> Response:
        """Import notes from CSV, our JSON or an Anki package.

        Decks are found by name or made. Scheduling and history of packages and JSON are kept. Sent
        again, nothing is added twice: notes that are known are updated where the file is newer.
        """
        if request.content_type.startswith("multipart/"):
            fields = self.body(shapes.ImportFileShape)
            upload = fields["file"]
            return self._answer(fields, upload.file, upload.name)
        fields = self.body(shapes.ImportUploadShape)
        key = fields["upload_key"]
        with transfers.open_upload(learner_id=self.learner_id, upload_key=key) as file:
            return self._answer(fields, file, fields["filename"])

    def _answer(self, fields: dict[str, Any], file: BinaryIO, filename: str) -> Response:
        report = imports.import_notes(
            learner_id=self.learner_id,
            rows=transfer.read(file, filename, format=fields.get("format"), limits=imports.LIMITS),
            deck_id=fields.get("deck_id"),
            dry_run=fields["dry_run"],
            offset=fields["offset"],
            now=now(),
            check_deck=lambda told: _checked(_ToldDeck, told),
            check_note=lambda told: _checked(NoteShape, told),
        )
        return Response(shapes.ReportShape(report).data)


class _ToldDeck(DeckShape):
    """A deck as a file tells it, by its name alone in another place."""

    name = None  # type: ignore[assignment]


def _checked(shape: type[Serializer], told: Any) -> dict[str, Any]:
    """What a file says in the names of our API, as our fields. Raises ValidationFailed."""
    found = shape(data=told, partial=True)
    try:
        found.is_valid(raise_exception=True)
    except ValidationError as error:
        raise as_problem(error) from error
    return dict(found.validated_data)


class Uploads(Resource):
    @operation(
        "createUpload",
        request=shapes.NewUploadShape,
        answers={201: shapes.UploadShape},
    )
    def create(self, request: Request) -> Response:
        """Ask where to upload a file that is too large for a request.

        The address takes one file of that size within 15 minutes; import it by its key within a
        day.
        """
        upload = transfers.offer_upload(
            learner_id=self.learner_id, now=now(), **self.body(shapes.NewUploadShape)
        )
        return Response(shapes.UploadShape(upload).data, status.HTTP_201_CREATED)


class Exports(Resource):
    renderer_classes = [AnyRenderer]

    @operation(
        "exportFlashcards",
        query=shapes.ExportQuery,
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
        query, at = self.query(shapes.ExportQuery), now()
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
            if file.tell() > transfers.ANSWER_BYTES:
                url = transfers.offer_download(
                    learner_id=self.learner_id, file=file, filename=filename, media_type=media_type
                )
                return HttpResponse(status=303, headers={"Location": url})
            file.seek(0)
            answer = HttpResponse(file.read(), content_type=media_type)
        answer["Content-Disposition"] = f'attachment; filename="{filename}"'
        return answer
