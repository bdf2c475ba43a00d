"""Routes of learning."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from learning.api.decks import Decks
from learning.api.flashcards import Flashcards
from learning.api.notes import Notes
from learning.api.reviews import Reviews
from learning.api.scenarios import Scenarios
from learning.api.scheduler import Optimizations, SchedulerSettings
from learning.api.sessions import Sessions
from learning.api.starters import StarterDecks
from learning.api.statistics import StudyStatistics
from learning.api.transfer import Exports, Imports, Uploads

router = SimpleRouter(trailing_slash=False)
router.register("decks", Decks, "deck")
router.register("flashcards", Flashcards, "flashcard")
router.register("notes", Notes, "note")
router.register("reviews", Reviews, "review")
router.register("scenarios", Scenarios, "scenario")
router.register("sessions", Sessions, "session")
router.register("starter-decks", StarterDecks, "starter-deck")

urlpatterns = [
    path("flashcards/import", Imports.as_view({"post": "create"})),
    path("flashcards/uploads", Uploads.as_view({"post": "create"})),
    path("flashcards/export", Exports.as_view({"get": "retrieve"})),
    *router.urls,
    path("statistics", StudyStatistics.as_view({"get": "retrieve"})),
    path("scheduler/optimize", Optimizations.as_view({"get": "retrieve", "post": "create"})),
    path(
        "scheduler",
        SchedulerSettings.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
]
