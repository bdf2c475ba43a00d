"""Routes of learning."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from learning.views.decks import Decks
from learning.views.flashcards import Flashcards
from learning.views.notes import Notes
from learning.views.practice import Sessions
from learning.views.reviews import Reviews
from learning.views.scenarios import Scenarios
from learning.views.scheduler import Optimizations, SchedulerSettings
from learning.views.starters import StarterDecks
from learning.views.statistics import StudyStatistics
from learning.views.transfer import Exports, Imports, Uploads

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
