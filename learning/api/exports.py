"""Notes out as files: at once, or by exports that work by themselves."""

from tempfile import TemporaryFile
from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import learner_key
from config.http import Renderer
from config.operations import operation
from config.problems import IdTaken, NotFound
from config.serializers import IdField, IntegerField, QuerySerializer, Serializer
from config.store.jobs import Job
from config.viewsets import ListQuerySerializer, Resource, accepted, page_of
from learning.api.serializers import FORMATS, JobSerializer
from learning.services import exports, file_uploads, transfers
from learning.services.cards import NoSuchDeck


class ExportQuerySerializer(QuerySerializer):
    format = serializers.ChoiceField(FORMATS, help_text="`apkg` is an Anki package")
    deck_id = IdField(required=False, help_text="Only the notes of this deck")


class AnyRenderer(Renderer):
    """Lets a client ask for any type of file; problems are JSON all the same."""

    media_type = "*/*"


class FileExportViewSet(Resource):
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
        raises=[NotFound, exports.TooManyFiles],
    )
    def retrieve(self, request: Request) -> HttpResponse:
        """Export the notes of one deck or of all as a file.

        CSV has what was written; JSON and Anki packages have schedule and history as well, packages
        also pictures and sounds. A file
        that is too large for an answer is found at the address that 303 leads to, for 15 minutes.
        """
        query, at = self.validated_query(ExportQuerySerializer), now()
        format = query["format"]
        filename, media_type = transfers.exported_as(format, at)
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


class NewExportSerializer(Serializer):
    id = IdField(required=False, help_text="Made by the client, so that sending again is safe")
    format = serializers.ChoiceField(FORMATS)
    deck_id = IdField(required=False, help_text="The notes of one deck alone")


class ExportSerializer(JobSerializer):
    """An export at work. `done` counts notes; `total` is known once all are read.

    `url` gives the file out for 15 minutes; read the export again for another one, for 23 hours.
    """

    format = serializers.SerializerMethodField()
    size_bytes = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(FORMATS))
    def get_format(self, job: Any) -> str:
        return str(job.arguments["format"])

    @extend_schema_field(IntegerField(allow_null=True))
    def get_size_bytes(self, job: Any) -> int | None:
        return (job.result or {}).get("size_bytes")

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_url(self, job: Any) -> str | None:
        return transfers.export_url(job, now=now())


class ExportViewSet(Resource):
    @operation("listExports", query=ListQuerySerializer, answers={200: page_of(ExportSerializer)})
    def list(self, request: Request) -> Response:
        """List the exports that work by themselves, the latest first.

        Each is kept for two weeks.
        """
        owner = learner_key(self.learner_id)
        return self.paginated(
            Job.newest, owner, transfers.EXPORT, serializer_class=ExportSerializer
        )

    @operation(
        "startExport",
        request=NewExportSerializer,
        answers={202: ExportSerializer},
        raises=[IdTaken, NoSuchDeck, transfers.TooManyJobs],
    )
    def create(self, request: Request) -> Response:
        """Start an export of one deck or of all, however large. It then works by itself.

        Read at `Location` how far it has come, and at its end where the file is.
        """
        fields = self.validated_body(NewExportSerializer)
        job = transfers.start_export(learner_id=self.learner_id, fields=fields)
        return accepted(request, ExportSerializer(job).data, f"{request.path}/{job.id}")

    @operation("getExport", answers={200: ExportSerializer}, raises=[NotFound])
    def retrieve(self, request: Request, id: str) -> Response:
        """Read how far an export has come.

        Ask every few seconds until `state` is `done` and `url` has the file; or `failed`, with the
        reason in `problem`.
        """
        job = transfers.read_job(learner_id=self.learner_id, what=transfers.EXPORT, id=id)
        return Response(ExportSerializer(job).data)

    @operation("cancelExport", answers={200: ExportSerializer}, raises=[NotFound])
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, id: str) -> Response:
        """Cancel an export. One that has ended is left as it is.

        Answers the export as it is now.
        """
        job = transfers.cancel_job(
            learner_id=self.learner_id, what=transfers.EXPORT, id=id, now=now()
        )
        return Response(ExportSerializer(job).data)

    @operation("deleteExport", answers={204: None}, raises=[NotFound])
    def destroy(self, request: Request, id: str) -> Response:
        """Forget an export, which stops if it is at work.

        204. The list has it no more.
        """
        transfers.delete_job(learner_id=self.learner_id, what=transfers.EXPORT, id=id)
        return Response(status=status.HTTP_204_NO_CONTENT)
