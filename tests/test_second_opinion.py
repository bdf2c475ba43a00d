"""Parts of these tests over engines that are not their own: moto in process, and DynamoDB Local.

Two engines that agree may both be wrong. Where they and AWS's own text disagree, docs/
aws-differences.md says whom we believe.
"""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.backends import get_backend

from accounts.cognito import sessions, users
from accounts.cognito.client import InvalidCredentials, UserAlreadyExists, WeakPassword
from accounts.models.account import account_cache
from config import aws, mail
from config.ops import probe
from config.problems import UpstreamFailed
from config.stack import BASE_DIR, Stack
from tests.accounts_helpers import PASSWORD
from tests.callers import Caller, make_learner
from tests.reminder_helpers import verified
from tests.servers import empty_table, forget_clients, using
from tests.template import properties, table_definition

# What these say of our table in process must be true of other tables as well.
from tests.test_changes import (  # noqa: F401
    test_a_change_upon_an_older_version_is_a_conflict_with_what_is_stored,
)
from tests.test_decks import (  # noqa: F401
    test_a_change_on_an_old_version_is_refused_and_changes_nothing,
    test_a_deck_is_made_read_replaced_and_deleted,
    test_decks_are_listed_in_pages_without_deleted_ones,
)
from tests.test_review_batch import (  # noqa: F401
    test_each_entry_is_applied_known_or_rejected_by_itself,
)
from tests.test_reviews import (  # noqa: F401
    test_the_same_review_sent_again_counts_once,
)
from tests.test_sweep import (  # noqa: F401
    test_each_offset_of_each_occurrence_is_mailed_once,
)

pytestmark = pytest.mark.second_opinion

REGION = "eu-west-1"
MAIL_FROM = "parley@parley.example"
PEOPLE = {"password": PASSWORD, "first_name": "Ana", "last_name": "Prado"}


def literal(resource: str, *apart: str) -> dict[str, Any]:
    """A resource's properties without those that CloudFormation computes, and those `apart`."""

    def kept(values: dict[str, Any]) -> dict[str, Any]:
        return {
            name: kept(value) if isinstance(value, dict) else value
            for name, value in values.items()
            if name not in apart and not str(value).startswith("!")
        }

    return kept(properties(resource))


def make_pool() -> dict[str, str]:
    """The template's pool and app clients in moto, which has no CloudFormation of Cognito's."""
    pool = boto3.client("cognito-idp", region_name=REGION)
    made = literal("UserPool", "EmailConfiguration", "EnabledMfas", "MfaConfiguration")
    pool_id = pool.create_user_pool(PoolName="parley", **made)["UserPool"]["Id"]
    pool.set_user_pool_mfa_config(
        UserPoolId=pool_id,
        SoftwareTokenMfaConfiguration={"Enabled": True},
        MfaConfiguration=properties("UserPool")["MfaConfiguration"],
    )
    for group in ("StaffGroup", "AdminGroup"):
        pool.create_group(UserPoolId=pool_id, **literal(group))

    def client(resource: str) -> str:
        values = literal(resource, "SupportedIdentityProviders")
        answer = pool.create_user_pool_client(UserPoolId=pool_id, **values)
        return str(answer["UserPoolClient"]["ClientId"])

    return {
        "user_pool_id": pool_id,
        "client_id": client("Client"),
        "sign_up_client_id": client("SignUpClient"),
    }


