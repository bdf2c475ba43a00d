"""The routes of `/browse/`."""

from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_protect

from accounts.browse import login
from accounts.browse.guard import require_staff_session
from accounts.browse.pages import page_urls

urlpatterns = [
    path("browse", require_staff_session(login.StartView.as_view()), name="browse-start"),
    path("browse/login", csrf_protect(login.LoginView.as_view()), name="browse-login"),
    path("browse/login/google", login.start_google_sign_in, name="browse-google"),
    path("browse/login/google/done", login.finish_google_sign_in, name="browse-google-done"),
    path("browse/logout", login.logout, name="browse-logout"),
    path("browse/", include(page_urls())),
    # A slash at the end leads on without it, also whoever is not signed in (`config.http`).
    re_path(r"^browse/(?!(?:[\s\S]*/)?$)", require_staff_session(login.not_found)),
]
