"""The pages of `/browse/`: their content, their forms, and their HTML."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict
from rest_framework import serializers

from accounts.browse import guard
from accounts.browse.forms import body, prose
from accounts.browse.routes import routes
from config.lambda_handler import lambda_handler
from config.serializers import Serializer, TextField
from tests.browsers import Browser, cookie_of, ids_of, labelled, signed_in
from tests.callers import Caller, make_learner
from tests.contract import contract
from tests.gateway import GATEWAY_HOST, event
from tests.test_flashcards import card_of, deck_of


@pytest.fixture
def stefan(table: None) -> Caller:
    return make_learner("stefan", groups=("staff",))


@pytest.fixture
def browser(stefan: Caller) -> Browser:
    return signed_in(stefan)


def text(page: Any) -> str:
    return str(page.content.decode())


def test_the_start_page_leads_to_what_the_caller_may_see(browser: Browser) -> None:
    page = browser.get("/browse")
    assert "Hello, Stefan" in text(page)
    links = set(re.findall(r'href="(/browse/[^"]+)"', text(page)))
    assert links >= {"/browse/decks", "/browse/scenarios", "/browse/users", "/browse/profile"}
    for link in links:
        assert browser.get(link).status_code in (200, 302), link


def test_no_page_without_an_id_is_missing_on_the_start_page(browser: Browser) -> None:
    page = text(browser.get("/browse"))
    for path in ("/browse/jobs", "/browse/deliveries", "/browse/reports", "/browse/profile"):
        assert browser.get(path).status_code == 200
        assert f'href="{path}"' in page
    lists_for_staff = page.partition("<h2>For staff</h2>")[2].partition("</section>")[0]
    assert 'href="/browse/jobs"' in lists_for_staff
    assert ", for staff" not in lists_for_staff


def test_an_empty_list_shows_by_what_it_may_be_narrowed(browser: Browser) -> None:
    page = text(browser.get("/browse/users"))
    assert "Nothing here." in page
    assert '<details class="filter" open>' in page


def test_what_never_asks_who_calls_is_no_page(browser: Browser) -> None:
    for path in ("auth/login", "auth/signup", "auth/refresh", "health", "schema", "browse"):
        assert browser.get(f"/browse/{path}").status_code == 404


def test_the_contract_does_not_name_the_pages() -> None:
    assert [path for path in contract()["paths"] if path.startswith("/browse")] == []


PAGES = sorted("/".join(route.words) for route in routes() if "{" not in "".join(route.words))


@pytest.mark.parametrize("path", ["", "login", *PAGES])
def test_a_page_keeps_to_its_policy_and_every_input_has_a_label(path: str, stefan: Caller) -> None:
    card_of(stefan, deck_of(stefan))
    admin = signed_in(stefan, groups=("staff", "admin"))
    page = admin.get(f"/browse/{path}".rstrip("/"))
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", text(page))
    ids = ids_of(page)
    assert len(ids) == len(set(ids)), [each for each in ids if ids.count(each) > 1]
    assert labelled(page)


def test_code_in_what_is_said_of_a_route_is_code(browser: Browser) -> None:
    page = text(browser.get("/browse/auth/activity"))
    assert "with its <code>target</code>." in page
    assert prose("`<b>` & more") == "<code>&lt;b&gt;</code> &amp; more"


def test_a_list_links_to_its_things_and_to_its_next_page(stefan: Caller, browser: Browser) -> None:
    first, second = deck_of(stefan, name="<b>Aula</b>"), deck_of(stefan, name="Viagem")
    page = text(browser.get("/browse/decks?limit=1"))
    assert f'<a href="/browse/decks/{first}">&lt;b&gt;Aula&lt;/b&gt;</a>' in page
    assert second not in page
    (following,) = re.findall(r'rel="next" href="([^"]+)"', page)
    assert urlsplit(following).path == "/browse/decks"
    assert f"/browse/decks/{second}" in text(browser.get(following.replace("&amp;", "&")))


def test_staff_see_people_in_a_table_that_leads_to_their_pages(
    pool: Any, stefan: Caller, maria: Caller, browser: Browser
) -> None:
    admin = signed_in(stefan, groups=("staff", "admin"))
    page = text(admin.get("/browse/users"))
    assert f'<a href="/browse/users/{maria.id}">maria@example.org</a>' in page
    assert '<th scope="col">Email verified</th>' in page
    page = text(browser.get(f"/browse/users/{maria.id}"))
    shown = page.partition('<details class="answer">')[0]
    assert "<dt>First name</dt><dd>Maria</dd>" in shown
    assert "<dt>Disabled</dt><dd>no</dd>" in shown
    assert "&quot;" not in shown
    trail = text(browser.get("/browse/auth/activity"))
    assert f'<a href="/browse/users/{maria.id}">users/{maria.id}</a>' in trail


def test_a_value_leads_to_the_page_of_the_thing_that_it_names(
    stefan: Caller, browser: Browser
) -> None:
    deck = deck_of(stefan)
    card = card_of(stefan, deck)
    page = text(browser.get(f"/browse/flashcards/{card}"))
    assert f'<dt>Deck ID</dt><dd><a href="/browse/decks/{deck}">{deck}</a></dd>' in page
    assert "<dt>Tags</dt><dd>—</dd>" in page


def test_a_button_says_what_it_does(stefan: Caller, browser: Browser) -> None:
    page = text(browser.get(f"/browse/decks/{deck_of(stefan)}"))
    buttons = set(re.findall(r"<button[^>]*>([^<]*)</button>", page))
    assert buttons == {
        "Sign out",
        "Update deck",
        "Update deck by JSON",
        "Replace deck by JSON",
        "Delete deck",
    }


def test_a_file_is_imported_by_a_form_and_its_errors_stand_beside_the_fields(
    stefan: Caller, browser: Browser
) -> None:
    form = browser.form("/browse/flashcards/import", sends="file")
    del form.values["file"]
    values = form.values | {"deckId": [deck_of(stefan)], "restoreDeleted": ["true"]}
    page = browser.client.post(form.action, values)
    assert page.status_code == 400
    beside = text(page).partition('id="POST-file-said"')[2].partition("</div>")[0]
    assert "No file was submitted." in beside
    words = SimpleUploadedFile("words.csv", b"casa,house\nmesa,\n")
    page = browser.client.post(form.action, values | {"file": words})
    assert page.status_code == 200, text(page)
    assert "<dt>Imported</dt><dd>1</dd>" in text(page)
    assert "<dt>Code</dt><dd>required</dd>" in text(page)


def test_fields_left_empty_do_not_narrow_a_list(browser: Browser) -> None:
    answer = browser.get("/browse/flashcards?deckId=&tag=verbo&limit=")
    assert (answer.status_code, answer.headers["Location"]) == (
        302,
        "/browse/flashcards?tag=verbo",
    )
    refused = browser.get("/browse/flashcards?limit=0")
    assert refused.status_code == 400
    assert 'href="#GET-limit"' in text(refused)


def test_a_form_makes_a_thing_and_shows_it(stefan: Caller, browser: Browser) -> None:
    form = browser.form("/browse/decks", sends="newCardsPerDay")
    answer = browser.send(form, name="Café", newCardsPerDay="7", description="um\r\ndois")
    assert answer.status_code == 303
    (deck,) = stefan.get("/decks").json()["results"]
    assert (deck["name"], deck["newCardsPerDay"], deck["description"]) == ("Café", 7, "um\ndois")
    assert deck["reviewsPerDay"] is None
    assert answer.headers["Location"] == f"/browse/decks/{deck['id']}#done"
    assert "Café" in text(browser.get(answer.headers["Location"]))


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(
    stefan: Caller, browser: Browser
) -> None:
    form = browser.form("/browse/decks", sends="newCardsPerDay")
    page = browser.send(form, name="", newCardsPerDay="many", description="Palavras do mercado")
    assert page.status_code == 400
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    page_text = text(page)
    assert '<a href="#POST-name">Name</a>: This field may not be blank.' in page_text
    assert re.search(
        r'id="POST-newCardsPerDay"[^>]*value="many"[^>]*aria-invalid="true"', page_text
    )
    beside = page_text.partition('id="POST-newCardsPerDay-said"')[2]
    assert "A valid integer is required." in beside.partition("</div>")[0]
    assert "Palavras do mercado</textarea>" in page_text
    assert stefan.get("/decks").json()["results"] == []


def test_a_group_is_left_out_or_filled_in_as_a_whole(stefan: Caller, browser: Browser) -> None:
    form = browser.form("/browse/profile", sends="notifications.quietHours.starts")
    page = browser.send(form, **{"notifications.quietHours.starts": "22:00"})
    assert page.status_code == 400
    assert 'href="#PUT-notifications-quietHours-ends"' in text(page)
    assert browser.send(form).status_code == 303
    assert stefan.get("/profile").json()["notifications"]["quietHours"] is None


def test_what_may_be_left_out_is_left_out_of_what_a_form_sends() -> None:
    class Keep(Serializer):
        deck = TextField(max_length=9)
        kind = serializers.ChoiceField(["basic", "cloze"], default="basic")

    class Word(Serializer):
        keep = Keep(required=False)
        ids = serializers.ListField(child=TextField(max_length=9), min_length=1, required=False)

    assert body(Word, QueryDict("keep.deck=&keep.kind=basic&ids=&ids=")) == {}
    cloze = body(Word, QueryDict("keep.deck=&keep.kind=cloze&ids=a&ids="))
    assert cloze == {"keep": {"deck": "", "kind": "cloze"}, "ids": ["a"]}


def test_an_edit_begins_with_what_is_and_changes_what_was_changed(
    stefan: Caller, browser: Browser
) -> None:
    card = card_of(stefan, deck_of(stefan), tags=["casa", "verbo"], notes="ver também")
    before = stefan.get(f"/flashcards/{card}").json()
    form = browser.form(f"/browse/flashcards/{card}", sends="front")
    assert form.values["tags"][:2] == ["casa", "verbo"]
    answer = browser.send(form, front="lar", tags=["verbo", "", "novo"])
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        f"/browse/flashcards/{card}#done",
    )
    after = stefan.get(f"/flashcards/{card}").json()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"front", "tags", "updatedAt", "version"}
    assert after["tags"] == ["verbo", "novo"]


def test_a_box_that_is_cleared_is_false(stefan: Caller, browser: Browser) -> None:
    form = browser.form("/browse/scheduler", sends="fuzz")
    assert form.values.pop("fuzz") == ["true"]
    assert browser.send(form).status_code == 303
    assert stefan.get("/scheduler").json()["fuzz"] is False


def test_an_edit_of_what_someone_else_has_changed_is_refused(
    stefan: Caller, browser: Browser
) -> None:
    deck = deck_of(stefan)
    form = browser.form(f"/browse/decks/{deck}", sends="name")
    stefan.patch(f"/decks/{deck}", {"name": "Outro"})
    page = browser.send(form, name="Meu")
    assert page.status_code == 412
    assert "The item has changed since it was read" in text(page)
    assert "Open this page anew" in text(page)
    assert stefan.get(f"/decks/{deck}").json()["name"] == "Outro"


def test_deleting_asks_what_the_address_would_say(stefan: Caller, browser: Browser) -> None:
    deck = deck_of(stefan)
    card_of(stefan, deck)
    form = browser.form(f"/browse/decks/{deck}", sends="_query.cards")
    refused = browser.send(form)
    assert refused.status_code == 409
    assert "DECK_NOT_EMPTY" in text(refused)
    assert 'name="front"' not in text(refused)
    form = browser.form(f"/browse/decks/{deck}", sends="_query.cards")
    answer = browser.send(form, **{"_query.cards": "delete"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/browse/decks#done")
    assert stefan.get(f"/decks/{deck}").status_code == 404


def test_a_parameter_that_is_wrong_is_named_in_the_form(stefan: Caller, browser: Browser) -> None:
    deck = deck_of(stefan)
    form = browser.form(f"/browse/decks/{deck}", sends="_query.moveTo")
    page = browser.send(form, **{"_query.moveTo": "elsewhere"})
    assert page.status_code == 400
    assert 'href="#DELETE-_query-moveTo"' in text(page)
    assert 'value="elsewhere"' in text(page)


def test_json_is_taken_for_any_method_and_kept_when_it_is_wrong(
    stefan: Caller, browser: Browser
) -> None:
    deck = deck_of(stefan)
    form = browser.form(f"/browse/decks/{deck}", sends="_content")
    changed = browser.send(form, _content='{"name": "Nome"}', _method="PATCH")
    assert changed.status_code == 303
    assert stefan.get(f"/decks/{deck}").json()["name"] == "Nome"
    again = browser.form(f"/browse/decks/{deck}", sends="_content")
    for broken, code in (('{"name": ', "MALFORMED_REQUEST"), ('{"nome": "x"}', "VALIDATION_ERROR")):
        page = browser.send(again, _content=broken, _method="PATCH")
        assert page.status_code == 400
        assert code in text(page)
        assert broken.replace('"', "&quot;") in text(page)


def test_a_thing_too_rich_for_a_form_is_edited_as_json(stefan: Caller, browser: Browser) -> None:
    form = browser.form("/browse/scenarios", sends="_content")
    assert "&quot;" not in form.values["_content"][0]
    assert '"nodes"' in form.values["_content"][0]
    page = browser.send(form, _method="POST")
    assert page.status_code == 400
    assert "<code>" in text(page)


def test_a_route_without_get_shows_its_form(stefan: Caller, browser: Browser) -> None:
    card = card_of(stefan, deck_of(stefan))
    path = f"/browse/flashcards/{card}/reviews"
    assert f'href="{path}"' in text(browser.get(f"/browse/flashcards/{card}"))
    form = browser.form(path, sends="rating")
    values = {"id": "01JD0DEM0DECK0000000000009", "reviewedAt": "2026-01-01T00:00:00Z"}
    answer = browser.send(form, rating="good", **values)
    assert answer.status_code in (201, 400), text(answer)


def test_an_unknown_page_and_an_unknown_thing_are_404(browser: Browser) -> None:
    assert browser.get("/browse/nowhere").status_code == 404
    page = browser.get("/browse/decks/01JD0DEM0DECK0000000000001")
    assert page.status_code == 404
    assert "NOT_FOUND" in text(page)
    assert 'name="name"' not in text(page)


def test_everything_stays_below_the_stage(stefan: Caller, settings: Any) -> None:
    settings.ALLOWED_HOSTS = [GATEWAY_HOST, "testserver"]
    deck_of(stefan)
    deck_of(stefan)
    headers = {"Accept": "text/html", "Cookie": f"{guard.COOKIE}={cookie_of(stefan)}"}
    for path in ("/browse", "/browse/decks?limit=1", "/browse/login"):
        answer = lambda_handler(event("GET", path, headers=headers), None)
        assert answer["statusCode"] == 200
        targets = re.findall(r'(?:href|src|action)="([^"#]+)"', answer["body"])
        assert len(targets) > 3
        for target in targets:
            assert urlsplit(target).path.startswith("/dev/"), target
    outside = lambda_handler(event("GET", "/browse/decks"), None)
    (location,) = outside["multiValueHeaders"]["Location"]
    assert location == "/dev/browse/login?next=%2Fdev%2Fbrowse%2Fdecks"


def test_a_learners_own_export_has_no_sessions(stefan: Caller, browser: Browser) -> None:
    assert browser.get("/browse").status_code == 200
    kinds = {each["kind"] for each in stefan.get("/profile/export").json()["results"]}
    assert kinds >= {"account", "profile"}
    assert "browser_session" not in kinds
