"""Notes in from files: at once, or by imports that work by themselves."""

from typing import Any, BinaryIO

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import learner_key
from config.http import told
from config.operations import operation
from config.problems import Filled, IdTaken, NotFound
from config.serializers import (
    BooleanField,
    IdField,
    InstantField,
    IntegerField,
    MessageField,
    Serializer,
    TextField,
)
from config.store.jobs import Job
from config.viewsets import ListQuerySerializer, Resource, accepted, page_of
from learning import transfer
from learning.api.serializers import FORMATS, JobSerializer, told_deck, told_note
from learning.models.transfers import ImportRow
from learning.services import file_uploads, imports, transfers
from learning.services.cards import NoSuchDeck
from learning.services.imports import LIMITS, MAX_ERRORS


class ColumnsField(TextField):
    """The columns of a text file by place, joined by commas; `-` is not read."""

    sample = "front,back,-,tags"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=1000, **kwargs)

    def to_internal_value(self, data: Any) -> tuple[str, ...]:  # type: ignore[override]
        names = tuple(name.strip() for name in super().to_internal_value(data).split(","))
        choices = (*transfer.COLUMNS, transfer.UNREAD)
        if wrong := [name for name in names if name not in choices]:
            message = Filled(
                "There is no column '{name}': name {choices}.",
                name=wrong[0],
                choices=", ".join(choices),
            )
            raise serializers.ValidationError(told(message), "unknown_column")
        if "front" not in names:
            raise serializers.ValidationError("Say which column is the front.", "no_front")
        return names


