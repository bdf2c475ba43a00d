"""SES's word on our mails, as SNS hands it to the function: who is suppressed, and who is not."""

import copy
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from botocore.stub import Stubber
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from time_machine import travel
from ulid import ULID

from accounts.models import Account, Address, learner_key
from config import aws
from config.store.items import delete_partition
from config.store.transactions import transact
from reminders import tasks
from tests.callers import Caller, access_token
from tests.reminder_helpers import (
    Letter,
    Mailbox,
    deliveries_of,
    event_of,
    reminder_of,
    sweep_at,
    verified,
    words_left,
)
from tests.wire import sending, telling

BOUNCE = {
    "bounceType": "Permanent",
    "bounceSubType": "General",
    "bouncedRecipients": [
        {
            "emailAddress": "maria@example.org",
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": "smtp; 550 5.1.1 user unknown",
        }
    ],
    "timestamp": "2030-06-03T17:00:04.000Z",
    "feedbackId": "010001",
    "reportingMTA": "dsn; a8-70.smtp-out.amazonses.com",
}
COMPLAINT = {
    "complainedRecipients": [{"emailAddress": "maria@example.org"}],
    "timestamp": "2030-06-03T17:00:04.000Z",
    "feedbackId": "010002",
    "complaintFeedbackType": "abuse",
    "userAgent": "AnyCompany Feedback Loop (V0.01)",
    "arrivalDate": "2030-06-03T17:00:04.000Z",
}
TRANSIENT = BOUNCE | {"bounceType": "Transient", "bounceSubType": "MailboxFull"}
UNDETERMINED = BOUNCE | {"bounceType": "Undetermined", "bounceSubType": "Undetermined"}


def about(letter: Letter, **kinds: Any) -> dict[str, Any]:
    """SES's event about a mail: "Bounce" with `bounce=…`, "Complaint" with `complaint=…`."""
    [(kind, detail)] = kinds.items()
    return {
        "eventType": kind.title(),
        "mail": {
            "timestamp": "2030-06-03T17:00:02.000Z",
            "source": "Parley <parley@parley.example>",
            "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/parley.example",
            "sendingAccountId": "123456789012",
            "messageId": letter.message_id,
            "destination": [letter.to],
            "headersTruncated": False,
            "headers": [{"name": "To", "value": letter.to}],
            "commonHeaders": {"to": [letter.to], "subject": letter.subject},
            "tags": {name: [value] for name, value in letter.tags.items()}
            | {"ses:configuration-set": ["parley-dev"], "ses:caller-identity": ["parley"]},
        },
        kind: detail,
    }


def by_sns(*messages: Any) -> dict[str, Any]:
    """The event that Lambda is called with (AWS: "Using AWS Lambda with Amazon SNS")."""
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": "arn:aws:sns:eu-west-1:123456789012:mails:1",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": str(uuid4()),
                    "TopicArn": "arn:aws:sns:eu-west-1:123456789012:mails",
                    "Subject": "Amazon SES Email Event Notification",
                    "Message": each if isinstance(each, str) else json.dumps(each),
                    "Timestamp": "2030-06-03T17:00:05.000Z",
                    "MessageAttributes": {},
                },
            }
            for each in messages
        ]
    }


@contextmanager
def ses_forgets(code: str = "") -> Iterator[list[str]]:
    """SES takes addresses off its own list, or refuses with a code; which they were."""
    forgotten: list[str] = []

    def answer(params: dict[str, Any], **_: Any) -> Any:
        assert params["method"] == "DELETE"
        forgotten.append(unquote(params["url_path"].rpartition("/")[2]))
        body = {"Error": {"Code": code, "Message": "no"}} if code else {}
        return SimpleNamespace(status_code=400 if code else 200), body

    events = aws.client("sesv2").meta.events
    events.register("before-call.sesv2.DeleteSuppressedDestination", answer)
    try:
        yield forgotten
    finally:
        events.unregister("before-call.sesv2.DeleteSuppressedDestination", answer)


@pytest.fixture
def letter(maria: Caller, mailbox: Mailbox) -> Letter:
    """A mail that Maria was sent; three more are due in the hours after it."""
    verified(maria)
    for hour in (17, 18, 19, 20):
        reminder_of(maria, at=f"2030-06-03T{hour}:00:00Z")
    sweep_at("2030-06-03T17:00:00Z")
    return mailbox.letters[0]


