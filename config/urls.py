"""Which part of the service answers which path. A part is loaded when first asked for."""

from typing import Any

from django.urls import URLResolver, path
from django.urls.resolvers import RoutePattern

from config.health import Health, Ready


class _FirstWord(RoutePattern):
    """Matches paths by their first word and takes nothing away from them."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__("")
        self.words = frozenset(words)

    def match(self, path: str) -> tuple[str, tuple[Any, ...], dict[str, Any]] | None:
        return (path, (), {}) if path.partition("/")[0] in self.words else None


def part(urlconf: str, *words: str) -> URLResolver:
    """The routes of a module, imported at the first request whose path begins with a word."""
    return URLResolver(_FirstWord(words), urlconf)


urlpatterns = [
    path("health", Health.as_view()),
    path("health/ready", Ready.as_view()),
    part("config.documentation", "schema", "docs", "redoc"),
    part("accounts.urls", "auth", "profile", "users"),
    part(
        "learning.urls",
        "decks",
        "flashcards",
        "notes",
        "reviews",
        "scenarios",
        "scheduler",
        "sessions",
        "starter-decks",
        "statistics",
    ),
    part("accounts.browse.urls", "browse"),
    part("accounts.front.urls", "", "mails"),
    part(
        "reminders.urls",
        "calendar",
        "changes",
        "deliveries",
        "events",
        "reminders",
        "unsubscribe",
    ),
]

handler400 = "config.http.bad_request"
handler404 = "config.http.not_found"
handler500 = "config.http.server_error"