class _SourceSerializer(Serializer):
    """How a file is to be taken in."""

    format = serializers.ChoiceField(
        FORMATS, required=False, help_text="By default told by the content"
    )
    deck_id = IdField(required=False, help_text="Takes the notes that name no deck")
    restore_deleted = BooleanField(
        default=False, help_text="Bring back notes that you have deleted, as new ones"
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


class _ImportSerializer(_SourceSerializer):
    dry_run = BooleanField(default=False, help_text="Tell what would be done, and do nothing")
    offset = IntegerField(
        min_value=0,
        max_value=1_000_000,
        default=0,
        help_text="The `nextOffset` of the answer before, if it had one",
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
    samples = {
        "row": 17,
        "field": "front",
        "code": "too_long",
        "message": "More than 10000 characters.",
    }

    row = IntegerField(
        help_text="Of a text file its row, else the place of the note, from 1; 0: all"
    )
    field = serializers.CharField()
    code = serializers.CharField()
    message = MessageField()
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
    them, or the table too busy: send the file again with it as `offset`."""

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


class NewUploadSerializer(Serializer):
    size_bytes = IntegerField(min_value=1, max_value=LIMITS.file_bytes)


class UploadSerializer(Serializer):
    """PUT the file to `url`, with its size as Content-Length and without other headers of yours."""

    upload_key = IdField()
    url = serializers.URLField()
    expires_at = InstantField()


TEXT_OPTIONS = ("separator", "encoding", "header", "columns", "html")
REFUSALS = [
    transfer.FileRefused,
    transfer.FormatUnknown,
    transfer.FileUnsafe,
    transfer.FileTooNew,
    transfer.FileTooLarge,
    transfer.EncodingUncertain,
]


class FileImportViewSet(Resource):
    parser_classes = [MultiPartParser]

    @operation(
        "importFlashcards",
        request={"multipart/form-data": ImportFileSerializer},
        answers={200: ReportSerializer},
        raises=[*REFUSALS, NoSuchDeck],
    )
    def create(self, request: Request) -> Response:
        """Import notes from CSV, our JSON or an Anki package.

        Decks are found by name or made. Scheduling and history of packages and JSON are kept. Sent
        again, nothing is added twice: notes that are known are updated where the file is newer. An
        answer with `nextOffset` is not the end: send the file again with it as `offset`, until an
        answer has none.
        """
        fields = self.validated_body(ImportFileSerializer)
        upload = fields["file"]
        return _imported(self.learner_id, fields, upload.file, upload.name)


def _imported(learner_id: str, fields: dict[str, Any], file: BinaryIO, filename: str) -> Response:
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
        learner_id=learner_id,
        rows=transfer.read(file, **source),
        deck_id=fields.get("deck_id"),
        dry_run=fields["dry_run"],
        restore_deleted=fields["restore_deleted"],
        offset=fields["offset"],
        now=now(),
        check_deck=told_deck,
        check_note=told_note,
    )
    shown = TextPreviewSerializer(preview).data if preview else None
    return Response({**ReportSerializer(report).data, "preview": shown})


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

    @operation(
        "importUpload",
        request=ImportUploadSerializer,
        answers={200: ReportSerializer},
        raises=[*REFUSALS, NoSuchDeck, file_uploads.NoSuchUpload],
    )
    def import_upload(self, request: Request) -> Response:
        """Import the notes of an uploaded file, as of one in the request.

        `uploadKey` is of `POST /flashcards/uploads`. `UNKNOWN_UPLOAD`: nothing was uploaded under
        it, or more than a day ago. All else is as for `POST /flashcards/import`.
        """
        fields = self.validated_body(ImportUploadSerializer)
        key = fields["upload_key"]
        with file_uploads.open_upload(learner_id=self.learner_id, upload_key=key) as file:
            return _imported(self.learner_id, fields, file, fields["filename"])


class NewImportSerializer(_SourceSerializer):
    """A file that was uploaded before, to be taken in without further requests."""

    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")
    upload_key = IdField(help_text="As `POST /flashcards/uploads` gave it")
    filename = TextField(max_length=255, default="", allow_blank=True)


class FiguresSerializer(Serializer):
    """What has become of the notes so far."""

    imported = IntegerField(default=0)
    updated = IntegerField(default=0)
    skipped = IntegerField(default=0)
    failed = IntegerField(default=0)


class ImportSerializer(JobSerializer):
    """An import at work. `done` and `total` count notes and remarks of the file."""

    filename = serializers.SerializerMethodField()
    report = serializers.SerializerMethodField()

    def get_filename(self, job: Any) -> str:
        return str(job.arguments.get("filename", ""))

    @extend_schema_field(FiguresSerializer)
    def get_report(self, job: Any) -> dict[str, int]:
        names = ("imported", "updated", "skipped", "failed")
        return {name: (job.result or {}).get(name, 0) for name in names}


class ImportViewSet(Resource):
    @operation("listImports", query=ListQuerySerializer, answers={200: page_of(ImportSerializer)})
    def list(self, request: Request) -> Response:
        """List the imports that work by themselves, the latest first.

        Each is kept for two weeks.
        """
        owner = learner_key(self.learner_id)
        return self.paginated(
            Job.newest, owner, transfers.IMPORT, serializer_class=ImportSerializer
        )

    @operation(
        "startImport",
        request=NewImportSerializer,
        answers={202: ImportSerializer},
        raises=[IdTaken, NoSuchDeck, file_uploads.NoSuchUpload, transfers.TooManyJobs],
    )
    def create(self, request: Request) -> Response:
        """Start an import of an uploaded file, which then works by itself.

        Read at `Location` how far it has come. A busy table slows it down; it goes on where it
        was. Try the file with `dryRun` before (`POST /flashcards/import`).
        """
        fields = self.validated_body(NewImportSerializer)
        job = transfers.start_import(learner_id=self.learner_id, fields=fields)
        return accepted(request, ImportSerializer(job).data, f"{request.path}/{job.id}")

    @operation("getImport", answers={200: ImportSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read how far an import has come.

        Ask every few seconds until `state` is `done`, `failed` or `cancelled`. `failed` has the
        reason in `problem`, `report` the figures; what is said of single rows is in
        `/imports/{id}/rows`.
        """
        job = transfers.read_job(learner_id=self.learner_id, what=transfers.IMPORT, id=id)
        return Response(ImportSerializer(job).data)

    @operation(
        "listImportRows",
        query=ListQuerySerializer,
        answers={200: page_of(RowErrorSerializer)},
        raises=[NotFound],
    )
    @action(detail=True, methods=["get"])
    def rows(self, request: Request, id: str) -> Response:
        """List what an import has to say of the file's rows, in their order.

        With `fatal` the note was left out; without, it came in but for what is named.
        """
        transfers.read_job(learner_id=self.learner_id, what=transfers.IMPORT, id=id)
        return self.paginated(
            ImportRow.of_import, self.learner_id, id, serializer_class=RowErrorSerializer
        )

    @operation("cancelImport", answers={200: ImportSerializer}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, id: str) -> Response:
        """Cancel an import. What has come in stays; one that has ended is left as it is.

        Answers the import as it is now.
        """
        job = transfers.cancel_job(
            learner_id=self.learner_id, what=transfers.IMPORT, id=id, now=now()
        )
        return Response(ImportSerializer(job).data)

    @operation("deleteImport", answers={204: None}, raises=[NotFound])
    def destroy(self, request: Request, id: str) -> Response:
        """Forget an import, which stops if it is at work. What has come in stays.

        204. The list has it no more.
        """
        transfers.delete_job(learner_id=self.learner_id, what=transfers.IMPORT, id=id)
        return Response(status=status.HTTP_204_NO_CONTENT)
