"""Notes in and out as files."""

from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.http import HttpResponse
from django.utils.timezone import now
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from config.http import Parser, Renderer, as_problem
from config.operations import operation
from config.problems import NotFound
from config.serializers import (
    BooleanField,
    IdField,
    InstantField,
    IntegerField,
    QuerySerializer,
    Serializer,
    TextField,
)
from config.viewsets import Resource
from learning import transfer
from learning.api.serializers import DeckSerializer, NoteSerializer
from learning.services import exports, file_uploads, imports
from learning.services.cards import NoSuchDeck
from learning.services.imports import LIMITS, MAX_ERRORS

FORMATS = ["csv", "json", "apkg"]


class ColumnsField(TextField):
    """The columns of a text file by place, joined by commas; `-` is not read."""

    sample = "front,back,-,tags"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=1000, **kwargs)

    def to_internal_value(self, data: Any) -> tuple[str, ...]:  # type: ignore[override]
        names = tuple(name.strip() for name in super().to_internal_value(data).split(","))
        choices = (*transfer.COLUMNS, transfer.UNREAD)
        if wrong := [name for name in names if name not in choices]:
            message = f"There is no column '{wrong[0]}': name {', '.join(choices)}."
            raise serializers.ValidationError(message, "unknown_column")
        if "front" not in names:
            raise serializers.ValidationError("Say which column is the front.", "no_front")
        return names


class _ImportSerializer(Serializer):
    format = serializers.ChoiceField(
        FORMATS, required=False, help_text="By default told by the content"
    )
    deck_id = IdField(required=False, help_text="Takes the notes that name no deck")
    dry_run = BooleanField(default=False, help_text="Tell what would be done, and do nothing")
    restore_deleted = BooleanField(
        default=False, help_text="Bring back notes that you have deleted, as new ones"
    )
    offset = IntegerField(
        min_value=0,
        max_value=1_000_000,
        default=0,
        help_text="The `nextOffset` of the answer before",
    )
    separator = serializers.ChoiceField(
        list(transfer.SEPARATORS), required=False, help_text="Of a text file; else found out"
    )
    encoding = serializers.ChoiceField(
        transfer.ENCODINGS, required=False, help_text="Of a text file that is not in Unicode"
    )
    header = BooleanField(
        allow_null=True,
        default=None,
        help_text="Whether the first row of a text file names its columns; null: found out",
    )
    columns = ColumnsField(required=False)
    html = BooleanField(
        allow_null=True, default=None, help_text="Whether the cells of a text file are HTML"
    )


class ImportFileSerializer(_ImportSerializer):
    """A file of at most 4.4 MB in the request itself."""

    file = serializers.FileField(allow_empty_file=True)

    def to_internal_value(self, data: Any) -> Any:
        """Strict as JSON is: a form's blank fields would else be taken for absent ones."""
        blank = [str(name) for name in self.fields if data.get(name) == ""]
        if blank:
            message = "Leave it out or fill it in."
            raise serializers.ValidationError(dict.fromkeys(blank, message))
        return super().to_internal_value(data)


class ImportUploadSerializer(_ImportSerializer):
    """A file that was uploaded before."""

    upload_key = IdField(help_text="As `POST /flashcards/uploads` gave it")
    filename = TextField(max_length=255, default="", allow_blank=True)


class RowErrorSerializer(Serializer):
    row = IntegerField(
        help_text="Of a text file its row, else the place of the note, from 1; 0: all"
    )
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()
    fatal = BooleanField(help_text="The note was left out, not only what is named here")


class PreviewedNoteSerializer(Serializer):
    row = IntegerField()
    type = serializers.CharField()
    front = serializers.CharField()
    back = serializers.CharField()
    phonetic = serializers.CharField()
    example = serializers.CharField()
    notes = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    deck = serializers.CharField()


class TextPreviewSerializer(Serializer):
    """How a text file is read. Each of these can be told instead; a guessed encoding has to be."""

    encoding = serializers.CharField()
    encoding_guessed = BooleanField()
    separator = serializers.CharField()
    html = BooleanField()
    header = serializers.ListField(
        child=serializers.CharField(), help_text="The labels, as the file has them"
    )
    columns = serializers.ListField(
        child=serializers.CharField(), help_text="By place; `-` is not read"
    )
    notes = PreviewedNoteSerializer(many=True, help_text="The first ones")


