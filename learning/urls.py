"""Routes of learning."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from learning import views

router = SimpleRouter(trailing_slash=False)
router.register("decks", views.Decks, "deck")
router.register("flashcards", views.Flashcards, "flashcard")
router.register("reviews", views.Reviews, "review")

urlpatterns = [
    *router.urls,
    path(
        "scheduler",
        views.SchedulerSettings.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
]
