"""Routes: the first words of a path choose a part of the service, which is loaded at first use."""

from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, path
from django.urls.resolvers import RoutePattern

from config.health import HealthView, ReadyView


class _FirstSegmentsPattern(RoutePattern):
    """Matches paths by their first word or two, and leaves the whole path to the part."""

    def __init__(self, starts: tuple[str, ...]) -> None:
        super().__init__("")
        self.starts = frozenset(starts)

    def match(self, path: str) -> tuple[str, tuple[Any, ...], dict[str, Any]] | None:
        words = path.split("/", 2)
        is_ours = words[0] in self.starts or "/".join(words[:2]) in self.starts
        return (path, (), {}) if is_ours else None


def lazy_include(urlconf: str, *starts: str) -> URLResolver:
    """The routes of a module, imported at the first request whose path begins so."""
    return URLResolver(_FirstSegmentsPattern(starts), urlconf)


urlpatterns: list[URLPattern | URLResolver] = [
    path("health", HealthView.as_view()),
    path("health/ready", ReadyView.as_view()),
    lazy_include("config.documentation", "schema", "docs"),
    lazy_include("accounts.urls", "auth", "jobs", "profile", "users"),
    lazy_include(
        "learning.file_urls",
        "exports",
        "flashcards/export",
        "flashcards/import",
        "flashcards/uploads",
        "imports",
    ),
    lazy_include(
        "learning.urls",
        "decks",
        "flashcards",
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
