"""Through the gate: from a sign-in, however it was made, to the page that was wanted."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import rotate_token
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.browse import guard, sessions
from accounts.services.sessions import SignedIn
from config.clock import now


def target(request: HttpRequest) -> str:
    """Where to go after the sign-in: back to a page of ours, never elsewhere."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    base = guard.cookie_path(request)
    ours = wanted == base or wanted.startswith((f"{base}/", f"{base}?"))
    if ours and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return reverse("browse-start")


def enter(request: HttpRequest, found: SignedIn, to: str) -> HttpResponse:
    """Opens a session for who has just signed in, in place of the browser's old one.

    Raises StaffOnly.
    """
    at = now()
    cookie = sessions.begin(found, now=at)
    sessions.end(request.COOKIES.get(guard.COOKIE, ""), now=at)
    rotate_token(request)
    response = HttpResponseRedirect(to, status=303)
    guard.admit_browser(response, request, cookie)
    return response