@pytest.fixture(scope="module")
def moto() -> Iterator[Stack]:
    """The stack's resources in moto, called by botocore."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        key = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["KeyId"]
        ses = boto3.client("sesv2", region_name=REGION)
        ses.create_configuration_set(ConfigurationSetName="parley")
        ses.create_email_identity(EmailIdentity=MAIL_FROM.partition("@")[2])
        names = {field.name: f"{field.name}-of-tests" for field in fields(Stack)} | make_pool()
        names |= {"region": REGION, "key_id": key, "mail_from": MAIL_FROM}
        with using(Stack(**names | {"configuration_set": "parley", "endpoint_url": None})) as found:
            patch.setenv(aws.CLIENT_SETTING, "botocore")
            forget_clients()
            yield found


WITH_SERVER = [pytest.mark.server, pytest.mark.xdist_group("dynamodb")]


@pytest.fixture(params=["moto", pytest.param("DynamoDB Local", marks=WITH_SERVER)])
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    """An empty table of another engine, in the place of ours."""
    account_cache.forget()
    if request.param == "moto":
        found = request.getfixturevalue("moto")
        client = aws.client("dynamodb")
        client.create_table(TableName=found.table_name, **table_definition())
        yield
        client.delete_table(TableName=found.table_name)
    else:
        with empty_table(request.getfixturevalue("dynamodb_local_url")):
            yield


@pytest.fixture
def maria(table: None) -> Caller:
    return verified(make_learner("maria", timezone="Europe/Lisbon"))


def test_a_user_signs_up_and_in_and_leaves(moto: Stack) -> None:
    sub = users.sign_up(email="ana@parley.example", **PEOPLE)
    with pytest.raises(UserAlreadyExists):
        users.sign_up(email="ana@parley.example", **PEOPLE)
    with pytest.raises(WeakPassword):
        users.sign_up(email="rui@parley.example", **PEOPLE | {"password": "short"})
    users.confirm_sign_up(username="ana@parley.example", code="123456")
    with pytest.raises(InvalidCredentials):
        sessions.sign_in(username="ana@parley.example", password="wrong")
    for username in ("ana@parley.example", sub):
        tokens = sessions.sign_in(username=username, password=PASSWORD)
        assert isinstance(tokens, sessions.Tokens)
    users.set_password(sub, "corvo-verde-8")
    users.set_email(sub, "ana.prado@parley.example")
    users.add_to_group(sub, "staff")
    found = users.find_user("ana.prado@parley.example")
    assert found
    assert (found.sub, found.status, found.first_name) == (sub, "CONFIRMED", "Ana")
    assert (found.email, found.email_verified) == ("ana.prado@parley.example", True)
    assert users.groups_of(sub) == {"staff"}
    assert users.find_user("ana@parley.example") is None
    users.set_enabled(sub, enabled=False)
    with pytest.raises(InvalidCredentials):
        sessions.sign_in(username=sub, password="corvo-verde-8")
    users.delete_user(sub)
    users.delete_user(sub)
    assert users.find_sub(sub) is None


def test_a_code_of_the_app_is_asked_for_whatever_the_pool_calls_the_user(moto: Stack) -> None:
    """AWS promises USER_ID_FOR_SRP for SRP alone; moto leaves it out."""
    sub = users.sign_up(email="rita@parley.example", **PEOPLE)
    users.confirm_sign_up(username="rita@parley.example", code="123456")
    tokens = sessions.sign_in(username=sub, password=PASSWORD)
    assert isinstance(tokens, sessions.Tokens)
    users.new_totp_secret(tokens.access_token)
    users.verify_totp_secret(tokens.access_token, "123456")
    users.set_mfa(sub, enabled=True)
    challenge = sessions.sign_in(username=sub, password=PASSWORD)
    assert isinstance(challenge, sessions.Challenge)
    assert challenge.username == sub
    assert sessions.answer_totp(challenge, "123456").access_token


def test_an_operators_user_has_no_password_until_it_is_set(moto: Stack) -> None:
    sub = users.create_user(email="ines@parley.example", first_name="Inês", last_name="Sá")
    found = users.find_user(sub)
    assert found
    assert (found.status, found.email_verified) == (users.FORCE_CHANGE_PASSWORD, True)
    with pytest.raises(UserAlreadyExists):
        users.create_user(email="ines@parley.example", first_name="Inês", last_name="Sá")


def test_a_secret_is_opened_for_its_owner_alone(moto: Stack) -> None:
    sealed = aws.kms_encrypt("JBSWY3DP", owner="ana")
    assert aws.kms_decrypt(sealed, owner="ana") == "JBSWY3DP"
    with pytest.raises(UpstreamFailed):
        aws.kms_decrypt(sealed, owner="rui")


def test_a_mail_is_taken_from_our_sender_alone(moto: Stack) -> None:
    context = {"code": "123456", "minutes": 15}
    template = "accounts/mail/email_code.txt"
    mail.send(template, context, to="ana@example.org", tags={"learner": "l1"})
    sent = get_backend("ses")["123456789012"][REGION].sent_messages
    assert [message.source for message in sent] == [f"Parley <{MAIL_FROM}>"]
    with using(replace(moto, mail_from="parley@another.example")), pytest.raises(mail.MailRefused):
        mail.send(template, context, to="ana@example.org")


def test_the_probes_queue_hears_what_the_topic_says(moto: Stack) -> None:
    """As SES's events of bounces come: the topic's policy lets them in, its queue takes them."""
    session = boto3.Session(region_name=REGION)
    place = probe.Environment(session)
    topic = place.client("sns").create_topic(Name="parley")["TopicArn"]
    outputs = {"MailEventsTopicArn": topic}
    tried = probe.Probe("dev", place, outputs, probe.Api("http://127.0.0.1:9", {}))
    event = {"eventType": "Bounce", "mail": {"messageId": "m1"}}
    with tried._listening() as read:
        place.client("sns").publish(TopicArn=topic, Message=json.dumps(event))
        assert read() == [event]
    assert "QueueUrls" not in place.client("sqs").list_queues()
    assert place.client("sns").list_subscriptions()["Subscriptions"] == []


def test_eventbridge_takes_every_schedule(moto: Stack) -> None:
    events = boto3.client("events", region_name=REGION)
    settings = json.loads((BASE_DIR / "zappa_settings.json").read_text())["base"]["events"]
    schedules = [event["expression"] for event in settings if "expression" in event]
    assert len(schedules) > 3
    for number, expression in enumerate(schedules):
        events.put_rule(Name=f"rule-{number}", ScheduleExpression=expression)
    rules = events.list_rules()["Rules"]
    assert [rule["ScheduleExpression"] for rule in rules] == schedules
