"""Routes of learning."""

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from config.formats import ULID_OR_UUID
from learning.api.decks import DeckViewSet
from learning.api.flashcards import FlashcardViewSet
from learning.api.notes import NoteViewSet
from learning.api.proposals import ProposalViewSet
from learning.api.reports import ReportViewSet
from learning.api.reviews import ReviewViewSet
from learning.api.scenarios import ScenarioViewSet
from learning.api.scheduler import OptimizationViewSet, SchedulerViewSet
from learning.api.sessions import SessionViewSet
from learning.api.starters import StarterDeckViewSet
from learning.api.statistics import StatisticsViewSet

router = SimpleRouter(trailing_slash=False)
router.register("flashcards", FlashcardViewSet, "flashcard")  # first, as it is asked for most
router.register("decks", DeckViewSet, "deck")
router.register("notes", NoteViewSet, "note")
router.register("reports", ReportViewSet, "report")
router.register("reviews", ReviewViewSet, "review")
router.register("scenarios", ScenarioViewSet, "scenario")
router.register("sessions", SessionViewSet, "session")
router.register("starter-decks", StarterDeckViewSet, "starter-deck")

urlpatterns = [
    *router.urls,
    re_path(
        rf"^sessions/(?P<id>{ULID_OR_UUID})/proposals$",
        ProposalViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path("statistics", StatisticsViewSet.as_view({"get": "retrieve"})),
    path("scheduler/optimize", OptimizationViewSet.as_view({"get": "retrieve", "post": "create"})),
    path(
        "scheduler",
        SchedulerViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
]
