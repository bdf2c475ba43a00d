"""Signing in to `/browse/` with Google: to the pool's hosted UI and back.

State, verifier and the page that was wanted wait in a sealed cookie of their own, which only the
browser that set out has: a code that someone else began with leads nowhere (RFC 6749, 10.12).
"""

import secrets
from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from accounts import cognito
from accounts.browse import entry, guard
from accounts.cognito import GOOGLE, InvalidCode
from accounts.services import google
from config.client_info import source_of
from config.clock import now
from config.crypto import SealBroken, seal, unseal
from config.problems import Problem

COOKIE, PURPOSE = "parley-google", "browser google"
LASTS = timedelta(minutes=10)


def _back(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("browse-google-done"))


def is_offered(request: HttpRequest) -> bool:
    """Whether the pool knows Google, and us by the name that the browser calls us by."""
    try:
        client = cognito.app_client()
    except Problem:
        return False
    return GOOGLE in client.providers and _back(request) in client.callback_urls


def begin(request: HttpRequest) -> HttpResponse:
    """Sends the browser to Google."""
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    try:
        url = google.authorize_url(
            redirect_uri=_back(request),
            state=state,
            code_challenge=google.challenge_of(verifier),
        )
    except Problem as problem:
        return guard.problem_page(request, problem)
    kept = {"state": state, "verifier": verifier, "to": entry.target(request)}
    response = HttpResponseRedirect(url)
    response.set_cookie(
        COOKIE,
        seal(PURPOSE, kept, until=now() + LASTS),
        max_age=LASTS,
        path=guard.cookie_path(request),
        secure=settings.STAGE != "local",
        httponly=True,
        samesite="Lax",  # the way back begins at another site
    )
    return response


def done(request: HttpRequest) -> HttpResponse:
    """Takes the browser back, with a code or without."""
    try:
        response = _enter(request)
    except Problem as problem:
        response = render(
            request, "browse/refused.html", {"problem": problem}, status=problem.status
        )
    response.delete_cookie(COOKIE, path=guard.cookie_path(request), samesite="Lax")
    return response


def _enter(request: HttpRequest) -> HttpResponse:
    try:
        kept = unseal(PURPOSE, request.COOKIES.get(COOKIE, ""), now=now())
    except SealBroken as error:
        raise InvalidCode("The sign-in took too long, or began in another browser") from error
    if not constant_time_compare(kept["state"], request.GET.get("state", "")):
        raise InvalidCode("The sign-in began in another browser")
    if "code" not in request.GET:
        raise InvalidCode("Google has not let you in")
    found = google.complete(
        code=request.GET["code"],
        redirect_uri=_back(request),
        code_verifier=kept["verifier"],
        source=source_of(request.META),
        now=now(),
    )
    return entry.enter(request, found, kept["to"])
