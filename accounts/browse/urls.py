"""The routes of `/browse/`."""

from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_protect

from accounts.browse import login
from accounts.browse.guard import gated
from accounts.browse.pages import mounted

urlpatterns = [
    path("browse", gated(login.StartView.as_view()), name="browse-start"),
    path("browse/login", csrf_protect(login.LoginView.as_view()), name="browse-login"),
    path("browse/login/google", login.begin, name="browse-google"),
    path("browse/login/google/done", login.done, name="browse-google-done"),
    path("browse/logout", login.logout, name="browse-logout"),
    path("browse/", include(mounted())),
    # A slash at the end leads on without it, also whoever is not signed in (`config.http`).
    re_path(r"^browse/(?!(?:[\s\S]*/)?$)", gated(login.not_found)),
]
