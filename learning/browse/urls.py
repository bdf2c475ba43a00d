"""The pages on which staff write scenarios; `accounts.browse.urls` has all others."""

from typing import Any

from django.urls import URLPattern, re_path

from accounts.browse.guard import require_staff_session
from learning.browse.changes import ChangesView
from learning.browse.desk import DeskView
from learning.browse.editor import EditorView
from learning.browse.trial import TryView

ID = "(?P<id>[a-z0-9-]{1,60})"


def _page(pattern: str, view: Any, name: str) -> URLPattern:
    return re_path(rf"^browse/{pattern}\Z", require_staff_session(view.as_view()), name=name)


urlpatterns = [
    _page("writing", DeskView, "writing"),
    _page("write", EditorView, "writing-new"),
    _page(f"write/{ID}", EditorView, "writing-edit"),
    _page(f"write/{ID}/try", TryView, "writing-try"),
    _page(f"write/{ID}/changes", ChangesView, "writing-changes"),
]
