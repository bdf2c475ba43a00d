"""The routes of `/browse/`."""

from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_protect

from accounts.browse import google, views
from accounts.browse.gate import gated
from accounts.browse.mount import mounted

urlpatterns = [
    path("browse", gated(views.StartView.as_view()), name="browse-start"),
    path("browse/login", csrf_protect(views.LoginView.as_view()), name="browse-login"),
    path("browse/login/google", google.begin, name="browse-google"),
    path("browse/login/google/done", google.done, name="browse-google-done"),
    path("browse/logout", views.logout, name="browse-logout"),
    path("browse/", include(mounted())),
    # A slash at the end leads on without it, also whoever is not signed in (`config.http`).
    re_path(r"^browse/(?!(?:[\s\S]*/)?$)", gated(views.not_found)),
]
