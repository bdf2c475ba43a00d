"""Signing in and out of `/browse/`, by password or with Google, and its start page.

With Google one goes to the pool's hosted UI and back. State, verifier and the page that was
wanted wait in a sealed cookie meanwhile.
"""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.middleware.csrf import rotate_token
from django.shortcuts import render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.timezone import now
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST
from django.views.generic import View
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import FirstPasswordSerializer, LoginSerializer, VerifyMfaSerializer
from accounts.authentication import caller
from accounts.browse import guard, sessions
from accounts.browse.forms import Initial, body, form_errors, inputs, label_of
from accounts.browse.routes import Route, routes
from accounts.cognito import client as cognito_client
from accounts.cognito.client import InvalidCode, MfaSessionExpired
from accounts.cognito.sessions import Challenge, NewPasswordRequired
from accounts.cognito.users import GOOGLE
from accounts.services import google, mfa, password
from accounts.services.profile import read_profile
from accounts.services.sessions import SignedIn, sign_in
from config.client_info import client_info_of
from config.crypto import InvalidSeal, seal, unseal
from config.http import as_problem
from config.problems import NotAuthenticated, NotFound, PermissionDenied, Problem
from config.serializers import Serializer, validated_body


def redirect_target(request: HttpRequest) -> str:
    """The address to go to after the sign-in: a page of ours, never elsewhere."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    base = guard.cookie_path(request)
    ours = wanted == base or wanted.startswith((f"{base}/", f"{base}?"))
    if ours and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return reverse("browse-start")


WHOLE = "_whole"  # a form with this field comes back as the page that it was on
KEPT = "kept"  # the hidden field with the form that was sent after its session had ended
SECRETS = ("password", "code", "token")


def _keep_form(sent: QueryDict) -> str:
    """The fields of a form as JSON, without its secrets and its CSRF token."""
    fields = [(name, value) for name, values in sent.lists() for value in values]
    return json.dumps([field for field in fields if not _has_secret(*field)])


def _has_secret(name: str, value: str) -> bool:
    in_json = re.search(r'(?i)"[a-z]*(?:password|code|token)"\s*:', value)
    return bool(in_json) or any(secret in name.lower() for secret in SECRETS)


def _kept_fields(kept: str) -> list[tuple[str, str]]:
    """The fields of a form that was kept; none if it is not one."""
    try:
        return [(str(name), str(value)) for name, value in json.loads(kept)]
    except (ValueError, TypeError):
        return []


# The form goes to Google and back in cookies: API Gateway takes 10 kB of headers in all.
KEPT_COOKIES, KEPT_PURPOSE, KEPT_PART = ("parley-kept-1", "parley-kept-2"), "browser form", 3800


def _sealed_parts(kept: str, to: str) -> list[str]:
    """A form as texts of cookies; none if it is too long for them."""
    sealed = seal(KEPT_PURPOSE, {"form": kept, "to": to}, until=now() + LASTS)
    parts = [sealed[at : at + KEPT_PART] for at in range(0, len(sealed), KEPT_PART)]
    return parts if len(parts) <= len(KEPT_COOKIES) else []


def _set_kept_cookies(response: HttpResponse, parts: list[str]) -> None:
    for name, part in zip(KEPT_COOKIES, parts, strict=False):
        response.set_cookie(
            guard.cookie_name(name),
            part,
            max_age=LASTS,
            path=reverse("browse-login"),
            secure=settings.STAGE != "local",
            httponly=True,
            samesite="Lax",  # the way back begins at another site
        )


def _form_in_cookies(request: HttpRequest, to: str) -> str:
    """The form that was sent to this address before the way over Google, if there is one."""
    sealed = "".join(request.COOKIES.get(guard.cookie_name(name), "") for name in KEPT_COOKIES)
    try:
        values = unseal(KEPT_PURPOSE, sealed, now=now())
    except InvalidSeal:
        return ""
    return str(values["form"]) if values["to"] == to else ""


def start_browser_session(
    request: HttpRequest, signed_in: SignedIn, to: str, kept: str
) -> HttpResponse:
    """Opens a session for the person who has just signed in, in place of the browser's old one.

    Gives back the form that was `kept`. Raises StaffOnly.
    """
    at = now()
    cookie = sessions.begin(signed_in, now=at)
    sessions.end(request.COOKIES.get(guard.cookie_name(), ""), now=at)
    rotate_token(request)
    fields = _kept_fields(kept)
    names = dict(fields)
    context = {
        "fields": [(name, label_of(name), value) for name, value in fields],
        "action": to,
        "whole": WHOLE in names,
        "file": names.get("_file"),
    }
    response = (
        render(request, "browse/kept.html", context)
        if fields
        else HttpResponseRedirect(to, status=303)
    )
    guard.set_session_cookie(response, request, cookie)
    for name in KEPT_COOKIES:
        response.delete_cookie(guard.cookie_name(name), path=reverse("browse-login"))
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


def start_google_sign_in(request: HttpRequest) -> HttpResponse:
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
    kept = {"state": state, "verifier": verifier, "to": redirect_target(request)}
    response = HttpResponseRedirect(url)
    response.set_cookie(
        guard.cookie_name(COOKIE),
        seal(PURPOSE, kept, until=now() + LASTS),
        max_age=LASTS,
        path=guard.cookie_path(request),
        secure=settings.STAGE != "local",
        httponly=True,
        samesite="Lax",  # the way back begins at another site
    )
    return response


@csrf_protect  # which sets the cookie for the form that may be given back
def finish_google_sign_in(request: HttpRequest) -> HttpResponse:
    """Takes the browser back, with a code or without."""
    try:
        response = _enter(request)
    except Problem as problem:
        response = render(
            request, "browse/refused.html", {"problem": problem}, status=problem.status
        )
    response.delete_cookie(
        guard.cookie_name(COOKIE), path=guard.cookie_path(request), samesite="Lax"
    )
    return response


def _enter(request: HttpRequest) -> HttpResponse:
    try:
        kept = unseal(PURPOSE, request.COOKIES.get(guard.cookie_name(COOKIE), ""), now=now())
    except InvalidSeal as error:
        raise InvalidCode("The sign-in took too long, or began in another browser") from error
    if not constant_time_compare(kept["state"], request.GET.get("state", "")):
        raise InvalidCode("The sign-in began in another browser")
    if "code" not in request.GET:
        raise InvalidCode("Google has not let you in")
    signed_in = google.complete_google_sign_in(
        code=request.GET["code"],
        redirect_uri=_back(request),
        code_verifier=kept["verifier"],
        source=client_info_of(request.META),
        now=now(),
    )
    form = _form_in_cookies(request, kept["to"])
    return start_browser_session(request, signed_in, kept["to"], form)


AUTOCOMPLETE = {
    "email": "username",
    "password": "current-password",
    "code": "one-time-code",
    "newPassword": "new-password",
}
# The parts of the start page, each with the modules of its routes.
FOR_STAFF = "For staff"
WORDS_FOR_STAFF = {"deliveries", "jobs", "reports", "scenarios", "users"}
PARTS = (
    (FOR_STAFF, ""),
    ("Learning", "learning."),
    ("Reminders", "reminders."),
    ("Your account", "accounts."),
)


class LoginView(View):
    """The password, in place of a temporary one a new one, then the second step if there is one."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return _form(request, LoginSerializer)

    def post(self, request: HttpRequest) -> HttpResponse:
        if guard.METHOD in request.POST:
            return _form(request, LoginSerializer, kept=_keep_form(request.POST))
        shape = _shape_of(request)
        at, source = now(), client_info_of(request.META)
        try:
            values = validated_body(shape, body(shape, request.POST))
            result: SignedIn | Challenge | NewPasswordRequired
            if shape is VerifyMfaSerializer:
                result = mfa.complete_mfa(**values, source=source, now=at)
            elif shape is FirstPasswordSerializer:
                result = password.set_first_password(**values, source=source, now=at)
            else:
                result = sign_in(**values, source=source, now=at)
            if isinstance(result, NewPasswordRequired):
                token = password.first_password_token(result, now=at)
                return _form(request, FirstPasswordSerializer, token=token)
            if isinstance(result, Challenge):
                token = mfa.session_token(result, values.get("email"), now=at)
                return _form(request, VerifyMfaSerializer, token=token)
            kept = request.POST.get(KEPT, "")
            return start_browser_session(request, result, redirect_target(request), kept)
        except (Problem, ValidationError) as error:
            problem = as_problem(error)
        again = LoginSerializer if isinstance(problem, MfaSessionExpired) else shape
        return _form(request, again, problem, token=request.POST.get("sessionToken", ""))