@pytest.mark.parametrize("word", [{"bounce": BOUNCE}, {"complaint": COMPLAINT}])
def test_a_bounce_for_good_and_a_complaint_end_mails_with_the_next_sweep(
    maria: Caller, mailbox: Mailbox, letter: Letter, word: dict[str, Any]
) -> None:
    event = by_sns(about(letter, **word))
    assert tasks.handle_ses_event(event, None) == 1
    sweep_at("2030-06-03T18:00:00Z")
    assert len(mailbox.letters) == 1
    [second] = [
        each
        for reminder in maria.get("/reminders").json()["results"]
        for each in deliveries_of(maria, reminder)
        if each["dueAt"] == "2030-06-03T18:00:00Z"
    ]
    assert (second["state"], second["reason"]) == ("skipped", "suppressed")


def test_what_comes_twice_counts_once(letter: Letter) -> None:
    event = by_sns(about(letter, bounce=BOUNCE), about(letter, bounce=BOUNCE))
    assert tasks.handle_ses_event(event, None) == 1
    assert tasks.handle_ses_event(event, None) == 0
    assert tasks.handle_ses_event(by_sns(about(letter, complaint=COMPLAINT)), None) == 0


Forge = Callable[[dict[str, Any], Letter, Caller], None]


def tag(name: str, value: Any) -> Forge:
    def change(event: dict[str, Any], letter: Letter, other: Caller) -> None:
        event["mail"]["tags"][name] = [value]

    return change


def of_another(event: dict[str, Any], letter: Letter, other: Caller) -> None:
    event["mail"]["tags"]["learner"] = [other.id]
    event["mail"]["destination"] = ["joao@example.org"]


def to_another(event: dict[str, Any], letter: Letter, other: Caller) -> None:
    event["mail"]["destination"] = ["joao@example.org"]


def another_message(event: dict[str, Any], letter: Letter, other: Caller) -> None:
    event["mail"]["messageId"] = "m-999"


@pytest.mark.parametrize(
    "forge",
    [
        tag("mail_id", str(ULID())),
        tag("mail_id", "x"),
        tag("mail_id", "PROFILE#0123456789012345678"),
        tag("learner", str(uuid4())),
        of_another,
        to_another,
        another_message,
    ],
    ids=["mail", "no id", "key", "learner", "mail of another", "address of another", "message"],
)
def test_a_forged_event_suppresses_nobody(
    maria: Caller, joao: Caller, mailbox: Mailbox, letter: Letter, forge: Forge
) -> None:
    reminder_of(verified(joao), at="2030-06-03T18:00:00Z")
    event = copy.deepcopy(about(letter, bounce=BOUNCE))
    forge(event, letter, joao)
    assert tasks.handle_ses_event(by_sns(event), None) == 0
    sweep_at("2030-06-03T18:00:00Z")
    assert {each.to for each in mailbox.letters[1:]} == {"maria@example.org", "joao@example.org"}


@pytest.mark.parametrize(
    "word",
    [
        {"bounce": TRANSIENT},
        {"bounce": UNDETERMINED},
        {"delivery": {"recipients": ["maria@example.org"]}},
    ],
)
def test_what_may_be_fine_tomorrow_ends_nothing(
    mailbox: Mailbox, letter: Letter, word: dict[str, Any]
) -> None:
    assert tasks.handle_ses_event(by_sns(about(letter, **word)), None) == 0
    sweep_at("2030-06-03T18:00:00Z")
    assert len(mailbox.letters) == 2


def test_what_is_no_event_keeps_none_from_being_heard(letter: Letter) -> None:
    bounce = about(letter, bounce=BOUNCE)
    nothing = ["", "{", "null", "[]", "7", '"x"', "{}", '{"eventType": "Bounce"}', {"mail": {}}]
    untagged = copy.deepcopy(bounce)
    del untagged["mail"]["tags"]
    of_a_code = copy.deepcopy(bounce)
    of_a_code["mail"]["tags"] = {"mail": ["code"]}
    odd = [bounce | {"bounce": None}, bounce | {"mail": []}, untagged, of_a_code]
    event = by_sns(*nothing, *odd, bounce)
    event["Records"] += [{}, {"Sns": None}, {"Sns": {}}]
    assert tasks.handle_ses_event(event, None) == 1
    assert tasks.handle_ses_event({}, None) == 0


