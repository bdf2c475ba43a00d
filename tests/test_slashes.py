"""Addresses that end with a slash: those of pages lead on, those of the API are none."""

from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client

from config import lambda_handler
from config.http import PAGES
from config.ops import public_routes
from tests.browsers import signed_in
from tests.callers import Caller
from tests.gateway import GATEWAY_HOST, OWN_HOST, event

ANONYMOUS = Client()


@pytest.mark.parametrize(("host", "prefix"), [(GATEWAY_HOST, "/dev"), (OWN_HOST, "")])
def test_a_slash_leads_on_below_the_stage(host: str, prefix: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = [".amazonaws.com", OWN_HOST]
    answer = lambda_handler.lambda_handler(event("GET", "/docs/", host=host), None)
    assert answer["statusCode"] == 308
    assert answer["multiValueHeaders"]["Location"] == [f"{prefix}/docs"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/docs/", "/docs"),
        ("/schema/?format=json", "/schema?format=json"),
        ("/mails/", "/mails"),
        ("/mails/a%20b/", "/mails/a%20b"),
        ("/browse/", "/browse"),
        ("/browse//", "/browse"),
        ("/browse/decks/?limit=5&name=%C3%A1", "/browse/decks?limit=5&name=%C3%A1"),
        ("/browse/login/?next=/browse", "/browse/login?next=/browse"),
        ("/browse/nothing/", "/browse/nothing"),
        ("/unsubscribe/a-token/", "/unsubscribe/a-token"),
    ],
)
def test_a_page_is_found_with_a_slash_too_many(method: str, path: str, target: str) -> None:
    answer = ANONYMOUS.generic(method, path)
    assert (answer.status_code, answer.headers.get("Location")) == (308, target)


def test_who_is_signed_in_is_led_on_too(maria: Caller) -> None:
    browser = signed_in(maria)
    answer = browser.get("/browse/decks/")
    assert (answer.status_code, answer["Location"]) == (308, "/browse/decks")
    assert browser.get("/browse/decks").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/",
        "///evil.example/",
        "//evil.example/docs/",
        "/%2Fevil.example/",
        "/\\evil.example/",
        "/%5Cevil.example/",
        "//docs/",
        "//",
        "/.//docs/",
    ],
)
def test_no_slash_leads_to_another_host(path: str) -> None:
    # As servers hand it on: the test client would take what follows `//` for a host.
    answer = ANONYMOUS.get("/", PATH_INFO=unquote(path))
    assert (answer.status_code, "Location" in answer.headers) == (404, False)


@pytest.mark.parametrize("path", ["/browse//evil.example/", "/browse/%0D%0ALocation:%20//evil/"])
def test_a_page_with_strange_words_stays_below_its_own_first_word(path: str) -> None:
    location = ANONYMOUS.get("/", PATH_INFO=unquote(path)).headers.get("Location", "/browse/")
    assert location.startswith("/browse/")
    assert not set(location) & set("\r\n\\")


def test_a_form_that_was_sent_with_a_slash_is_not_led_on() -> None:
    assert ANONYMOUS.post("/browse/login/").status_code == 404


def test_whatever_draws_a_page_is_known_as_one() -> None:
    drawn = {
        route.words[0]
        for route in public_routes.routes()
        if any(each.media_type == "text/html" for each in route.callback.cls.renderer_classes)
    }
    assert drawn - {""} <= PAGES
    assert "docs" in drawn


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_slash_too_many_in_the_api_is_named(method: str) -> None:
    answer = ANONYMOUS.generic(method, "/flashcards/due/?limit=5")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    if method != "HEAD":
        assert answer.json()["detail"] == ("No path ends with a slash: this one is /flashcards/due")
