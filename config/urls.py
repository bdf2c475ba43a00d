"""Routes: the first word of a path chooses a part of the service, which is loaded at first use."""

from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, path
from django.urls.resolvers import RoutePattern

from config.health import HealthView, ReadyView


class _FirstSegmentPattern(RoutePattern):
    """Matches paths by their first word, and leaves the whole path to the part."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__("")
        self.words = frozenset(words)

    def match(self, path: str) -> tuple[str, tuple[Any, ...], dict[str, Any]] | None:
        return (path, (), {}) if path.partition("/")[0] in self.words else None


def lazy_include(urlconf: str, *words: str) -> URLResolver:
    """The routes of a module, imported at the first request whose path begins with a word."""
    return URLResolver(_FirstSegmentPattern(words), urlconf)


urlpatterns: list[URLPattern | URLResolver] = [
    path("health", HealthView.as_view()),
    path("health/ready", ReadyView.as_view()),
    lazy_include("config.documentation", "schema", "docs"),
    lazy_include("accounts.urls", "auth", "jobs", "profile", "users"),
    lazy_include(
        "learning.urls",
        "decks",
        "exports",
        "flashcards",
        "imports",
        "notes",
        "reports",
        "reviews",
        "scenarios",
        "scheduler",
        "sessions",
        "starter-decks",
        "statistics",
    ),
    lazy_include("learning.browse.urls", "browse"),  # before the pages' own 404
    lazy_include("learning.media_urls", "dictionary", "media", "recordings", "speech"),
    lazy_include("accounts.browse.urls", "browse"),
    lazy_include("accounts.front", ""),
    lazy_include(
        "reminders.urls",
        "calendar",
        "changes",
        "deliveries",
        "events",
        "mail-actions",
        "mail-suppression",
        "reminders",
        "unsubscribe",
    ),
]

if settings.STAGE == "local":  # the package for Lambda leaves out the modules and what they import
    urlpatterns.append(lazy_include("config.ops.app", "app"))
    urlpatterns.append(lazy_include("config.ops.mails", "mails"))

handler400 = "config.http.bad_request"
handler404 = "config.http.not_found"
handler500 = "config.http.server_error"
