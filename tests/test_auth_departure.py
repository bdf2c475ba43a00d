"""Taking one's data along (GET /profile/export) and leaving (DELETE /profile)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from django.conf import settings
from django.core.management import call_command
from ulid import ULID

from accounts.cognito import users as cognito_users
from accounts.models import Account, Address, Profile, Session, learner_key
from accounts.models.account import account_cache
from accounts.services.dormancy import let_dormant_go
from accounts.services.email import confirm_email_change
from accounts.services.removal import remove
from accounts.tokens import Learner, owner_of
from config import aws
from config.client_info import ClientInfo
from config.ops.local_aws import exclusive
from config.problems import ServiceUnavailable
from config.store import items
from config.store.connection import put_raws
from config.store.items import json_value, raw_partition_page
from tests.accounts_helpers import (
    PASSWORD,
    Person,
    api,
    before_call,
    log_in,
    mailed_code,
    new_email,
    new_ip,
    post_sign_up,
    problem,
    sign_up,
    subjects_mailed,
)
from tests.servers import shared_folder
from tests.waiting import later_by


@pytest.fixture(autouse=True, scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The sweep is over the whole table, and one test's clock is not another's: workers wait."""
    with exclusive(shared_folder(tmp_path_factory) / "departure.lock"):
        yield


def leave(person: Person, password: str | None = PASSWORD, **options: Any) -> Any:
    body = {} if password is None else {"password": password}
    return api.delete("/profile", body, token=person.token, **options)


def left_of(person: Person) -> list[str]:
    """The sort keys that the table still has of a learner."""
    return [item["sk"]["S"] for item in raw_partition_page(learner_key(person.id)).items]


def sweep(minutes: float) -> None:
    with later_by(timedelta(minutes=minutes)):
        call_command("accounts", "sweep")


def make_cards(person: Person, number: int, text: str = "cão") -> None:
    deck = api.post("/decks", {"name": "Português"}, token=person.token)
    assert deck.status_code == 201, deck.content
    for count in range(number):
        card = {"deckId": deck.json()["id"], "front": f"{text} {count}", "back": "dog"}
        assert api.post("/flashcards", card, token=person.token).status_code == 201


def make_all_else(person: Person) -> None:
    """A review, an event with a reminder."""
    card = api.get("/flashcards", token=person.token).json()["results"][0]["id"]
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    review = {"id": str(ULID()), "rating": "good", "reviewedAt": at}
    made = [api.post(f"/flashcards/{card}/reviews", review, token=person.token)]
    event = {"title": "Aula", "startsAt": "2030-01-07T18:00:00Z", "endsAt": "2030-01-07T19:00:00Z"}
    made.append(api.post("/events", event, token=person.token))
    reminder = {"kind": "event", "eventId": made[-1].json()["id"], "offsetMinutes": [30]}
    made.append(api.post("/reminders", reminder, token=person.token))
    assert [each.status_code for each in made] == [201] * 3, made[-1].content


@pytest.mark.server
@pytest.mark.usefixtures("embedded_pool")
class TestLeaving:
    def test_removes_all_in_table_and_pool_and_frees_the_address(self) -> None:
        aldo = sign_up("aldo")
        make_cards(aldo, 3)
        make_all_else(aldo)
        assert leave(aldo).status_code == 204
        assert problem(api.get("/profile", token=aldo.token)) == (401, "NOT_AUTHENTICATED")
        assert problem(log_in(aldo.email)) == (401, "INVALID_CREDENTIALS")
        assert left_of(aldo) == [Account.SK]
        mark = str(raw_partition_page(learner_key(aldo.id)).items)
        assert aldo.email not in mark
        assert cognito_users.find_sub(aldo.email) is None
        assert Address.of(aldo.email) is None
        sweep(3)
        assert left_of(aldo) == []
        assert post_sign_up(aldo.email).status_code == 201

    def test_needs_the_password_and_wrong_ones_count(self) -> None:
        berta, here = sign_up("berta"), new_ip()
        assert problem(leave(berta, None)) == (400, "VALIDATION_ERROR")
        for _ in range(5):
            wrong = leave(berta, "not-the-password", ip=here)
            assert problem(wrong) == (401, "INVALID_CREDENTIALS")
        assert leave(berta, ip=here).status_code == 429
        assert api.get("/profile", token=berta.token).status_code == 200

    @pytest.mark.parametrize(
        ("service", "operation"),
        [
            ("s3", "PutObject"),
            ("cognito-idp", "AdminUserGlobalSignOut"),
            ("dynamodb", "BatchWriteItem"),
            ("cognito-idp", "AdminDeleteUser"),
            ("dynamodb", "TransactWriteItems"),
        ],
    )
    def test_cut_off_anywhere_is_completed_by_the_sweep(self, service: str, operation: str) -> None:
        cesar = sign_up("cesar")
        make_cards(cesar, 1)

        def down() -> None:
            raise EndpointConnectionError(endpoint_url="https://aws")

        store = items.connection().connection.client
        client = store if service == "dynamodb" else aws.client(service)
        with before_call(client, operation, down):
            assert problem(leave(cesar)) == (503, "SERVICE_UNAVAILABLE")
        assert problem(api.get("/profile", token=cesar.token)) == (401, "NOT_AUTHENTICATED")
        assert log_in(cesar.email).status_code == 401
        sweep(0)
        assert cognito_users.find_sub(cesar.email) is None
        assert Address.of(cesar.email) is None
        sweep(3)
        assert left_of(cesar) == []

    def test_frees_both_addresses_when_one_is_being_changed(self) -> None:
        """By a process that does not know yet that the learner is leaving."""
        davide, new = sign_up("davide"), new_email("davide.new")
        change = {"newEmail": new, "password": PASSWORD}
        assert api.post("/auth/email/change", change, token=davide.token).status_code == 200
        learner, here = Learner(davide.id, frozenset(), 0, 0), ClientInfo("10.0.0.1", "test")

        def confirm() -> None:
            with pytest.raises(ServiceUnavailable):
                confirm_email_change(
                    learner, code=mailed_code(new), source=here, now=datetime.now(UTC)
                )

        with before_call(aws.client("cognito-idp"), "AdminUserGlobalSignOut", confirm):
            assert leave(davide).status_code == 204
        assert (Address.of(davide.email), Address.of(new)) == (None, None)

    def test_sweeps_what_a_late_request_wrote(self) -> None:
        deva = sign_up("deva")
        assert leave(deva).status_code == 204
        now = datetime.now(UTC)
        Profile.new(deva.id, first_name="Deva", last_name="Late", now=now).put()
        sweep(1)
        assert left_of(deva) != []
        sweep(3)
        assert left_of(deva) == []

    def test_is_made_good_again_where_a_restored_table_has_brought_the_learner_back(self) -> None:
        dalila, other = sign_up("dalila"), sign_up("eunice")
        make_cards(dalila, 1)
        address = Address.of(dalila.email)
        assert address is not None
        backup = [*raw_partition_page(learner_key(dalila.id)).items, address.raw]
        assert leave(dalila).status_code == 204
        assert subjects_mailed(dalila.email)[-1] == "Your account was deleted"
        mails = len(subjects_mailed(dalila.email))
        put_raws(backup)
        account_cache.forget()
        assert left_of(dalila) != [Account.SK]
        call_command("accounts", "reapply-deletions")
        assert left_of(dalila) == [Account.SK]
        assert Address.of(dalila.email) is None
        assert len(subjects_mailed(dalila.email)) == mails
        assert api.get("/profile", token=other.token).status_code == 200


