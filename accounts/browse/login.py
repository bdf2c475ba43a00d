"""Signing in and out of `/browse/`, by password or with Google, and its start page.

With Google one goes to the pool's hosted UI and back. State, verifier and the page that was
wanted wait in a sealed cookie meanwhile.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import rotate_token
from django.shortcuts import render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST
from django.views.generic import View
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import Login, VerifyMfa
from accounts.authentication import caller
from accounts.browse import guard, sessions
from accounts.browse.forms import Filled, body, faults, inputs
from accounts.browse.routes import Route, routes
from accounts.cognito import client as cognito_client
from accounts.cognito.client import InvalidCode, MfaSessionExpired
from accounts.cognito.sessions import Challenge
from accounts.cognito.users import GOOGLE
from accounts.services import google, mfa
from accounts.services.profile import person
from accounts.services.sessions import SignedIn, sign_in
from config.client_info import source_of
from config.clock import now
from config.crypto import SealBroken, seal, unseal
from config.http import as_problem
from config.problems import NotAuthenticated, NotFound, PermissionDenied, Problem
from config.serializers import Serializer, valid


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


COOKIE, PURPOSE = "parley-google", "browser google"
LASTS = timedelta(minutes=10)


def _back(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("browse-google-done"))


def is_offered(request: HttpRequest) -> bool:
    """Whether the pool knows Google, and us by the name that the browser calls us by."""
    try:
        client = cognito_client.app_client()
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
    kept = {"state": state, "verifier": verifier, "to": target(request)}
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
    return enter(request, found, kept["to"])


AUTOCOMPLETE = {"email": "username", "password": "current-password", "code": "one-time-code"}
# The parts of the start page, each with the modules and first words of its routes.
PARTS: tuple[tuple[str, str, set[str]], ...] = (
    ("People", "accounts.", {"users"}),
    ("Learning", "learning.", set()),
    ("Reminders", "reminders.", set()),
    ("Your account", "accounts.", {"auth", "profile"}),
)


class LoginView(View):
    """The password, then the second step where there is one."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return _form(request, Login)

    def post(self, request: HttpRequest) -> HttpResponse:
        shape: type[Serializer] = VerifyMfa if "sessionToken" in request.POST else Login
        at, source = now(), source_of(request.META)
        try:
            values = valid(shape, body(shape, request.POST))
            found: SignedIn | Challenge
            if shape is VerifyMfa:
                found = mfa.complete(**values, source=source, now=at)
            else:
                found = sign_in(**values, source=source, now=at)
            if isinstance(found, Challenge):
                token = mfa.session_token(found, values["email"], now=at)
                return _form(request, VerifyMfa, token=token)
            return enter(request, found, target(request))
        except (Problem, ValidationError) as error:
            problem = as_problem(error)
        again = Login if isinstance(problem, MfaSessionExpired) else shape
        return _form(request, again, problem, token=request.POST.get("sessionToken", ""))


def _form(
    request: HttpRequest,
    shape: type[Serializer],
    problem: Problem | None = None,
    *,
    token: str = "",
) -> HttpResponse:
    errors = problem.body().get("errors", []) if problem else []
    sent = request.POST if problem and shape is Login else None
    shown = [
        replace(each, autocomplete=AUTOCOMPLETE[each.name])
        for each in inputs(shape, Filled(sent, errors=tuple(errors)))
        if each.name in AUTOCOMPLETE
    ]
    form = {
        "method": "POST",
        "inputs": shown,
        "faults": faults(shown, errors),
        "problem": {"title": problem.title, "detail": problem.detail} if problem else None,
    }
    context: dict[str, Any] = {
        "form": form,
        "google": is_offered(request),
        "token": token if shape is VerifyMfa else "",
        "next": target(request),
    }
    response = render(
        request, "browse/login.html", context, status=problem.status if problem else 200
    )
    if problem and problem.retry_after_s is not None:
        response["Retry-After"] = str(problem.retry_after_s)
    return response


@require_POST
@csrf_protect
def logout(request: HttpRequest) -> HttpResponse:
    """Ends the session here and in Cognito."""
    try:
        sessions.end(request.COOKIES.get(guard.COOKIE, ""), now=now())
    except Problem as problem:
        return guard.problem_page(request, problem)
    response = HttpResponseRedirect(reverse("browse-login") + "#done", status=303)
    guard.dismiss_browser(response, request)
    return response


class FormOutdated(PermissionDenied):
    code, title = "FORM_OUTDATED", "This form is too old: open the page again"


def csrf_failure(request: HttpRequest, **_: str) -> HttpResponse:
    """Django's hook for a form without its token."""
    return guard.problem_page(request, FormOutdated())


def not_found(request: HttpRequest, **_: str) -> HttpResponse:
    """The page of every address below `/browse/` that is none."""
    return guard.problem_page(request, NotFound())


@dataclass(frozen=True)
class Entry:
    """A route on the start page."""

    name: str
    href: str
    title: str


class StartView(APIView):
    """What is where, as far as the caller may go."""

    renderer_classes = (TemplateHTMLRenderer,)

    def get(self, request: Request) -> Response:
        learner = caller(request)
        found = person(learner.id, groups=learner.groups, now=now())
        if found is None:
            raise NotAuthenticated
        context = {"person": found, "parts": list(_parts(request))}
        return Response(context, template_name="browse/start.html")

    def handle_exception(self, exc: Exception) -> Any:
        """What went wrong is a page too."""
        super().handle_exception(exc)  # which writes it into the log
        return guard.problem_page(self.request._request, as_problem(exc))


def _parts(request: Request) -> Iterator[tuple[str, list[Entry]]]:
    for title, module, words in PARTS:
        entries = [
            entry
            for route in routes()
            if route.view.__module__.startswith(module)
            and (not words or route.words[0] in words)
            and (entry := _entry(request, route))
        ]
        if entries:
            yield title, sorted(entries, key=lambda entry: entry.name.split("/"))


def _entry(request: Request, route: Route) -> Entry | None:
    """The route, if it is about no single thing and the caller may use it."""
    usable = [method for method in route.handlers if route.allows(request, method)]
    if not usable or any(word.startswith("{") for word in route.words):
        return None
    name = "/".join(route.words)
    href = f"{reverse('browse-start')}/{name}"
    return Entry(name, href, route.heading(usable[0])[0])