def test_the_profile_tells_why_an_address_takes_no_mail(maria: Caller, letter: Letter) -> None:
    assert maria.get("/profile").json()["mailSuppression"] is None
    with travel("2030-06-03T17:05:00Z", tick=False):
        tasks.handle_ses_event(by_sns(about(letter, complaint=COMPLAINT)), None)
    told = {"reason": "complaint", "at": "2030-06-03T17:05:00Z"}
    assert maria.get("/profile").json()["mailSuppression"] == told
    Account.at(maria.id).update_attributes(Account.email.set("maria.silva@example.org"))
    assert maria.get("/profile").json()["mailSuppression"] is None


def test_another_address_is_mailed_again(mailbox: Mailbox, maria: Caller, letter: Letter) -> None:
    assert tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None) == 1
    Account.at(maria.id).update_attributes(Account.email.set("maria.silva@example.org"))
    sweep_at("2030-06-03T18:00:00Z")
    assert mailbox.letters[-1].to == "maria.silva@example.org"
    late = about(letter, complaint=COMPLAINT)  # about the address that was
    assert tasks.handle_ses_event(by_sns(late), None) == 0
    sweep_at("2030-06-03T19:00:00Z")
    assert len(mailbox.letters) == 3


def test_an_address_that_works_again_can_be_let_in(
    mailbox: Mailbox, maria: Caller, letter: Letter
) -> None:
    reserved = Address.reserve("maria@example.org", owner="sign-up", now=timezone.now())
    transact(reserved.assign_write(maria.id))
    tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None)
    with ses_forgets() as forgotten:
        call_command("unsuppress", "Maria@example.org", stdout=io.StringIO())
    assert forgotten == ["maria@example.org"]
    sweep_at("2030-06-03T18:00:00Z")
    assert len(mailbox.letters) == 2
    for email in ("maria@example.org", "nobody@example.org"):
        with pytest.raises(CommandError, match="is not suppressed"):
            call_command("unsuppress", email)


def test_all_that_is_kept_of_reminders_is_exported_but_the_key_to_the_calendar(
    maria: Caller, letter: Letter
) -> None:
    event_of(maria)
    maria.post("/calendar/rotate")
    tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None)
    exported = maria.get("/profile/export").json()["results"]
    kinds = {each["kind"] for each in exported}
    assert {"event", "reminder", "delivery", "mail_day", "suppression"} <= kinds
    assert "calendar_link" not in kinds
    [suppression] = [each["data"] for each in exported if each["kind"] == "suppression"]
    assert (suppression["email"], suppression["reason"]) == ("maria@example.org", "bounce")
    assert "proof" not in json.dumps(exported)


def test_a_mail_that_somebody_wanted_after_all_suppresses_nothing(
    maria: Caller, mailbox: Mailbox
) -> None:
    reminder_of(verified(maria))
    sweep_at("2030-06-03T17:00:00+00:00")
    [letter] = mailbox.letters
    praise = COMPLAINT | {"complaintFeedbackType": "not-spam"}
    assert tasks.handle_ses_event(by_sns(about(letter, complaint=praise)), None) == 0


@pytest.mark.parametrize("copy_number", [0, 1])
def test_the_bounce_of_either_copy_of_a_mail_suppresses(
    maria: Caller, mailbox: Mailbox, copy_number: int
) -> None:
    reminder_of(verified(maria))
    mailbox.hang_up = True
    sweep_at("2030-06-03T17:00:00+00:00")
    mailbox.hang_up = False
    sweep_at("2030-06-03T17:02:00+00:00")
    letter = mailbox.letters[copy_number]
    assert len(mailbox.letters) == 2
    assert tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None) == 1


@pytest.mark.parametrize("copy_number", [0, 1, 2])
def test_the_bounce_of_any_copy_suppresses_though_the_last_has_more_in_it(
    maria: Caller, mailbox: Mailbox, copy_number: int
) -> None:
    verified(maria)
    for second in ("00:00", "00:30", "01:30"):
        reminder_of(maria, title=f"Às {second}", at=f"2030-06-03T17:{second}Z")
    mailbox.hang_up = True
    sweep_at("2030-06-03T17:00:00+00:00")
    sweep_at("2030-06-03T17:00:30+00:00")
    mailbox.hang_up = False
    sweep_at("2030-06-03T17:02:00+00:00")
    assert [letter.subject for letter in mailbox.letters] == [
        "Às 00:00",
        "Às 00:30",
        "3 reminders",
    ]
    letter = mailbox.letters[copy_number]
    assert tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None) == 1


