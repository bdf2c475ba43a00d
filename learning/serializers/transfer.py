"""Wire shapes of import and export."""

from typing import Any

from rest_framework import serializers

from config.serializers import Boolean, Id, Instant, Integer, Query, Serializer, Text
from learning.services.imports import LIMITS, MOST_ERRORS

FORMATS = ["csv", "json", "apkg"]


class _ImportShape(Serializer):
    format = serializers.ChoiceField(
        FORMATS, required=False, help_text="By default told by the content"
    )
    deck_id = Id(required=False, help_text="Takes the notes that name no deck")
    dry_run = Boolean(default=False, help_text="Tell what would be done, and do nothing")
    offset = Integer(
        min_value=0,
        max_value=1_000_000,
        default=0,
        help_text="The `nextOffset` of the answer before",
    )


class ImportFileShape(_ImportShape):
    """A file of at most 5 MB in the request itself."""

    file = serializers.FileField(allow_empty_file=True)

    def to_internal_value(self, data: Any) -> Any:
        """Strict as JSON is: a form's blank fields would else be taken for absent ones."""
        blank = [str(name) for name in self.fields if data.get(name) == ""]
        if blank:
            message = "Leave it out or fill it in."
            raise serializers.ValidationError(dict.fromkeys(blank, message))
        return super().to_internal_value(data)


class ImportUploadShape(_ImportShape):
    """A file that was uploaded before."""

    upload_key = Id(help_text="As `POST /flashcards/uploads` gave it")
    filename = Text(max_length=255, default="", allow_blank=True)


class RowErrorShape(Serializer):
    row = Integer(help_text="Of a text file its row, else the place of the note, from 1; 0: all")
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()
    fatal = Boolean(help_text="The note was left out, not only what is named here")


class ReportShape(Serializer):
    """What became of the notes of the file. With `nextOffset` the time was too short for all of
    them: send the file again with it as `offset`."""

    imported = Integer(help_text="New notes")
    updated = Integer(help_text="Notes that you had, with a new text or further reviews")
    skipped = Integer(help_text="Notes of which the file says nothing new, or that you deleted")
    failed = Integer()
    errors = RowErrorShape(many=True, help_text=f"The first {MOST_ERRORS}")  # type: ignore[assignment]
    next_offset = Integer(allow_null=True)


class ExportQuery(Query):
    format = serializers.ChoiceField(FORMATS)
    deck_id = Id(required=False)


class NewUploadShape(Serializer):
    size_bytes = Integer(min_value=1, max_value=LIMITS.file_bytes)


class UploadShape(Serializer):
    """PUT the file to `url`, with its size as Content-Length and without other headers of yours."""

    upload_key = Id()
    url = serializers.URLField()
    expires_at = Instant()