def _shape_of(request: HttpRequest) -> type[Serializer]:
    if "sessionToken" not in request.POST:
        return LoginSerializer
    return FirstPasswordSerializer if "newPassword" in request.POST else VerifyMfaSerializer


def _form(
    request: HttpRequest,
    shape: type[Serializer],
    problem: Problem | None = None,
    *,
    token: str = "",
    kept: str = "",
) -> HttpResponse:
    errors = problem.body().get("errors", []) if problem else []
    sent = request.POST if problem and shape is LoginSerializer else None
    shown = [
        replace(input_, autocomplete=AUTOCOMPLETE[input_.name])
        for input_ in inputs(shape, Initial(sent, errors=tuple(errors)))
        if input_.name in AUTOCOMPLETE
    ]
    form = {
        "method": "POST",
        "inputs": shown,
        "faults": form_errors(shown, errors),
        "problem": {"title": problem.title, "detail": problem.detail} if problem else None,
    }
    google_is_offered = is_offered(request)
    parts = _sealed_parts(kept, redirect_target(request)) if kept and google_is_offered else []
    context: dict[str, Any] = {
        "form": form,
        "google": google_is_offered,
        "kept_for_google": bool(parts),
        "token": "" if shape is LoginSerializer else token,
        "temporary": shape is FirstPasswordSerializer,
        "next": redirect_target(request),
        "kept": kept or request.POST.get(KEPT, ""),
    }
    response = render(
        request, "browse/login.html", context, status=problem.status if problem else 200
    )
    if problem and problem.retry_after_s is not None:
        response["Retry-After"] = str(problem.retry_after_s)
    _set_kept_cookies(response, parts)
    return response


