"""The gate of `/browse/`: the only place where a cookie is read.

The session behind the cookie becomes the `Authorization` header that the API's views know, so
whoever may not call the API may not browse it, and an account that is barred is barred here too.
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
from django.views.decorators.csrf import csrf_protect

from accounts.authentication import STAFF
from accounts.bearer import Learner, authenticate
from accounts.browse import sessions
from accounts.browse.sessions import LASTS, SessionOver
from accounts.tokens import InvalidToken
from config.client_info import client_info_of
from config.clock import now
from config.problems import Problem

View = Callable[..., HttpResponse]

COOKIE = "parley-browser"
METHODS = frozenset({"PUT", "PATCH", "DELETE"})
FORM = "parley.form"  # where pages find what was sent: DRF puts the parsed body into its place
# Hidden fields of our forms; the rest of a form is the body.
METHOD, IF_MATCH, QUERY = "_method", "_if_match", "_query."


def cookie_path(request: HttpRequest) -> str:
    """Where the cookie is sent: not to the API, which stands beside us."""
    return f"{request.META.get('SCRIPT_NAME', '')}/browse"


def set_session_cookie(response: HttpResponse, request: HttpRequest, cookie: str) -> None:
    """Gives the browser its session."""
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=LASTS,
        path=cookie_path(request),
        secure=settings.STAGE != "local",
        httponly=True,
        samesite="Lax",
    )


def clear_session_cookie(response: HttpResponse, request: HttpRequest) -> None:
    """Takes the session from the browser."""
    response.delete_cookie(COOKIE, path=cookie_path(request), samesite="Lax")


def require_staff_session(view: View) -> View:
    """Lets staff with a session in, all others to the login page; forms need their CSRF token."""

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
        request.META["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        request.user = learner  # type: ignore[assignment]
        _apply_method_override(request)
        response = view(request, *args, **kwargs)
        patch_vary_headers(response, ["Cookie"])
        return response

    return enter


def _caller(request: HttpRequest) -> tuple[str, Learner]:
    cookie, at = request.COOKIES.get(COOKIE, ""), now()
    token = sessions.resume(cookie, source=client_info_of(request.META), now=at)
    try:
        learner = authenticate(token)
    except InvalidToken:
        learner = None
    if learner is None or STAFF.isdisjoint(learner.groups):
        sessions.end(cookie, now=at)
        raise SessionOver
    return token, learner


def _to_login(request: HttpRequest) -> HttpResponse:
    query = urlencode({"next": request.get_full_path()})
    response = HttpResponseRedirect(f"{reverse('browse-login')}?{query}")
    if COOKIE in request.COOKIES:
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