@pytest.mark.server
@pytest.mark.usefixtures("embedded_pool")
class TestAnExport:
    def test_has_all_that_is_stored_but_secrets(self) -> None:
        edna, other = sign_up("edna"), sign_up("other")
        make_cards(edna, 2)
        make_all_else(edna)
        make_cards(other, 1, "gato")
        api.post("/auth/mfa/setup", {"password": PASSWORD}, token=edna.token)
        answer = api.get("/profile/export", token=edna.token)
        assert answer.status_code == 200
        body = answer.json()
        assert body["next"] is None
        kinds = {item["kind"] for item in body["results"]}
        stored = {item["kind"]["S"] for item in raw_partition_page(learner_key(edna.id)).items}
        assert kinds == stored - {"mfa"}
        of_all_apps = {"account", "profile", "activity", "deck", "card", "entry", "event"}
        assert of_all_apps | {"reminder"} <= kinds
        text = answer.content.decode()
        assert edna.email in text
        assert "cão 1" in text
        assert other.id not in text
        assert "gato" not in text

    def test_is_paged_below_lambdas_limit_and_complete(self) -> None:
        fabia = sign_up("fabia")
        now, rows = datetime.now(UTC), 20
        for number in range(rows):
            large = Profile.new(fabia.id, first_name="x" * 300_000, last_name="Long", now=now)
            large.sk = f"ZZ#{number:03}"
            large.put()
        keys: list[str] = []
        address, pages = "/profile/export", 0
        while address:
            answer = api.get(address, token=fabia.token)
            assert answer.status_code == 200
            assert len(answer.content) < 6_000_000
            keys += [item["key"] for item in answer.json()["results"]]
            address, pages = answer.json()["next"], pages + 1
        assert pages > 1
        assert len(keys) == len(set(keys))
        assert {f"ZZ#{number:03}" for number in range(rows)} <= set(keys)

    def test_cursor_is_of_no_use_to_another_learner(self) -> None:
        answer = api.get("/profile/export?cursor=forged", token=sign_up("gino").token)
        assert problem(answer) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ({"S": "cão"}, "cão"),
        ({"N": "-12"}, -12),
        ({"N": "2.5"}, 2.5),
        ({"BOOL": False}, False),
        ({"NULL": True}, None),
        ({"SS": ["b", "a"]}, ["a", "b"]),
        ({"NS": ["2", "1"]}, [1, 2]),
        ({"L": [{"N": "1"}, {"M": {"en_US": {"S": "x"}}}]}, [1, {"en_US": "x"}]),
    ],
)
def test_a_stored_attribute_is_told_as_json(stored: dict[str, Any], value: Any) -> None:
    assert json_value(stored) == value


def test_a_binary_attribute_is_not_told() -> None:
    with pytest.raises(ValueError, match="B"):
        json_value({"B": b"secret"})


@pytest.mark.server
@pytest.mark.usefixtures("embedded_pool")
def test_an_account_that_nobody_uses_is_told_twice_and_goes_like_any_other() -> None:
    irene = sign_up("irene")
    at = datetime.now(UTC) + timedelta(days=settings.DORMANT_AFTER_DAYS)
    session = Session.at(irene.id, owner_of(irene.token).session)
    session.update_attributes(Session.lsi4.remove())  # it has lapsed by then
    for later in (timedelta(), timedelta(days=46), timedelta(days=60)):
        account = Account.of(irene.id)
        assert account is not None
        assert let_dormant_go([account], now=at + later) == 1
    account = Account.of(irene.id)
    assert account is not None
    assert remove(account, now=at)
    assert subjects_mailed(irene.email)[-3:] == [
        "Your Parley account will be deleted",
        "Your Parley account will be deleted",
        "Your account was deleted",
    ]
    assert log_in(irene.email).status_code == 401
    assert cognito_users.find_user(irene.id) is None
    assert post_sign_up(irene.email).status_code == 201
