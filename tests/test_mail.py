"""Mails: one template makes three parts, and a refusal of SES is a problem."""

import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from accounts.emails import (
    DELETED,
    NOTICES,
    Notice,
    notify,
    send_code,
    send_invitation,
    tell_of_deletion,
    warn_of_deletion,
)
from config import aws
from config.client_info import SYSTEM, ClientInfo
from config.mail import MailRefused, send
from config.problems import ServiceUnavailable
from config.stack import BASE_DIR, Stack, stack
from tests.reminder_helpers import words_left
from tests.test_metrics import lines

NOW = datetime(2026, 3, 1, 21, 5, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("moto_stack")


def sent(stub: Stubber) -> dict[str, Any]:
    """Runs the block, in which one mail is sent. Then holds the request to SES."""
    asked: dict[str, Any] = {}
    client = aws.client("sesv2")

    def look(params: dict[str, Any], **_: Any) -> None:
        asked.update(params)

    client.meta.events.register_first("provide-client-params.sesv2.SendEmail", look)
    stub.add_response("send_email", {"MessageId": "m-1"})
    return asked


@pytest.fixture
def stub(moto_stack: Stack) -> Any:
    with Stubber(aws.client("sesv2")) as stubber:
        yield stubber


@pytest.mark.parametrize("code", ["MessageRejected", "SendingPausedException", "Throttling"])
def test_a_mail_that_was_not_sent_counts_as_failed(
    stub: Stubber, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    """The alarm FailedMails reads it."""
    for _ in range(9):  # as often as it is tried again
        stub.add_client_error("send_email", code, http_status_code=400)
    with caplog.at_level(logging.INFO, logger="parley"), pytest.raises(ServiceUnavailable):
        send_code("ana@example.org", "042137", minutes=15)
    counted = [
        name for line in lines(caplog) for name in ("MailsFailed", "MailsSent") if name in line
    ]
    assert counted == ["MailsFailed"]


def test_a_mail_has_a_subject_a_text_and_a_page(stub: Stubber) -> None:
    asked = sent(stub)
    send_code("ana@example.org", "042137", minutes=15)
    assert asked["FromEmailAddress"] == f"Parley <{stack().mail_from}>"
    assert asked["Destination"] == {"ToAddresses": ["ana@example.org"]}
    assert asked["ConfigurationSetName"] == stack().configuration_set
    content = asked["Content"]["Simple"]
    assert content["Subject"]["Data"] == "Your Parley code"
    text, page = content["Body"]["Text"]["Data"], content["Body"]["Html"]["Data"]
    assert "042137" in text
    assert "<" not in text
    assert "042137" in page
    assert page.startswith("<!doctype html>")


def test_what_is_put_into_a_page_is_escaped_and_into_a_text_is_not(stub: Stubber) -> None:
    asked = sent(stub)
    send_code("o'hara&<b>@example.org", "042137", minutes=15)
    body = asked["Content"]["Simple"]["Body"]
    assert "o'hara&<b>@example.org" in body["Text"]["Data"]
    assert "<b>" not in body["Html"]["Data"]
    assert "&lt;b&gt;" in body["Html"]["Data"]


def test_a_subject_has_one_line(stub: Stubber) -> None:
    asked = sent(stub)
    context = {"notice": Notice("One\r\nBcc: all@example.org", "x"), "at": NOW, "from": ""}
    send("accounts/mail/notice.txt", context, to="ana@example.org")
    subject = asked["Content"]["Simple"]["Subject"]["Data"]
    assert subject == "One Bcc: all@example.org"


def test_headers_and_tags_go_along(stub: Stubber) -> None:
    asked = sent(stub)
    send(
        "accounts/mail/notice.txt",
        {"notice": Notice("s", "w"), "at": NOW, "from": ""},
        to="ana@example.org",
        headers={"List-Unsubscribe": "<https://api.parley.example/u>"},
        tags={"mail": "notice"},
    )
    assert asked["Content"]["Simple"]["Headers"] == [
        {"Name": "List-Unsubscribe", "Value": "<https://api.parley.example/u>"}
    ]
    assert asked["EmailTags"] == [{"Name": "mail", "Value": "notice"}]


@pytest.mark.parametrize("what", NOTICES)
def test_every_notice_tells_what_when_and_from_where(stub: Stubber, what: str) -> None:
    asked = sent(stub)
    notify("ana@example.org", what, ClientInfo("203.0.113.7"), now=NOW)
    text = asked["Content"]["Simple"]["Body"]["Text"]["Data"]
    assert str(NOTICES[what].sentence) in text
    assert "1 March 2026, 21:05 UTC" in text
    assert "203.0.113.7" in text


def test_a_notice_of_ours_names_no_address_of_the_net(stub: Stubber) -> None:
    asked = sent(stub)
    notify("ana@example.org", "mfa_reset", SYSTEM, now=NOW)
    assert "from our office" in asked["Content"]["Simple"]["Body"]["Text"]["Data"]


def test_a_notice_that_ses_refuses_stops_nothing_and_is_logged(
    stub: Stubber, caplog: pytest.LogCaptureFixture
) -> None:
    stub.add_client_error("send_email", "MessageRejected", "Email address is not verified.")
    notify("ana@example.org", "mfa_enabled", SYSTEM, now=NOW)
    assert "a notice was not sent" in caplog.messages
    assert "ana@example.org" not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize("code", ["MessageRejected", "SendingPausedException", "NotFoundException"])
def test_a_code_that_ses_refuses_is_503(stub: Stubber, code: str) -> None:
    stub.add_client_error("send_email", code)
    with pytest.raises(MailRefused):
        send_code("ana@example.org", "042137", minutes=15)


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("what", NOTICES)
def test_a_translator_gets_every_text_of_a_notice(stub: Stubber, what: str) -> None:
    asked = sent(stub)
    notify("ana@example.org", what, ClientInfo("203.0.113.7"), now=NOW)
    content = asked["Content"]["Simple"]
    assert "«" in content["Subject"]["Data"]
    assert words_left(content["Subject"]["Data"] + content["Body"]["Text"]["Data"]) == set()


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("why", DELETED)
def test_a_translator_gets_every_text_of_a_deletion(stub: Stubber, why: str) -> None:
    asked = sent(stub)
    tell_of_deletion("ana@example.org", why, now=NOW)
    content = asked["Content"]["Simple"]
    assert str(DELETED[why]) in content["Body"]["Text"]["Data"]
    assert words_left(content["Subject"]["Data"] + content["Body"]["Text"]["Data"]) == set()


@pytest.mark.usefixtures("marked")
def test_a_translator_gets_every_text_of_a_warning(stub: Stubber) -> None:
    asked = sent(stub)
    warn_of_deletion("ana@example.org", seen_at=NOW, ends_at=NOW)
    content = asked["Content"]["Simple"]
    assert words_left(content["Subject"]["Data"] + content["Body"]["Text"]["Data"]) == set()


def test_a_warning_says_since_when_and_until_when(stub: Stubber) -> None:
    asked = sent(stub)
    end = datetime(2029, 2, 28, tzinfo=UTC)
    warn_of_deletion("ana@example.org", seen_at=NOW, ends_at=end)
    text = asked["Content"]["Simple"]["Body"]["Text"]["Data"]
    assert "since March 2026" in text
    assert "on 28 February 2029" in text


@pytest.mark.usefixtures("marked")
def test_a_translator_gets_every_text_of_an_invitation(stub: Stubber) -> None:
    asked = sent(stub)
    send_invitation("ana@example.org", "corvo-azul-7", days=7)
    content = asked["Content"]["Simple"]
    assert "corvo-azul-7" in content["Body"]["Text"]["Data"]
    assert words_left(content["Subject"]["Data"] + content["Body"]["Text"]["Data"]) == set()


@pytest.mark.usefixtures("marked")
def test_a_translator_gets_every_text_of_a_code(stub: Stubber) -> None:
    asked = sent(stub)
    send_code("ana@example.org", "042137", minutes=15)
    content = asked["Content"]["Simple"]
    assert words_left(content["Subject"]["Data"] + content["Body"]["Text"]["Data"]) == set()


MAIL_TEMPLATES = sorted(BASE_DIR.glob("*/templates/*/mail/*.txt"))


@pytest.mark.parametrize("path", MAIL_TEMPLATES, ids=lambda path: path.name)
def test_no_template_of_a_mail_has_words_outside_of_a_translation(path: Path) -> None:
    text = path.read_text()
    text = re.sub(r"{% blocktranslate.*?{% endblocktranslate %}", "", text, flags=re.DOTALL)
    text = re.sub(r"{%.*?%}|{{.*?}}|<[^>]*>", "", text, flags=re.DOTALL)
    assert re.findall(r"[A-Za-z]{2,}", text) == []
