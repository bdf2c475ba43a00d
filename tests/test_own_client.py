"""The choice between our own client and botocore's, and the way they load."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.client import BaseClient
from botocore.loaders import create_loader

from config import aws
from config.aws_json import AwsJson
from config.stack import BASE_DIR, Stack
from config.store.connection import connection
from tests.callers import make_learner
from tests.servers import forget_clients
from tests.test_flashcards import card_of, deck_of


@pytest.fixture
def deployed(moto_stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stack:
    """The environment of a function on Lambda."""
    for name in [name for name in os.environ if aws.ASKS_FOR_BOTOCORE.fullmatch(name)]:
        monkeypatch.delenv(name)
    monkeypatch.delenv(aws.CLIENT_SETTING)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return replace(moto_stack, endpoint_url=None)


def test_a_deployed_function_calls_by_our_own_client(deployed: Stack) -> None:
    assert aws.uses_own_client(deployed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ACCESS_KEY_ID", None),  # ECS, EKS, a profile, SnapStart
        ("AWS_SECRET_ACCESS_KEY", None),
        ("HTTPS_PROXY", "http://proxy"),
        ("https_proxy", "http://proxy"),
        ("ALL_PROXY", "http://proxy"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_ENDPOINT_URL", "https://elsewhere"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "https://elsewhere"),
        ("AWS_CONFIG_FILE", __file__),
        ("PARLEY_AWS_CLIENT", "botocore"),
    ],
)
def test_what_our_own_client_does_not_know_is_botocores(
    deployed: Stack, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    assert not aws.uses_own_client(deployed)


@pytest.mark.parametrize(
    "region", ["cn-north-1", "us-iso-east-1", "eusc-de-east-1", "us-gov-west-1"]
)
def test_regions_with_other_addresses_are_botocores(deployed: Stack, region: str) -> None:
    assert not aws.uses_own_client(replace(deployed, region=region))


def test_the_regions_are_those_that_botocore_finds_below_amazonaws_com() -> None:
    partitions = create_loader().load_data("partitions")["partitions"]
    for partition in partitions:
        for region in partition["regions"]:
            if re.fullmatch(r"\w+(-\w+)+-\d+", region):
                ours = bool(aws.REGIONS.fullmatch(region))
                assert ours == (partition["id"] == "aws"), region
    [ours] = [each for each in partitions if each["id"] == "aws"]
    assert ours["outputs"]["dnsSuffix"] == "amazonaws.com"


@pytest.mark.parametrize(
    ("endpoint_url", "served"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://localhost:8000", True),
        ("https://127.0.0.1:5000", False),
        ("http://aws.example.com", False),
    ],
)
def test_an_aws_on_this_machine_is_served_with_no_keys_or_proxies_asked(
    deployed: Stack, monkeypatch: pytest.MonkeyPatch, endpoint_url: str, served: bool
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    assert aws.uses_own_client(replace(deployed, endpoint_url=endpoint_url)) == served


def test_a_setting_that_names_no_client_is_refused(
    deployed: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(aws.CLIENT_SETTING, "boto")
    with pytest.raises(ValueError, match="PARLEY_AWS_CLIENT must be botocore or own"):
        aws.uses_own_client(deployed)


def test_only_what_is_on_the_way_of_a_learner_has_a_client_of_ours(moto_stack: Stack) -> None:
    assert isinstance(aws.own("dynamodb"), AwsJson)
    assert aws.own("kms") is None
    assert connection().connection.client is aws.own("dynamodb")


@pytest.mark.server
def test_the_service_runs_by_botocore_as_well(
    dynamodb_local: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(aws.CLIENT_SETTING, "botocore")
    forget_clients()
    assert isinstance(connection().connection.client, BaseClient)
    ana = make_learner("ana")
    deck_id = deck_of(ana)
    card_id = card_of(ana, deck_id)
    assert ana.get(f"/flashcards/{card_id}").json()["deckId"] == deck_id
    assert ana.delete(f"/decks/{deck_id}").status_code == 409
    connection().connection.client.close()
    forget_clients()


ORDERS = {
    "alone": "import config.store.items",
    "after botocore": "import botocore.session; import config.store.items",
    "before botocore": "import config.store.items; import botocore.session",
    "before boto3": "import config.store.items; import boto3",
}
CHECK = """
import sys
import botocore.exceptions, pynamodb.connection.base as base
from config.store import with_botocore
print(len([name for name in sys.modules if name.startswith("botocore.")]))
with_botocore()
assert base.ClientError is botocore.exceptions.ClientError
import botocore.client, botocore.session
assert botocore.client.ClientError is base.ClientError
assert base.get_session is botocore.session.get_session
for name in ("client", "config", "credentials", "endpoint", "hooks", "model", "session", "signers"):
    assert sys.modules["botocore." + name].__file__, name
    assert getattr(botocore, name) is sys.modules["botocore." + name]
client = base.Connection(region="eu-central-1").client
assert type(client).__name__ == "DynamoDB" and isinstance(client, botocore.client.BaseClient)
kms = botocore.session.get_session().create_client("kms", "eu-central-1")
assert kms.meta.region_name == "eu-central-1"
"""


@pytest.mark.parametrize("order", ORDERS)
def test_pynamodb_and_botocore_load_in_any_order(order: str) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    done = subprocess.run(
        [sys.executable, "-c", ORDERS[order] + "\n" + CHECK],
        cwd=BASE_DIR,
        env=os.environ | keys,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = int(done.stdout)
    assert loaded < 10 if order == "alone" else loaded > 40


def test_what_a_request_for_a_card_loads_has_no_client_of_botocores() -> None:
    program = """
import sys
import django
django.setup()
from django.urls import get_resolver
import accounts.authentication, accounts.tokens, config.lambda_handler
for part in get_resolver().url_patterns:
    if str(getattr(part, "urlconf_name", "")).startswith("learning"):
        part.url_patterns
from config.store.connection import connection
connection().connection.client
print(*sys.modules)
"""
    from tests.benchmarks.cold_start import ENVIRONMENT

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=BASE_DIR,
        env=ENVIRONMENT
        | {"DJANGO_SETTINGS_MODULE": "config.settings", "AWS_CONFIG_FILE": "/nowhere"}
        | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "pynamodb.connection.base" in loaded
    assert not {"boto3", "botocore.client", "botocore.session", "botocore.auth"} & loaded
