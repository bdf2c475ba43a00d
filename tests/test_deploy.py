"""A stage on the embedded AWS: deployed, used over API Gateway's own URL, updated, taken away.

The tests run in the order of the file, in one process: a package is made and deployed once. While
the schedule's minute passes, the stage is released again.
"""

import dataclasses
import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
import yaml
from cfnlint.api import lint_file
from django.core.management import CommandError, call_command
from ulid import ULID

from config import provisioning
from config.deployment import release
from config.deployment.bundle import Bundle, BundleError, Target, configure
from config.embedded.mails import Mail, mails
from config.stack import BASE_DIR
from tests import gateway
from tests.accounts_helpers import PASSWORD, new_email
from tests.bundles import ORIGIN, STAGE, Deployment

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("package")]

# Within two minutes: the minute's own schedule, and what is the embedded one's and the machine's.
MAILED_WITHIN_S = 120


@dataclass(frozen=True)
class Api:
    """The deployed API as its clients reach it."""

    place: release.Place
    base: str
    headers: dict[str, str]

    def send(
        self, method: str, path: str, body: Any = None, *, token: str = "", **named: str
    ) -> requests.Response:
        headers = self.headers | {"Accept": "application/json"} | named
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return requests.request(method, self.base + path, json=body, headers=headers, timeout=60)

    def post(self, path: str, body: Any = None, *, token: str = "", status: int = 200) -> Any:
        answer = self.send("POST", path, body, token=token)
        assert answer.status_code == status, answer.text
        return answer.json()

    def invoke(self, event: Any) -> Any:
        return self.place.client("lambda").invoke(
            FunctionName=release.function_name(STAGE), Payload=json.dumps(event)
        )

    def mails(self, to: str) -> list[Mail]:
        return mails(str(self.place.endpoint_url), to=to)


@dataclass(frozen=True)
class Learner:
    """Somebody who has signed up with the deployed API."""

    id: str
    email: str
    token: str


@pytest.fixture(scope="module")
def place(deployment: Deployment) -> release.Place:
    return deployment.place


@pytest.fixture(scope="module")
def outputs(place: release.Place) -> dict[str, str]:
    return provisioning.outputs(place.client("cloudformation"), STAGE)


@pytest.fixture(scope="module")
def api(place: release.Place) -> Api:
    return Api(place, *place.address(release._api_id(STAGE, place), STAGE))


@pytest.fixture(scope="module")
def maria(api: Api) -> Learner:
    email = new_email("maria")
    person = {"email": email, "password": PASSWORD, "firstName": "Maria", "lastName": "Sousa"}
    learner_id = api.post("/auth/signup", person, status=201)["userId"]
    code = [mail.code for mail in api.mails(email) if mail.code][-1]
    api.post("/auth/verify-email", {"email": email, "code": code})
    token = api.post("/auth/login", {"email": email, "password": PASSWORD})["accessToken"]
    return Learner(learner_id, email, token)


@pytest.fixture
def as_deployer(place: release.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)


def eventually(found: Callable[[], Any], within_s: float) -> Any:
    """What is found once it is there."""
    deadline = time.monotonic() + within_s
    while not (it := found()):
        assert time.monotonic() < deadline, "still not there"
        Event().wait(0.5)
    return it


def refused_by_the_gate(answer: requests.Response) -> bool:
    """Whether API Gateway itself says 401; Django names the path in its problems."""
    return answer.status_code == 401 and answer.json()["instance"].startswith("urn:uuid:")


# Values of path parameters: the first that a parameter's pattern takes.
VALUES = (str(ULID()), "el-mercado", "0" * 64)


def operations() -> Iterator[tuple[str, str, bool]]:
    """Method, path and whether it is public, of every operation of the agreed contract."""
    document = yaml.safe_load((BASE_DIR / "docs" / "openapi.yaml").read_text())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            named = path
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    pattern = parameter["schema"].get("pattern", ".*")
                    value = next(value for value in VALUES if re.fullmatch(pattern, value))
                    named = named.replace(f"{{{parameter['name']}}}", value)
            yield method.upper(), named, not operation.get("security")


def test_a_first_release_answers(api: Api) -> None:
    assert api.send("GET", "/health").json() == {"status": "ok"}
    assert api.send("GET", "/health/ready").json() == {"status": "ok"}


def test_a_learner_reviews_a_card(api: Api, maria: Learner) -> None:
    deck = api.post("/decks", {"name": "Na padaria"}, token=maria.token, status=201)
    card = {"deckId": deck["id"], "front": "o pão", "back": "bread"}
    made = api.post("/flashcards", card, token=maria.token, status=201)
    review = {
        "id": str(ULID()),
        "rating": "good",
        "reviewedAt": instant(datetime.now(UTC)),
        "durationMs": 2300,
    }
    path = f"/flashcards/{made['id']}/reviews"
    answer = api.post(path, review, token=maria.token, status=201)
    assert answer["card"]["front"] == "o pão"
    assert answer["card"]["dueAt"] > review["reviewedAt"]
    [logged] = api.send("GET", "/reviews", token=maria.token).json()["results"]
    assert logged["id"] == review["id"]


def instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


@pytest.fixture(scope="module")
def reminder(api: Api, maria: Learner) -> Any:
    """One of a few seconds ahead, and when it was made."""
    at = instant(datetime.now(UTC) + timedelta(seconds=20))
    body = {"kind": "once", "title": "Ligar à Inês", "at": at}
    return api.post("/reminders", body, token=maria.token, status=201)


def test_a_learner_sets_a_reminder(reminder: Any) -> None:
    assert reminder["nextAt"] == reminder["at"]


def test_public_operations_need_no_token_and_all_others_one(api: Api) -> None:
    found = list(operations())
    assert len(found) > 100
    for method, path, public in found:
        answer = api.send(method, path, {} if method != "GET" else None)
        assert refused_by_the_gate(answer) is not public, (method, path, answer.text)
        assert answer.status_code != 500, (method, path, answer.text)


def test_a_bad_token_opens_nothing(api: Api, maria: Learner) -> None:
    private = [(method, path) for method, path, public in operations() if not public]
    for token in (maria.token[:-4] + "AAAA", "a.b.c"):
        for method, path in private:
            answer = api.send(method, path, {} if method != "GET" else None, token=token)
            assert refused_by_the_gate(answer), (method, path, answer.text)


def test_a_good_token_opens_all_that_is_not_public(api: Api, maria: Learner) -> None:
    for method, path, public in operations():
        if method == "GET" and not public:
            answer = api.send(method, path, token=maria.token)
            assert answer.status_code in (200, 400, 403, 404), (path, answer.text)


def test_django_verifies_by_itself(api: Api) -> None:
    """As if somebody had found a way around the gate."""
    for headers in ({}, {"Authorization": "Bearer a.b.c"}):
        request = gateway.event("GET", "/decks", headers=headers)
        answer = json.loads(api.invoke(request)["Payload"].read())
        assert answer["statusCode"] == 401
        assert json.loads(answer["body"])["instance"] == "/dev/decks"


def test_the_gate_speaks_as_the_api_does(api: Api) -> None:
    answer = api.send("GET", "/decks", Origin=ORIGIN)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="parley"'
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    problem = answer.json()
    assert problem["code"] == "NOT_AUTHENTICATED"
    assert problem["instance"] == f"urn:uuid:{problem['requestId']}"
    assert problem["status"] == 401


def test_browsers_ask_before_they_send_without_a_token(api: Api) -> None:
    for path in ("/decks", "/auth/login", "/scenarios/el-mercado"):
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        answer = api.send("OPTIONS", path, **asked)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_pages_of_staff_and_files_are_none_of_the_gates_business(api: Api) -> None:
    for path, expected in (("/browse/login", 200), ("/browse/decks", 200), ("/static/none", 404)):
        answer = api.send("GET", path, Accept="text/html")
        assert answer.status_code == expected, (path, answer.text)


def test_the_api_is_throttled(api: Api, outputs: dict[str, str]) -> None:
    stage = api.place.client("apigateway").get_stage(
        restApiId=release._api_id(STAGE, api.place), stageName=STAGE
    )
    limits = stage["methodSettings"]["*/*"]
    assert limits["throttlingRateLimit"] == float(outputs["RequestsPerSecond"])
    assert limits["throttlingBurstLimit"] == int(outputs["RequestsAtOnce"])