@require_POST
@csrf_protect
def logout(request: HttpRequest) -> HttpResponse:
    """Ends the session here and in Cognito."""
    try:
        sessions.end(request.COOKIES.get(guard.cookie_name(), ""), now=now())
    except Problem as problem:
        return guard.problem_page(request, problem)
    response = HttpResponseRedirect(reverse("browse-login") + "#done", status=303)
    guard.clear_session_cookie(response, request)
    return response


class FormOutdated(PermissionDenied):
    code, title = "FORM_OUTDATED", "This form is too old: open the page again"


def csrf_failure(request: HttpRequest, **_: str) -> HttpResponse:
    """Django's hook for a form without its token."""
    return guard.problem_page(request, FormOutdated())


def not_found(request: HttpRequest, **_: str) -> HttpResponse:
    """The page for every unknown address below `/browse/`."""
    return guard.problem_page(request, NotFound())


@dataclass(frozen=True)
class StartPageLink:
    """A route on the start page."""

    name: str
    href: str
    title: str


class StartView(guard.StaffPage):
    """The start page: the routes that the caller may use."""

    def get(self, request: Request) -> Response:
        learner = caller(request)
        full_profile = read_profile(learner.id, groups=learner.groups, now=now())
        if full_profile is None:
            raise NotAuthenticated
        context = {"person": full_profile, "parts": list(_parts(request))}
        return Response(context, template_name="browse/start.html")


def _parts(request: Request) -> Iterator[tuple[str, list[StartPageLink]]]:
    for title, module in PARTS:
        entries = [
            entry
            for route in routes()
            if route.view.__module__.startswith(module)
            and (route.words[0] in WORDS_FOR_STAFF) == (title == FOR_STAFF)
            and (entry := _start_page_link(request, route))
        ]
        if entries:
            yield title, sorted(entries, key=lambda entry: entry.name.split("/"))


def _start_page_link(request: Request, route: Route) -> StartPageLink | None:
    """The route, unless it is about a single thing or the caller may not use it."""
    usable = [method for method in route.handlers if route.allows(request, method)]
    if not usable or any(word.startswith("{") for word in route.words):
        return None
    name = "/".join(route.words)
    href = f"{reverse('browse-start')}/{name}"
    title = route.heading(usable[0])[0].removesuffix(", for staff").removesuffix(", for admins")
    return StartPageLink(name, href, title)
