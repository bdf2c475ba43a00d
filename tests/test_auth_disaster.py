"""Drills: the pool was lost and made anew; the table was restored to what it was."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils.timezone import now
from ulid import ULID

from accounts.cognito import users as cognito_users
from accounts.models import Account, Address, Mfa, Profile, Session, learner_key
from accounts.models.account import account_cache
from accounts.services import relinking
from accounts.services.unfinished import account_at
from config import aws
from config.client_info import ClientInfo
from config.stack import Stack, stack
from config.store.items import raw_partition_page
from config.store.transactions import transact
from tests.accounts_helpers import (
    PASSWORD,
)
from tests.callers import Caller, accept_our_tokens, access_token
from tests.conftest import new_pool
from tests.crashes import Crash, answer_lost, crash_before
from tests.memory_table import MemoryTable
from tests.reminder_helpers import Mailbox, event_of, sweep_at
from tests.test_auth_crashes import FIRST, STEP
from tests.test_flashcards import card_of, deck_of

NEW = "quatro-ventos-9"
# All that a learner sees of what is theirs, but for what was made to have a look.
SEEN = (
    "/profile",
    "/decks",
    "/flashcards",
    "/reviews",
    "/events",
    "/reminders",
    "/scheduler",
    "/statistics",
)


@pytest.fixture
def lost(pool: Any) -> Iterator[None]:
    """From here on each pool that is made stands in place of the one before."""
    return


@pytest.fixture
def bucket(moto_stack: Stack) -> Iterator[None]:
    """The bucket that remembers deletions, gone again afterwards."""
    s3, name = aws.client("s3"), moto_stack.transfer_bucket
    where = {"LocationConstraint": moto_stack.region}
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):  # another module's
        s3.create_bucket(Bucket=moto_stack.media_bucket, CreateBucketConfiguration=where)
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        yield
        for entry in s3.list_objects_v2(Bucket=name)["Contents"]:
            s3.delete_object(Bucket=name, Key=entry["Key"])
        s3.delete_bucket(Bucket=name)
        return
    yield


def new_client(pool_id: str) -> str:
    """An app client that signs people up."""
    made = aws.client("cognito-idp").create_user_pool_client(UserPoolId=pool_id, ClientName="t")
    return str(made["UserPoolClient"]["ClientId"])


def make_person(name: str) -> Caller:
    """A learner in pool and table, with a sign-in and a second step."""
    email = f"{name}@example.org"
    sub = cognito_users.create_user(email=email, first_name=name.title(), last_name="Sousa")
    cognito_users.set_password(sub, PASSWORD)
    account = Account.new(sub, email=email, now=now())
    account.email_verified, account.mfa_enabled = True, True
    account.create()
    Profile.new(sub, first_name=name.title(), last_name="Sousa", now=now()).put()
    Address(f"EMAIL#{email}", Address.SK, owner="test", lease_until=0, learner_id=sub).put()
    Mfa.at(sub).prepare(b"a secret of the lost pool")
    transact(Session.at(sub, "a-sign-in").use_write(ClientInfo("10.0.0.1"), now()))
    accept_our_tokens()
    return Caller(sub, access_token(sub))


def study(caller: Caller) -> None:
    """One of each kind of thing that a learner makes."""
    deck = deck_of(caller)
    card, _ = card_of(caller, deck), card_of(caller, deck, "mesa")
    review = {"id": str(ULID()), "rating": "good", "reviewedAt": now().isoformat()}
    assert caller.post(f"/flashcards/{card}/reviews", review).status_code == 201
    event = event_of(caller)
    body = {"kind": "event", "eventId": event["id"], "offsetMinutes": [30]}
    assert caller.post("/reminders", body).status_code == 201


def seen(caller: Caller) -> dict[str, Any]:
    answers = {path: caller.get(path) for path in SEEN}
    assert {answer.status_code for answer in answers.values()} == {200}
    told = {path: answer.json() for path, answer in answers.items()}
    for different in ("userId", "mfaEnabled", "createdAt"):
        told["/profile"].pop(different)
    return told


def relinked(email: str) -> Caller:
    """The learner with an address, signed in as the user of the present pool."""
    sub = cognito_users.find_sub(email)
    assert sub is not None
    account_cache.forget()
    accept_our_tokens()
    return Caller(sub, access_token(sub, iat=int(now().timestamp()) + 1))


def relink() -> relinking.Relinked:
    return relinking.relink_all(now=now(), within_s=60)


class TestAPoolThatWasLost:
    def test_gives_everybody_their_things_under_the_users_of_a_new_one(
        self, lost: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ana = make_person("ana")
        study(ana)
        before = seen(ana)
        with new_pool() as made:
            account_cache.forget()
            call_command("accounts", "relink", made.user_pool_id)
            assert capsys.readouterr().out == "1 linked.\n"
            again = relinked("ana@example.org")
            assert again.id != ana.id
            assert seen(again) == before
            assert raw_partition_page(learner_key(ana.id)).items == []
            address, account = Address.of("ana@example.org"), Account.of(again.id)
            assert address is not None
            assert account is not None
            assert (address.learner_id, account.mfa_enabled) == (again.id, False)
            assert [Mfa.of(again.id), Session.history(again.id, limit=9)] == [None, []]
            user = cognito_users.find_user(again.id)
            assert user is not None
            assert (user.status, user.email_verified) == ("CONFIRMED", True)
            call_command("accounts", "relink", made.user_pool_id)
            assert capsys.readouterr().out == "0 linked.\n"

    def test_tells_devices_all_changes_without_a_hole(self, lost: None) -> None:
        ana = make_person("ana")
        study(ana)
        with new_pool():
            relink()
            again = relinked("ana@example.org")
            first = again.get("/changes").json()
            kinds = {change["kind"] for change in first["results"]}
            assert {"deck", "card", "note", "review", "profile", "event", "reminder"} <= kinds
            deck = deck_of(again)
            since = again.get(f"/changes?since={first['cursor']}").json()["results"]
            assert deck in {change["data"]["id"] for change in since}

    def test_mails_each_reminder_once(self, lost: None, mailbox: Mailbox) -> None:
        ana = make_person("ana")
        study(ana)
        with new_pool():
            relink()
            mailbox.letters.clear()
            for minute in (30, 31, 35):
                sweep_at(f"2030-06-03T17:{minute}:30+00:00")
            assert [letter.to for letter in mailbox.letters] == ["ana@example.org"]

    def test_copies_what_a_sweep_has_made_of_a_reminder_meanwhile(
        self, lost: None, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ana = make_person("ana")
        study(ana)
        hand_over = relinking._hand_over_place

        def overtaken(raw: Any, new_id: str) -> None:
            monkeypatch.setattr(relinking, "_hand_over_place", hand_over)
            sweep_at("2030-06-03T17:30:30+00:00")
            hand_over(raw, new_id)

        monkeypatch.setattr(relinking, "_hand_over_place", overtaken)
        with new_pool():
            relink()
            about = [letter.subject for letter in mailbox.letters]
            sweep_at("2030-06-03T17:35:00+00:00")
            assert [letter.subject for letter in mailbox.letters] == about
            assert sum("Tertúlia" in subject for subject in about) == 1

    def test_does_not_touch_whom_nobody_has_proved(self, lost: None) -> None:
        ana = make_person("ana")
        Account.at(ana.id).update_attributes(Account.email_verified.set(False))
        with new_pool():
            assert relink() == relinking.Relinked(0, (), True)
            assert cognito_users.find_sub("ana@example.org") is None

    def test_gives_things_to_the_account_that_the_owner_has_made_anew(self, lost: None) -> None:
        ana = make_person("ana")
        study(ana)
        before = seen(ana)
        with new_pool():
            anew = make_person("ana")  # the address is theirs by now
            assert relink().linked == 1
            again = relinked("ana@example.org")
            assert again.id == anew.id
            assert seen(again) == before

    def test_leaves_it_to_people_where_the_new_account_has_things_too(
        self, lost: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ana = make_person("ana")
        study(ana)
        before = raw_partition_page(learner_key(ana.id)).items
        with new_pool() as made:
            anew = make_person("ana")
            deck_of(anew)
            call_command("accounts", "relink", made.user_pool_id)
            said = capsys.readouterr().out
            assert said.startswith(f"0 linked.\n{ana.id}: ")
            assert raw_partition_page(learner_key(ana.id)).items == before
            assert len(anew.get("/decks").json()["results"]) == 1

    def test_ends_the_move_of_an_address_that_was_under_way(self, lost: None) -> None:
        ana, new = make_person("ana"), "ana.nova@example.org"
        Address(f"EMAIL#{new}", Address.SK, owner="test", lease_until=0, learner_id=ana.id).put()
        Account.at(ana.id).update_attributes(Account.moving_to.set(new))
        with new_pool():
            account = account_at("ana@example.org", now=now())
            assert account is not None
            assert (account.email, account.moving_to) == (new, None)
            assert relink().linked == 1
            assert cognito_users.find_sub(new) is not None

    def test_is_given_back_to_the_owner_of_an_address_that_a_stranger_has_claimed(
        self, lost: None, bucket: None
    ) -> None:
        ana = make_person("ana")
        study(ana)
        before = seen(ana)
        with new_pool() as made:
            strangers = aws.client("cognito-idp").sign_up(
                ClientId=new_client(made.user_pool_id), Username="ana@example.org", Password=NEW
            )["UserSub"]
            Account.new(strangers, email="ana@example.org", now=now()).create()
            address = Address.at("ana@example.org")
            address.owner, address.lease_until, address.learner_id = "stranger", 0, strangers
            address.put()
            assert relink() == relinking.Relinked(1, (), True)
            again = relinked("ana@example.org")
            assert again.id not in (ana.id, strangers)
            assert cognito_users.find_user(strangers) is None
            assert seen(again) == before

    def test_wants_to_be_named(self, lost: None) -> None:
        with pytest.raises(CommandError, match=stack().user_pool_id):
            call_command("accounts", "relink", "another-pool")

    @pytest.mark.parametrize("cut_off", [crash_before, answer_lost])
    def test_is_made_good_by_the_next_run_wherever_one_is_cut_off(
        self, lost: None, memory_table: MemoryTable, cut_off: Any
    ) -> None:
        for nth in range(FIRST, 100, STEP):
            memory_table.clear()
            account_cache.forget()
            with new_pool():
                ana = make_person("ana")
                study(ana)
                before = seen(ana)
                with new_pool():
                    with cut_off(nth) as calls, suppress(Crash, Exception):
                        relink()
                    is_whole = len(calls) < nth
                    with time_machine.travel(datetime.now(UTC)):
                        assert relink().begun_anew == (), calls
                    again = relinked("ana@example.org")
                    assert seen(again) == before, calls
                    assert raw_partition_page(learner_key(ana.id)).items == [], calls
            if is_whole:
                break
        assert nth > 15 - STEP