def test_the_apis_template_has_nothing_that_cfn_lint_would_warn_of(
    bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "api.json"
    bundle.run_zappa(
        "template",
        STAGE,
        *("--lambda-arn", "arn:aws:lambda:eu-central-1:111122223333:function:parley-api-dev"),
        *("--role-arn", "arn:aws:iam::111122223333:role/parley-dev"),
        *("--output", str(path)),
    )
    assert lint_file(path) == []


def test_schedules_and_mail_events_lead_to_the_function(api: Api, outputs: dict[str, str]) -> None:
    events = api.place.client("events")
    wanted = json.loads((BASE_DIR / "zappa_settings.json").read_text())["base"]["events"]
    found = {
        rule["Name"].partition("parley-api-dev-")[2]: rule["ScheduleExpression"]
        for rule in events.list_rules(NamePrefix="parley-api-dev-")["Rules"]
    }
    assert found == {
        each["function"]: each["expression"] for each in wanted if "expression" in each
    }
    [subscription] = api.place.client("sns").list_subscriptions_by_topic(
        TopicArn=outputs["MailEventsTopicArn"]
    )["Subscriptions"]
    assert subscription["Endpoint"].endswith(":function:parley-api-dev")


def test_links_and_scripts_lead_through_the_stage(api: Api) -> None:
    page = requests.get(
        f"{api.base}/docs", headers=api.headers | {"Accept": "text/html"}, timeout=60
    )
    scripts = re.findall(r'<script[^>]+src="(/dev/static/[^"]+)"', page.text)
    assert scripts, page.text
    for script in scripts:
        found = requests.get(
            api.base + script.removeprefix("/dev"), headers=api.headers, timeout=60
        )
        assert found.status_code == 200, script


def test_the_function_has_the_stages_limits_and_role(api: Api, outputs: dict[str, str]) -> None:
    found = api.place.client("lambda").get_function_configuration(
        FunctionName=release.function_name(STAGE)
    )
    assert found["Role"] == outputs["RoleArn"]
    assert found["DeadLetterConfig"] == {"TargetArn": outputs["DeadLetterQueueArn"]}
    assert (found["MemorySize"], found["Timeout"]) == (1024, 60)
    variables = found["Environment"]["Variables"]
    assert variables["PARLEY_SECRET_KEY_PARAMETER"] == "/parley/dev/secret-key"
    assert "PARLEY_SECRET_KEY" not in variables
    assert variables["PARLEY_PUBLIC_URL"] == f"http://{api.headers['Host']}/dev"


def test_a_function_can_be_invoked_by_name_and_raw_code_cannot(api: Api) -> None:
    answer = api.invoke({"command": "config.readiness.check"})
    assert "FunctionError" not in answer, answer["Payload"].read()
    refused = api.invoke({"raw_command": "import os"})
    assert "raw Python" in refused["Payload"].read().decode()


def test_management_commands_run_in_the_function(api: Api) -> None:
    assert api.send("GET", "/scenarios").json()["results"] == []
    for command in ("load_content", f"create_staff {new_email('ines')} --admin"):
        answer = api.invoke({"manage": command})
        assert "FunctionError" not in answer, (command, answer["Payload"].read())
    assert len(api.send("GET", "/scenarios").json()["results"]) > 20


def test_a_long_task_runs_in_an_invocation_of_its_own(api: Api, maria: Learner) -> None:
    begun = api.post("/scheduler/optimize", token=maria.token, status=202)
    assert begun["status"] == "running"

    def ended() -> bool:
        found = api.send("GET", "/scheduler/optimize", token=maria.token).json()
        return bool(found["status"] == "tooFew")

    eventually(ended, 30)


def test_a_dry_run_tells_and_changes_nothing(api: Api, as_deployer: None) -> None:
    said = io.StringIO()
    call_command("deploy", STAGE, "--dry-run", stdout=said)
    assert "parley-dev: nothing to change\n" in said.getvalue()
    assert "parley-api-dev: update" in said.getvalue()


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
        package.writestr("config/handler.py", "raise RuntimeError('broken')")
    version = dataclasses.replace(bundle, zip=broken)
    told: list[str] = []
    with pytest.raises(release.ReleaseError, match="The version before answers again"):
        release.release(
            STAGE, api.place, version, outputs, target=Target.here(), progress=told.append
        )
    assert "Going back to the version before" in told
    assert "parley-api-dev: update" in told
    assert api.send("GET", "/health").json() == {"status": "ok"}


def test_a_package_that_was_made_before_is_released_again(
    api: Api, deployment: Deployment, bundle: Bundle
) -> None:
    said = deployment.make("deploy", f"--package {bundle.zip}")
    assert "parley-dev: nothing to change" in said
    assert "Packaging" not in said
    assert f"dev answers at {api.base}" in said


def test_the_schedule_mails_the_reminder(api: Api, maria: Learner, reminder: Any) -> None:
    def found() -> list[Mail]:
        return [mail for mail in api.mails(maria.email) if mail.subject == reminder["title"]]

    [mail] = eventually(found, MAILED_WITHIN_S)
    waited = mail.sent_at - datetime.fromisoformat(reminder["at"])
    assert timedelta() <= waited <= timedelta(seconds=MAILED_WITHIN_S)
    [link] = re.findall(r"http://\S+/dev/unsubscribe/\S+", mail.text)
    page = requests.get(
        api.base + link.partition("/dev")[2],
        headers=api.headers | {"Accept": "text/html"},
        timeout=60,
    )
    assert page.status_code == 200, page.text


def test_a_bounce_reaches_the_function(
    api: Api, maria: Learner, reminder: Any, outputs: dict[str, str]
) -> None:
    table = api.place.client("dynamodb")
    [row] = table.query(
        TableName=outputs["TableName"],
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={
            ":pk": {"S": f"LEARNER#{maria.id}"},
            ":sk": {"S": f"DELIVERY#{reminder['id']}"},
        },
    )["Items"]
    mail = {
        "messageId": row["message_id"]["S"],
        "destination": [maria.email],
        "tags": {"learner": [maria.id], "mail_id": [row["mail_id"]["S"]]},
    }
    event = {"eventType": "Bounce", "bounce": {"bounceType": "Permanent"}, "mail": mail}
    api.place.client("sns").publish(
        TopicArn=outputs["MailEventsTopicArn"], Message=json.dumps(event)
    )
    key = {"pk": {"S": f"LEARNER#{maria.id}"}, "sk": {"S": "SUPPRESSION"}}
    found = eventually(
        lambda: table.get_item(TableName=outputs["TableName"], Key=key).get("Item"), 30
    )
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
