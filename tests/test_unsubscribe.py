"""/unsubscribe: a mail's holder may stop such mails, and nothing else."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from accounts.models import Profile
from config.crypto import seal
from reminders.emails import LINK_WORKS, UNSUBSCRIBE, unsubscribe_token
from tests.callers import Caller
from tests.reminder_helpers import Mailbox, reminder_of, sweep_at, verified, words_left

STRANGER = Client(enforce_csrf_checks=True)
ONE_CLICK = {
    "data": "List-Unsubscribe=One-Click",
    "content_type": "application/x-www-form-urlencoded",
}


def path_to_stop(caller: Caller, kind: str = "study") -> str:
    return f"/unsubscribe/{unsubscribe_token(caller.id, kind, now=now())}"


def wants(caller: Caller) -> tuple[bool, bool]:
    """Whether the learner is mailed of study and of events."""
    told = caller.get("/profile").json()["notifications"]
    return told["studyReminders"], told["eventReminders"]


def test_the_page_asks_and_stops_nothing(maria: Caller) -> None:
    page = STRANGER.get(path_to_stop(maria))
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<form method" in page.content
    assert b"study reminders" in page.content
    assert STRANGER.head(path_to_stop(maria)).status_code == 200
    assert wants(maria) == (True, True)


@pytest.mark.parametrize(
    ("kind", "left"),
    [("study", (False, True)), ("events", (True, False)), ("all", (False, False))],
)
def test_one_click_stops_that_kind_of_mail_for_this_learner(
    maria: Caller, joao: Caller, kind: str, left: tuple[bool, bool]
) -> None:
    for _ in range(2):
        page = STRANGER.post(path_to_stop(maria, kind), **ONE_CLICK)
        assert page.status_code == 200
        assert b"<form" not in page.content
    assert wants(maria) == left
    assert wants(joao) == (True, True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": "", "content_type": "text/plain"},
        {"data": "--b\r\n", "content_type": "multipart/form-data; boundary=b"},
        {"data": "{", "content_type": "application/json"},
    ],
    ids=["form", "plain", "multipart", "broken JSON"],
)
def test_what_the_body_says_makes_no_difference(maria: Caller, body: dict[str, Any]) -> None:
    assert STRANGER.post(path_to_stop(maria), **body).status_code == 200
    assert wants(maria) == (False, True)


def test_the_next_mail_does_not_come_and_comes_again_when_asked_for(
    maria: Caller, mailbox: Mailbox
) -> None:
    verified(maria)
    for hour in (1, 2, 3, 4):
        reminder_of(maria, at=f"2030-06-03T{hour:02}:00:00Z")
    sweep_at("2030-06-03T01:00:00Z")
    path = mailbox.letters[0].unsubscribe_path
    assert STRANGER.get(path).status_code == 200
    sweep_at("2030-06-03T02:00:00Z")
    assert len(mailbox.letters) == 2
    assert STRANGER.post(path, **ONE_CLICK).status_code == 200
    sweep_at("2030-06-03T03:00:00Z")
    assert len(mailbox.letters) == 2
    maria.patch("/profile", {"notifications": {"eventReminders": True}})
    sweep_at("2030-06-03T04:00:00Z")
    assert len(mailbox.letters) == 3


def broken_tokens(caller: Caller) -> list[str]:
    token = unsubscribe_token(caller.id, "study", now=now())
    middle = len(token) // 2  # the last character's lowest bits may mean nothing
    other = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    values = {"learner": caller.id, "kind": "study"}
    return [
        "x",
        "%00",
        "ã",
        "A" * 5000,
        token[5:],
        other,
        token + token,
        unsubscribe_token(caller.id, "study", now=now() - LINK_WORKS - timedelta(seconds=1)),
        seal("something-else", values, until=now() + LINK_WORKS),
        seal(UNSUBSCRIBE, values, until=now() - timedelta(seconds=1)),
    ]


def test_a_link_that_is_not_ours_or_too_old_stops_nothing(maria: Caller) -> None:
    for token in broken_tokens(maria):
        for page in (STRANGER.get(f"/unsubscribe/{token}"), STRANGER.post(f"/unsubscribe/{token}")):
            assert page.status_code == 404, token
            assert b"does not work" in page.content
            assert b"<form" not in page.content
    assert wants(maria) == (True, True)


def test_a_link_of_a_learner_who_has_left_is_answered_all_the_same(maria: Caller) -> None:
    path = path_to_stop(maria)
    profile = Profile.of(maria.id)
    assert profile is not None
    profile.delete()
    assert STRANGER.post(path, **ONE_CLICK).status_code == 200
    assert Profile.of(maria.id) is None


@pytest.mark.usefixtures("marked")
def test_each_word_of_the_page_can_be_translated(maria: Caller) -> None:
    path = path_to_stop(maria)
    for page in (STRANGER.get(path), STRANGER.post(path), STRANGER.get(f"{path[:-9]}")):
        content = page.content.decode()
        assert '<meta name="color-scheme" content="light dark">' in content
        assert words_left(" ".join(re.findall(r">([^<]+)<", content))) == set()
