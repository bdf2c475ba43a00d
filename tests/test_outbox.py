"""`manage.py outbox`: the mails of the embedded AWS, for people and for scripts."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command

from config import stack
from config.ops import cloudformation
from config.ops.mails import Mail, mails
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def sent(embedded_aws: stack.Stack) -> str:
    """Four mails; the value is the engine's URL."""
    assert embedded_aws.endpoint_url
    ses = cloudformation.local_client("sesv2", embedded_aws.endpoint_url)

    def send(to: str, subject: str, **body: str) -> None:
        ses.send_email(
            FromEmailAddress=embedded_aws.mail_from,
            ConfigurationSetName=embedded_aws.configuration_set,
            Destination={"ToAddresses": [to]},
            Content={
                "Simple": {
                    "Subject": {"Data": subject},
                    "Body": {kind: {"Data": text} for kind, text in body.items()},
                }
            },
        )

    send("Amara@outbox.example", "First", Text="Your code is 111111.")
    send("amara@outbox.example", "Zweite Karte für dich", Text="Your code is 222222.")
    send("amara@outbox.example", "Third", Html="<p>12 cards &amp;<br>a <b>deck</b></p><p>due</p>")
    send("bela@outbox.example", "Other", Text="Your code is 333333; call 1234567.")
    return embedded_aws.endpoint_url


@pytest.fixture
def outbox(sent: str) -> Any:
    def show(*arguments: str) -> str:
        output = io.StringIO()
        call_command("outbox", *arguments, stdout=output)
        return output.getvalue()

    return show


def test_the_newest_is_last(outbox: Any) -> None:
    shown = outbox("amara@outbox.example")
    assert shown.index("First") < shown.index("Zweite Karte für dich") < shown.index("Third")
    assert "Other" not in shown


def test_addresses_are_compared_without_case(outbox: Any) -> None:
    assert "Your code is 111111." in outbox("AMARA@outbox.example")


def test_the_engine_sends_the_mails_to_one_address_alone(sent: str) -> None:
    """Thousands would be read for each code else."""
    url = f"{sent}/_ministack/ses/messages?to=BELA%40outbox.example"
    accounts = requests.get(url, timeout=PATIENCE_S).json()["messages"].values()
    [mail] = [each for mails_sent in accounts for each in mails_sent]
    assert (mail["To"], mail["Subject"]) == (["bela@outbox.example"], "Other")


def test_last_shows_one_with_its_words_alone(outbox: Any, sent: str) -> None:
    [*_, third] = mails(sent, to="amara@outbox.example")
    assert outbox("amara@outbox.example", "--last") == (
        "From:    parley@parley.example\n"
        "To:      amara@outbox.example\n"
        f"Date:    {third.sent_at:%Y-%m-%d %H:%M:%S} UTC\n"
        "Subject: Third\n"
        "\n"
        "12 cards &\na deck\ndue\n" + "-" * 72 + "\n"
    )


def test_code_prints_the_newest_code_alone(outbox: Any) -> None:
    assert outbox("amara@outbox.example", "--code") == "222222\n"
    assert outbox("bela@outbox.example", "--code") == "333333\n"


def test_code_fails_when_there_is_none(outbox: Any) -> None:
    with pytest.raises(CommandError, match=r"no mail with a code to chidi@outbox.example"):
        outbox("chidi@outbox.example", "--code")


def test_the_code_that_cognito_mails_can_be_read(embedded_aws: stack.Stack) -> None:
    assert embedded_aws.endpoint_url
    cognito = cloudformation.local_client("cognito-idp", embedded_aws.endpoint_url)
    cognito.admin_create_user(
        UserPoolId=embedded_aws.user_pool_id,
        Username="dalia@outbox.example",
        UserAttributes=[
            {"Name": "email", "Value": "dalia@outbox.example"},
            {"Name": "email_verified", "Value": "true"},
        ],
        MessageAction="SUPPRESS",
    )
    cognito.admin_set_user_password(
        UserPoolId=embedded_aws.user_pool_id,
        Username="dalia@outbox.example",
        Password="a long enough phrase",
        Permanent=True,
    )
    cognito.admin_reset_user_password(
        UserPoolId=embedded_aws.user_pool_id, Username="dalia@outbox.example"
    )
    assert [mail.code for mail in mails(embedded_aws.endpoint_url, to="dalia@outbox.example")] == [
        "654321"
    ]


def test_before_any_run_it_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path))
    with pytest.raises(CommandError, match=r"nothing has run in .* yet: start it with `make run`"):
        call_command("outbox")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "code"), [("code 012345.", "012345"), ("call 1234567", None), ("", None)]
)
def test_a_code_is_six_digits_that_stand_alone(text: str, code: str | None) -> None:
    mail = Mail(
        "0102018f-mail",
        "parley@parley.example",
        ("amara@outbox.example",),
        "Code",
        text,
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert mail.code == code
