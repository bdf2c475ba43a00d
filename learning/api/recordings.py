"""Recordings of what a learner says, understood as text."""

from django.utils.timezone import now
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.operations import operation
from config.problems import NotFound, UpstreamFailed
from config.serializers import IdField, InstantField, IntegerField, LanguageField, Serializer
from config.viewsets import Resource, accepted
from learning.api.serializers import DigestField, SignedUploadSerializer
from learning.models.recordings import STATES
from learning.services import recordings
from learning.services.media import NotUploaded
from learning.services.practice import ConsentNeeded
from learning.services.speech import BudgetUsedUp, NoVoice, SpeechOff


class NewRecordingSerializer(Serializer):
    """A WAV file of at most 30 s: PCM, one channel, 16 bits, 8 to 48 kHz."""

    size_bytes = IntegerField(min_value=44, max_value=recordings.MOST_BYTES)
    sha256 = DigestField()


class RecordingUploadSerializer(Serializer):
    id = IdField()
    upload = SignedUploadSerializer()


class UnderstandSerializer(Serializer):
    language = LanguageField()


class RecordingSerializer(Serializer):
    """How far a recording is understood. `text` is what was heard, for the learner to confirm."""

    samples = {"state": "done", "language": "pt-PT", "seconds": 3, "text": "Queria um café."}

    id = IdField()
    state = serializers.ChoiceField(STATES)
    language = serializers.CharField()
    seconds = IntegerField()
    text = serializers.CharField(allow_null=True)
    created_at = InstantField()


class RecordingViewSet(Resource):
    @operation(
        "createRecording",
        request=NewRecordingSerializer,
        answers={201: RecordingUploadSerializer},
        raises=[SpeechOff, ConsentNeeded],
    )
    def create(self, request: Request) -> Response:
        """Ask where to upload a recording of at most 30 s. Then have it understood.

        Agree first that what you say goes to a model: `modelVoice` of `PATCH /profile/consents`.
        Send the audio to the answer's `upload`, then call `/recordings/{id}/understand`.
        `SPEECH_OFF`: this stage does not listen; let the device do it.
        """
        fields = self.validated_body(NewRecordingSerializer)
        id, upload = recordings.begin(learner_id=self.learner_id, fields=fields, now=now())
        body = RecordingUploadSerializer({"id": id, "upload": upload}).data
        return Response(body, status.HTTP_201_CREATED)

    @operation(
        "understandRecording",
        request=UnderstandSerializer,
        answers={202: RecordingSerializer},
        raises=[
            SpeechOff,
            ConsentNeeded,
            NoVoice,
            NotUploaded,
            recordings.RecordingRefused,
            BudgetUsedUp,
            UpstreamFailed,
        ],
    )
    @action(detail=True, methods=["post"])
    def understand(self, request: Request, id: str) -> Response:
        """Have an uploaded recording understood. Its seconds count in the day's budget.

        Read it every second until it is done; that takes some seconds. Show the `text` to the
        learner, and send it as a turn when it is confirmed. The recording itself is removed.
        """
        fields = self.validated_body(UnderstandSerializer)
        recording = recordings.understand(
            learner_id=self.learner_id, id=id, language=fields["language"], now=now()
        )
        path = request.path.removesuffix("/understand")
        return accepted(request, RecordingSerializer(recording).data, path)

    @operation(
        "getRecording", answers={200: RecordingSerializer}, raises=[NotFound, UpstreamFailed]
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Read what was heard.

        Ask every second while `state` is `running`; once it is `done`, `text` has what was heard.
        404 after a day.
        """
        recording = recordings.read(learner_id=self.learner_id, id=id, now=now())
        return Response(RecordingSerializer(recording).data)

    @operation("deleteRecording", answers={204: None}, raises=[NotFound])
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a recording and its text, which else is kept for a day.

        204. `NOT_FOUND`: it is gone already.
        """
        recordings.forget(learner_id=self.learner_id, id=id)
        return Response(status=status.HTTP_204_NO_CONTENT)
