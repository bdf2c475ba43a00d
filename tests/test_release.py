"""The stage on the embedded AWS released again, with its reminder sent meanwhile, and taken away.

The tests run in the order of the file, after those that use the stage.
"""

import dataclasses
import io
import json
import re
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command

from config.ops import release
from config.ops.mails import Mail
from config.ops.package import Bundle, BundleError, Target, configure
from tests.bundles import STAGE, Api, Deployment, Learner
from tests.waiting import PATIENCE_S, eventually

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("package")]


@pytest.fixture
def as_deployer(place: release.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.process_variables().items():
        monkeypatch.setenv(name, value)


def test_a_dry_run_tells_and_changes_nothing(api: Api, as_deployer: None) -> None:
    output = io.StringIO()
    call_command("deploy", STAGE, "--dry-run", stdout=output)
    assert "parley-dev: nothing to change\n" in output.getvalue()
    assert "parley-api-dev: update" in output.getvalue()


def test_a_new_key_goes_before_the_old_one(api: Api) -> None:
    def keys() -> Any:
        name = release.secret_key_name(STAGE)
        found = api.place.client("ssm").get_parameter(Name=name, WithDecryption=True)
        return found["Parameter"]["Value"].split()

    [first] = keys()
    release.rotate_secret_key(STAGE, api.place)
    second, kept = keys()
    assert kept == first
    assert second != first
    release.ensure_secret_key(STAGE, api.place)
    assert keys() == [second, first]


def test_a_broken_version_gives_way_to_the_one_before(
    api: Api,
    bundle: Bundle,
    outputs: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release, "CHECK_WITHIN_S", 1)
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(broken, "w") as package:
        package.writestr("config/__init__.py", "")
        package.writestr("config/lambda_handler.py", "raise RuntimeError('broken')")
    version = dataclasses.replace(bundle, zip=broken)
    told: list[str] = []

    def tell(line: str) -> None:
        """Gives the version before the time that it needs to answer."""
        told.append(line)
        if line.startswith("Going back"):
            monkeypatch.setattr(release, "CHECK_WITHIN_S", PATIENCE_S)

    with pytest.raises(release.ReleaseError, match="The version before answers again"):
        release.release(STAGE, api.place, version, outputs, target=Target.here(), progress=tell)
    assert "Going back to the version before" in told
    assert "parley-api-dev: update" in told
    assert api.send("GET", "/health").json() == {"status": "ok"}


def test_a_package_that_was_made_before_is_released_again(
    api: Api, deployment: Deployment, bundle: Bundle
) -> None:
    output = deployment.make("deploy", f"--package {bundle.zip}")
    assert "parley-dev: nothing to change" in output
    assert "Packaging" not in output
    assert f"dev answers at {api.base}" in output


def test_the_schedule_mails_the_reminder(api: Api, ana: Learner, reminder: Any) -> None:
    def found() -> list[Mail]:
        return [mail for mail in api.mails(ana.email) if mail.subject == reminder["title"]]

    [mail] = eventually(found)
    assert mail.sent_at >= datetime.fromisoformat(reminder["at"])
    [link] = re.findall(r"http://\S+/dev/unsubscribe/\S+", mail.text)
    page = requests.get(
        api.base + link.partition("/dev")[2],
        headers=api.headers | {"Accept": "text/html"},
        timeout=PATIENCE_S,
    )
    assert page.status_code == 200, page.text


def test_a_bounce_reaches_the_function(
    api: Api, ana: Learner, reminder: Any, outputs: dict[str, str]
) -> None:
    table = api.place.client("dynamodb")
    [row] = table.query(
        TableName=outputs["TableName"],
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={
            ":pk": {"S": f"LEARNER#{ana.id}"},
            ":sk": {"S": f"DELIVERY#{reminder['id']}"},
        },
    )["Items"]
    mail = {
        "messageId": row["message_id"]["S"],
        "destination": [ana.email],
        "tags": {"learner": [ana.id], "mail_id": [row["mail_id"]["S"]]},
    }
    event = {"eventType": "Bounce", "bounce": {"bounceType": "Permanent"}, "mail": mail}
    api.place.client("sns").publish(
        TopicArn=outputs["MailEventsTopicArn"], Message=json.dumps(event)
    )
    key = {"pk": {"S": f"LEARNER#{ana.id}"}, "sk": {"S": "SUPPRESSION"}}
    found = eventually(lambda: table.get_item(TableName=outputs["TableName"], Key=key).get("Item"))
    assert found["reason"]["S"] == "bounce"


def test_a_setting_without_its_output_is_told(bundle: Bundle, outputs: dict[str, str]) -> None:
    left = {name: value for name, value in outputs.items() if name != "RoleArn"}
    with pytest.raises(BundleError, match="no output 'RoleArn'"):
        configure(bundle, STAGE, {}, left)


def test_taking_a_stage_away_asks_first(as_deployer: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda question: "prod")
    with pytest.raises(CommandError, match="nothing was done"):
        call_command("deploy", STAGE, "--undo")


def test_a_stage_taken_away_leaves_its_data(
    api: Api, deployment: Deployment, outputs: dict[str, str]
) -> None:
    assert "parley-api-dev: undeploy" in deployment.make("undeploy", "--yes")
    with pytest.raises(release.ReleaseError, match="there is no API"):
        release.check(STAGE, api.place)
    functions = api.place.client("lambda").list_functions()["Functions"]
    assert release.function_name(STAGE) not in {each["FunctionName"] for each in functions}
    table = api.place.client("dynamodb").describe_table(TableName=outputs["TableName"])
    assert table["Table"]["TableStatus"] == "ACTIVE"
    assert release.plan(STAGE, api.place, {})[-1] == "parley-api-dev: make"
