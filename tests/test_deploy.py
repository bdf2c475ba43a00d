"""A stage on the embedded AWS: deployed, used over API Gateway's own URL, updated, taken away.

The tests run in the order of the file, in one process: a package is made and deployed once.
"""

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
import yaml
from django.core.management import CommandError, call_command
from ulid import ULID

from config import embedded, provisioning
from config.deployment import release
from config.deployment.bundle import Bundle, BundleError, Target, configure
from config.embedded.mails import mails
from config.stack import BASE_DIR, Stack
from tests.accounts_helpers import PASSWORD, new_email

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("package")]
STAGE = "dev"


@dataclass(frozen=True)
class Api:
    """The deployed API as its clients reach it."""

    place: release.Place
    base: str
    headers: dict[str, str]

    def send(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        headers = self.headers | {"Accept": "application/json"}
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


@pytest.fixture(scope="module")
def place(embedded_aws: Stack) -> release.Place:
    session = boto3.Session(
        embedded.CREDENTIALS, embedded.CREDENTIALS, region_name=provisioning.LOCAL_REGION
    )
    return release.Place(session, embedded_aws.endpoint_url)


@pytest.fixture(scope="module")
def outputs(place: release.Place) -> dict[str, str]:
    release.ensure_secret_key(STAGE, place)
    return provisioning.apply(
        place.client("cloudformation"),
        stage=STAGE,
        parameters={"ApiDomain": release.EMBEDDED_HOSTS},
        interval_s=0.1,
    )


@pytest.fixture(scope="module")
def api(place: release.Place, bundle: Bundle, outputs: dict[str, str]) -> Api:
    release.release(STAGE, place, bundle, outputs, target=Target.here())
    return Api(place, *place.address(release._api_id(STAGE, place), STAGE))


@pytest.fixture
def as_deployer(place: release.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)


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


def test_a_learner_signs_up_and_reviews_a_card(api: Api) -> None:
    email = new_email("maria")
    person = {"email": email, "password": PASSWORD, "firstName": "Maria", "lastName": "Sousa"}
    api.post("/auth/signup", person, status=201)
    url = str(api.place.endpoint_url)
    code = [mail.code for mail in mails(url, to=email) if mail.code][-1]
    api.post("/auth/verify-email", {"email": email, "code": code})
    token = api.post("/auth/login", {"email": email, "password": PASSWORD})["accessToken"]
    deck = api.post("/decks", {"name": "Na padaria"}, token=token, status=201)
    card = {"deckId": deck["id"], "front": "o pão", "back": "bread"}
    made = api.post("/flashcards", card, token=token, status=201)
    review = {
        "id": str(ULID()),
        "rating": "good",
        "reviewedAt": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "durationMs": 2300,
    }
    answer = api.post(f"/flashcards/{made['id']}/reviews", review, token=token, status=201)
    assert answer["card"]["front"] == "o pão"
    assert answer["card"]["dueAt"] > review["reviewedAt"]
    [logged] = api.send("GET", "/reviews", token=token).json()["results"]
    assert logged["id"] == review["id"]


def test_only_public_operations_answer_without_a_token(api: Api) -> None:
    found = list(operations())
    assert len(found) > 20
    for method, path, public in found:
        answer = api.send(method, path, {} if method != "GET" else None)
        closed = answer.status_code == 401 and answer.json()["code"] == "NOT_AUTHENTICATED"
        assert closed is not public, (method, path, answer.text)
        assert answer.status_code != 500, (method, path, answer.text)


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


def test_a_function_can_be_invoked_by_name_and_raw_code_cannot(api: Api) -> None:
    answer = api.invoke({"command": "config.readiness.check"})
    assert "FunctionError" not in answer, answer["Payload"].read()
    refused = api.invoke({"raw_command": "import os"})
    assert "raw Python" in refused["Payload"].read().decode()


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


def test_a_setting_without_its_output_is_told(bundle: Bundle, outputs: dict[str, str]) -> None:
    left = {name: value for name, value in outputs.items() if name != "RoleArn"}
    with pytest.raises(BundleError, match="no output 'RoleArn'"):
        configure(bundle, STAGE, {}, left)


def test_taking_a_stage_away_asks_first(as_deployer: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda question: "prod")
    with pytest.raises(CommandError, match="nothing was done"):
        call_command("deploy", STAGE, "--undo")


def test_a_stage_taken_away_leaves_its_data(
    api: Api, bundle: Bundle, outputs: dict[str, str]
) -> None:
    release.remove(STAGE, api.place, bundle, outputs)
    with pytest.raises(release.ReleaseError, match="there is no API"):
        release.check(STAGE, api.place)
    functions = api.place.client("lambda").list_functions()["Functions"]
    assert release.function_name(STAGE) not in {each["FunctionName"] for each in functions}
    table = api.place.client("dynamodb").describe_table(TableName=outputs["TableName"])
    assert table["Table"]["TableStatus"] == "ACTIVE"
    assert release.plan(STAGE, api.place, {})[-1] == "parley-api-dev: make"