class ReportSerializer(Serializer):
    """What became of the notes of the file. With `nextOffset` the time was too short for all of
    them: send the file again with it as `offset`."""

    imported = IntegerField(help_text="New notes")
    updated = IntegerField(help_text="Notes that you had, with a new text or further reviews")
    skipped = IntegerField(
        help_text="Notes of which the file says nothing new, or that you deleted"
    )
    failed = IntegerField()
    errors = RowErrorSerializer(many=True, help_text=f"The first {MAX_ERRORS}")  # type: ignore[assignment]
    next_offset = IntegerField(allow_null=True)
    preview = TextPreviewSerializer(
        allow_null=True, help_text="Of a text file in a dry run, else null"
    )


class ExportQuerySerializer(QuerySerializer):
    format = serializers.ChoiceField(FORMATS)
    deck_id = IdField(required=False)


class NewUploadSerializer(Serializer):
    size_bytes = IntegerField(min_value=1, max_value=LIMITS.file_bytes)


class UploadSerializer(Serializer):
    """PUT the file to `url`, with its size as Content-Length and without other headers of yours."""

    upload_key = IdField()
    url = serializers.URLField()
    expires_at = InstantField()


MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "apkg": "application/zip",
}
TEXT_OPTIONS = ("separator", "encoding", "header", "columns", "html")
REFUSALS = [
    transfer.FileRefused,
    transfer.FormatUnknown,
    transfer.FileUnsafe,
    transfer.FileTooNew,
    transfer.FileTooLarge,
    transfer.EncodingUncertain,
]


class AnyRenderer(Renderer):
    """Lets a client ask for any type of file; problems are JSON all the same."""

    media_type = "*/*"


class ImportViewSet(Resource):
    parser_classes = [MultiPartParser, Parser]

    @operation(
        "importFlashcards",
        request={
            "multipart/form-data": ImportFileSerializer,
            "application/json": ImportUploadSerializer,
        },
        answers={200: ReportSerializer},
        raises=[*REFUSALS, NoSuchDeck, file_uploads.NoSuchUpload],
    )
    def create(self, request: Request) -> Response:
        """Import notes from CSV, our JSON or an Anki package.

        Decks are found by name or made. Scheduling and history of packages and JSON are kept. Sent
        again, nothing is added twice: notes that are known are updated where the file is newer.
        """
        if request.content_type.startswith("multipart/"):
            fields = self.validated_body(ImportFileSerializer)
            upload = fields["file"]
            return self._answer(fields, upload.file, upload.name)
        fields = self.validated_body(ImportUploadSerializer)
        key = fields["upload_key"]
        with file_uploads.open_upload(learner_id=self.learner_id, upload_key=key) as file:
            return self._answer(fields, file, fields["filename"])

    def _answer(self, fields: dict[str, Any], file: BinaryIO, filename: str) -> Response:
        options = transfer.TextOptions(
            **{name: fields.get(name) for name in TEXT_OPTIONS}, guess=fields["dry_run"]
        )
        source: dict[str, Any] = {
            "filename": filename,
            "format": fields.get("format"),
            "limits": imports.LIMITS,
            "options": options,
        }
        preview = transfer.preview(file, **source) if fields["dry_run"] else None
        report = imports.import_notes(
            learner_id=self.learner_id,
            rows=transfer.read(file, **source),
            deck_id=fields.get("deck_id"),
            dry_run=fields["dry_run"],
            restore_deleted=fields["restore_deleted"],
            offset=fields["offset"],
            now=now(),
            check_deck=lambda told: _checked(_ToldDeck, told),
            check_note=lambda told: _checked(NoteSerializer, told),
        )
        shown = TextPreviewSerializer(preview).data if preview else None
        return Response({**ReportSerializer(report).data, "preview": shown})


class _ToldDeck(DeckSerializer):
    """A deck as a file tells it, by its name alone in another place."""

    name = None  # type: ignore[assignment]


def _checked(shape: type[Serializer], told: Any) -> dict[str, Any]:
    """What a file says in the names of our API, as our fields. Raises ValidationFailed."""
    serializer = shape(data=told, partial=True)
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        raise as_problem(error) from error
    return dict(serializer.validated_data)


class UploadViewSet(Resource):
    @operation(
        "createUpload",
        request=NewUploadSerializer,
        answers={201: UploadSerializer},
    )
    def create(self, request: Request) -> Response:
        """Ask where to upload a file that is too large for a request.

        The address takes one file of that size within 15 minutes; import it by its key within a
        day.
        """
        upload = file_uploads.presign_upload(
            learner_id=self.learner_id, now=now(), **self.validated_body(NewUploadSerializer)
        )
        return Response(UploadSerializer(upload).data, status.HTTP_201_CREATED)


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