def full_for_days(maria: Caller, mailbox: Mailbox, arrived: set[int], *, every: int = 2) -> int:
    """A mail every so many days, of which those not in `arrived` meet a full mailbox; returns how
    many mails went out of eight."""
    first = datetime(2030, 6, 1, 12, tzinfo=UTC)
    for number in range(8):
        reminder_of(maria, at=(first + timedelta(days=every * number)).isoformat())
    for number in range(8):
        at, sent = first + timedelta(days=every * number), len(mailbox.letters)
        sweep_at(at)
        if len(mailbox.letters) > sent and number not in arrived:
            with travel(at + timedelta(minutes=5), tick=False):
                tasks.handle_ses_event(by_sns(about(mailbox.letters[-1], bounce=TRANSIENT)), None)
    return len(mailbox.letters)


@pytest.mark.parametrize(
    ("arrived", "every", "mails"),
    [(set(), 2, 5), ({3}, 2, 8), ({0}, 2, 6), (set(), 4, 8)],
    ids=["five in a row", "one arrived between", "after one that arrived", "over a longer time"],
)
def test_five_mails_to_a_full_mailbox_within_a_fortnight_end_mails(
    maria: Caller, mailbox: Mailbox, arrived: set[int], every: int, mails: int
) -> None:
    assert full_for_days(verified(maria), mailbox, arrived, every=every) == mails


def test_a_bounce_that_is_told_twice_counts_once(maria: Caller, mailbox: Mailbox) -> None:
    for hour in range(5):
        reminder_of(verified(maria), at=f"2030-06-03T{17 + hour}:00:00Z")
    sweep_at("2030-06-03T17:00:00Z")
    event = by_sns(*[about(mailbox.letters[0], bounce=TRANSIENT)] * 6)
    with travel("2030-06-03T17:05:00Z", tick=False):
        assert tasks.handle_ses_event(event, None) == 0
    bounced = [
        delivery["bouncedAt"]
        for reminder in maria.get("/reminders").json()["results"]
        for delivery in deliveries_of(maria, reminder)
    ]
    assert bounced == ["2030-06-03T17:05:00Z"]


def test_a_bounce_of_what_is_deleted_meanwhile_is_no_failure(
    maria: Caller, mailbox: Mailbox, letter: Letter
) -> None:
    def delete(operation: str) -> None:
        if operation == "UpdateItem":
            delete_partition(learner_key(maria.id), within_s=9)

    event = by_sns(about(letter, bounce=TRANSIENT))
    with sending(telling(delete)):
        assert tasks.handle_ses_event(event, None) == 0


# --- Lifting it oneself ---------------------------------------------------------------------------

STRANGER = Client(enforce_csrf_checks=True)


def link_in(letter: Letter) -> str:
    [path] = re.findall(r"again: http://[^/]+(/mail-suppression/\S+)", letter.text)
    return str(path)


@pytest.fixture
def link(maria: Caller, mailbox: Mailbox, letter: Letter) -> str:
    """The link that Maria is mailed once her address was suppressed."""
    tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None)
    with ses_forgets():
        assert maria.post("/mail-suppression").status_code == 204
    return link_in(mailbox.letters[-1])


def test_a_learner_lifts_a_suppression_by_the_link_that_is_mailed_to_the_address(
    maria: Caller, mailbox: Mailbox, link: str
) -> None:
    page = STRANGER.get(link)
    assert (page.status_code, b"<form" in page.content) == (200, True)
    assert maria.get("/profile").json()["mailSuppression"]["reason"] == "bounce"
    for _ in range(2):
        page = STRANGER.post(link)
        assert (page.status_code, b"mailed again" in page.content) == (200, True)
    assert maria.get("/profile").json()["mailSuppression"] is None
    sweep_at("2030-06-03T18:00:00Z")
    assert len(mailbox.letters) == 3
    again = maria.post("/mail-suppression")
    assert (again.status_code, again.json()["code"]) == (409, "NOT_SUPPRESSED")


