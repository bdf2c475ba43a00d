"""Routes of what is seen, heard and looked up; those of study need not load it."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from learning.api.dictionary import DictionaryViewSet
from learning.api.media import MediumViewSet
from learning.api.recordings import RecordingViewSet
from learning.api.speech import SpeechViewSet

router = SimpleRouter(trailing_slash=False)
router.register("media", MediumViewSet, "medium")
router.register("recordings", RecordingViewSet, "recording")

urlpatterns = [
    *router.urls,
    path("dictionary", DictionaryViewSet.as_view({"post": "create"})),
    path("speech", SpeechViewSet.as_view({"post": "create"})),
]
