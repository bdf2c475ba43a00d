"""The guard of `/browse/`: the only place where a cookie is read.

The API in a browser, for staff: `/browse/` has the routes of the API as pages with forms. A cookie
opens a session in the table. Its access token is verified as the API would, so whoever may not
call the API may not browse it, and an account that is barred is barred here too. From there on the
very views of the API answer, drawn by `pages`, with the `forms` of what they take.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.timezone import now
from django.views.decorators.csrf import csrf_protect
from rest_framework.parsers import FormParser
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import (
    STAFF,
    BearerAuthentication,
    allowed_without_second_step,
    authenticate,
)
from accounts.browse import sessions
from accounts.browse.sessions import LASTS, SessionOver
from accounts.tokens import InvalidToken, Learner
from config.client_info import client_info_of
from config.http import as_problem
from config.problems import Problem

View = Callable[..., HttpResponse]

COOKIE = "parley-browser"
METHODS = frozenset({"PUT", "PATCH", "DELETE"})
SET_UP = "/auth/mfa/setup"  # the page for staff who need a second step and have none
FORM = "parley.form"  # where pages find what was sent: DRF puts the parsed body into its place
CALLER = "parley.caller"  # the learner and the access token of the session
# Hidden fields of our forms; the rest of a form is the body.
METHOD, IF_MATCH, QUERY = "_method", "_if_match", "_query."


def cookie_name(name: str = COOKIE) -> str:
    """The name of a cookie: on real stages browsers take it from HTTPS alone (`__Secure-`)."""
    return name if settings.STAGE == "local" else f"__Secure-{name}"


def cookie_path(request: HttpRequest) -> str:
    """The path of the cookie, which browsers do not send to the API beside it."""
    return f"{request.META.get('SCRIPT_NAME', '')}/browse"


def set_session_cookie(response: HttpResponse, request: HttpRequest, cookie: str) -> None:
    """Gives the browser its session."""
    response.set_cookie(
        cookie_name(),
        cookie,
        max_age=LASTS,
        path=cookie_path(request),
        secure=settings.STAGE != "local",
        httponly=True,
        samesite="Lax",
    )


def clear_session_cookie(response: HttpResponse, request: HttpRequest) -> None:
    """Takes the session from the browser."""
    response.delete_cookie(cookie_name(), path=cookie_path(request), samesite="Lax")


def require_staff_session(view: View) -> View:
    """Lets in staff with a session; leads others to the login page. Forms need their CSRF token."""

    page = getattr(view, "cls", None)

    @csrf_protect  # around a view of DRF itself it would do nothing: those say they are exempt
    @wraps(view, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
    def enter(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            token, learner = _caller(request)
        except SessionOver:
            return _to_login(request)
        except Problem as problem:
            return problem_page(request, problem)
        if request.method == "GET" and "" in request.GET.values():
            return HttpResponseRedirect(_without_empty_fields(request))
        if learner.lacks_second_step and not allowed_without_second_step(page):
            return HttpResponseRedirect(f"{reverse('browse-start')}{SET_UP}", status=303)
        request.META[CALLER] = (learner, token)
        request.user = learner  # type: ignore[assignment]
        _apply_method_override(request)
        response = view(request, *args, **kwargs)
        patch_vary_headers(response, ["Cookie"])
        return response

    return enter


def _caller(request: HttpRequest) -> tuple[str, Learner]:
    cookie, at = request.COOKIES.get(cookie_name(), ""), now()
    token = sessions.resume(cookie, source=client_info_of(request.META), now=at)
    try:
        learner = authenticate(token)
    except InvalidToken:
        learner = None
    if learner is None or STAFF.isdisjoint(learner.groups):
        sessions.end(cookie, now=at)
        raise SessionOver
    return token, learner


class BrowserAuthentication(BearerAuthentication):
    """DRF's hook for pages: the caller whom `require_staff_session` has let in, not asked again."""

    def authenticate(self, request: Request) -> tuple[Learner, str]:
        caller: tuple[Learner, str] = request.META[CALLER]
        return caller


class StaffPage(APIView):
    """The base of pages that are none of the API's views."""

    authentication_classes = (BrowserAuthentication,)
    parser_classes = (FormParser,)
    renderer_classes = (TemplateHTMLRenderer,)

    def handle_exception(self, exc: Exception) -> Any:
        """Draws what went wrong as a page too."""
        super().handle_exception(exc)  # which writes it into the log
        return problem_page(self.request._request, as_problem(exc))


def _to_login(request: HttpRequest) -> HttpResponse:
    """Leads to the login page, with the form that was sent (307): it is given back there."""
    query = urlencode({"next": request.get_full_path()})
    status = 307 if request.method == "POST" else 302
    response = HttpResponseRedirect(f"{reverse('browse-login')}?{query}", status=status)
    if cookie_name() in request.COOKIES:
        clear_session_cookie(response, request)
    return response


def _without_empty_fields(request: HttpRequest) -> str:
    """The address without the fields of a form that were left empty."""
    query = request.GET.copy()
    for name in [name for name, value in query.items() if value == ""]:
        del query[name]
    return f"{request.path}?{query.urlencode()}"


def _apply_method_override(request: HttpRequest) -> None:
    """HTML's forms know GET and POST, and no headers: hidden fields say what is meant."""
    if request.method != "POST":
        return
    sent = request.META[FORM] = request.POST
    if sent.get(METHOD) in METHODS:
        request.method = sent[METHOD]
    if IF_MATCH in sent:
        request.META["HTTP_IF_MATCH"] = sent[IF_MATCH]
        vars(request).pop("headers", None)  # Django keeps the headers it has parsed
    query = {
        name.removeprefix(QUERY): str(value)
        for name, value in sent.items()
        if name.startswith(QUERY) and value
    }
    if query:
        request.GET = QueryDict(urlencode(query))


def problem_page(request: HttpRequest, problem: Problem) -> HttpResponse:
    """A problem as a page, where no view of the API has answered."""
    response = render(request, "browse/problem.html", {"problem": problem}, status=problem.status)
    if problem.retry_after_s is not None:
        response["Retry-After"] = str(problem.retry_after_s)
    return response