def test_ses_is_asked_to_forget_the_address_before_it_is_mailed(
    maria: Caller, mailbox: Mailbox, letter: Letter
) -> None:
    tasks.handle_ses_event(by_sns(about(letter, complaint=COMPLAINT)), None)
    with ses_forgets("InternalFailure") as forgotten:
        assert maria.post("/mail-suppression").status_code >= 500
    assert (forgotten, len(mailbox.letters)) == (["maria@example.org"], 1)
    with Stubber(aws.client("sesv2")) as stub:  # holds the request to botocore's description
        stub.add_response(
            "delete_suppressed_destination", {}, {"EmailAddress": "maria@example.org"}
        )
        stub.add_response("send_email", {"MessageId": "m-9"})
        assert maria.post("/mail-suppression").status_code == 204
        stub.assert_no_pending_responses()


def test_an_address_that_ses_does_not_know_is_no_failure(
    maria: Caller, mailbox: Mailbox, letter: Letter
) -> None:
    tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None)
    with ses_forgets("NotFoundException"):
        assert maria.post("/mail-suppression").status_code == 204
    assert len(mailbox.letters) == 2


def test_nobody_causes_more_than_a_few_mails_to_a_suppressed_address(
    maria: Caller, mailbox: Mailbox, letter: Letter
) -> None:
    tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None)
    with ses_forgets():
        answers = [maria.post("/mail-suppression").status_code for _ in range(6)]
    assert answers == [204] * 5 + [429]
    assert len(mailbox.letters) == 6


def test_a_link_lifts_the_suppression_that_it_was_made_for_and_no_later_one(
    maria: Caller, mailbox: Mailbox, link: str
) -> None:
    STRANGER.post(link)
    sweep_at("2030-06-03T18:00:00Z")
    with travel("2030-06-03T18:05:00Z", tick=False):
        tasks.handle_ses_event(by_sns(about(mailbox.letters[-1], bounce=BOUNCE)), None)
    page = STRANGER.post(link)
    assert (page.status_code, b"does not work" in page.content) == (404, True)
    assert maria.get("/profile").json()["mailSuppression"]["at"] == "2030-06-03T18:05:00Z"


@pytest.mark.parametrize("token", ["x", "A" * 3000])
def test_no_other_token_lifts_anything(maria: Caller, link: str, token: str) -> None:
    for path in (f"/mail-suppression/{token}", link[:-3]):
        assert STRANGER.get(path).status_code == 404
        assert STRANGER.post(path).status_code == 404
    with travel(timezone.now() + timedelta(days=1, seconds=1), tick=False):
        assert STRANGER.post(link).status_code == 404
    assert maria.get("/profile").json()["mailSuppression"]["reason"] == "bounce"


@pytest.mark.parametrize(
    ("word", "counts"), [({"bounce": BOUNCE}, 0), ({"complaint": COMPLAINT}, 1)]
)
def test_a_bounce_that_is_told_late_says_nothing_of_an_address_that_was_proved_since(
    maria: Caller, mailbox: Mailbox, letter: Letter, word: dict[str, Any], counts: int
) -> None:
    with travel("2030-06-03T17:30:00Z", tick=False), ses_forgets():
        tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None)
        Caller(maria.id, access_token(maria.id)).post("/mail-suppression")
        assert STRANGER.post(link_in(mailbox.letters[-1])).status_code == 200
        assert tasks.handle_ses_event(by_sns(about(letter, **word)), None) == counts


def test_bounces_from_before_the_lift_suppress_no_more(maria: Caller, mailbox: Mailbox) -> None:
    full_for_days(verified(maria), mailbox, set(), every=1)
    told = maria.get("/profile").json()["mailSuppression"]
    at = datetime.fromisoformat(told["at"])
    with travel(at + timedelta(hours=1), tick=False), ses_forgets():
        Caller(maria.id, access_token(maria.id)).post("/mail-suppression")
        assert STRANGER.post(link_in(mailbox.letters[-1])).status_code == 200
    reminder_of(maria, at=(at + timedelta(hours=2)).isoformat())
    sweep_at(at + timedelta(hours=2))
    with travel(at + timedelta(hours=3), tick=False):
        event = by_sns(about(mailbox.letters[-1], bounce=TRANSIENT))
        assert tasks.handle_ses_event(event, None) == 0


def test_every_word_of_the_link_s_mail_can_be_translated(
    maria: Caller, mailbox: Mailbox, letter: Letter, marked: None
) -> None:
    tasks.handle_ses_event(by_sns(about(letter, bounce=BOUNCE)), None)
    with ses_forgets():
        maria.post("/mail-suppression")
    text = re.sub(r"http\S+", "", mailbox.letters[-1].text)
    assert words_left(text) <= {"Maria"}
