"""A stage on the embedded AWS, deployed, and used over API Gateway's own URL.

The tests of it, here and in the next files, run in their order in one process: a package is made
and deployed once, and what a test does not need waits for the schedule's minutes.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from ulid import ULID

from config.ops import release
from config.ops.package import Bundle
from config.stack import BASE_DIR
from tests import gateway
from tests.accounts_helpers import new_email
from tests.bundles import ORIGIN, STAGE, Api, Learner, instant
from tests.contract import contract
from tests.waiting import PATIENCE_S, eventually

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("package")]


def refused_by_the_gate(answer: requests.Response) -> bool:
    """Whether API Gateway itself says 401; Django names the path in its problems."""
    return answer.status_code == 401 and answer.json()["instance"].startswith("urn:uuid:")


# Values of path parameters: the first that a parameter's pattern takes.
VALUES = (str(ULID()), "el-mercado", "0" * 64)


def operations() -> Iterator[tuple[str, str, bool]]:
    """Method, path and whether it is public, of every operation of the agreed contract."""
    for path, methods in contract()["paths"].items():
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


def test_a_learner_reviews_a_card(api: Api, ana: Learner) -> None:
    deck = api.post("/decks", {"name": "Na padaria"}, token=ana.token, status=201)
    card = {"deckId": deck["id"], "front": "o pão", "back": "bread"}
    made = api.post("/flashcards", card, token=ana.token, status=201)
    review = {
        "id": str(ULID()),
        "rating": "good",
        "reviewedAt": instant(datetime.now(UTC)),
        "durationMs": 2300,
    }
    path = f"/flashcards/{made['id']}/reviews"
    answer = api.post(path, review, token=ana.token, status=201)
    assert answer["card"]["front"] == "o pão"
    assert answer["card"]["dueAt"] > review["reviewedAt"]
    [logged] = api.send("GET", "/reviews", token=ana.token).json()["results"]
    assert logged["id"] == review["id"]


def test_a_learner_sets_a_reminder(reminder: Any) -> None:
    assert reminder["nextAt"] == reminder["at"]


def test_public_operations_need_no_token_and_all_others_one(api: Api) -> None:
    found = list(operations())
    assert len(found) > 100
    for method, path, public in found:
        answer = api.send(method, path, {} if method != "GET" else None)
        assert refused_by_the_gate(answer) is not public, (method, path, answer.text)
        assert answer.status_code != 500, (method, path, answer.text)


def test_a_bad_token_opens_nothing(api: Api, ana: Learner) -> None:
    private = [(method, path) for method, path, public in operations() if not public]
    for token in (ana.token[:-4] + "AAAA", "a.b.c"):
        for method, path in private:
            answer = api.send(method, path, {} if method != "GET" else None, token=token)
            assert refused_by_the_gate(answer), (method, path, answer.text)


def test_a_good_token_opens_all_that_is_not_public(api: Api, ana: Learner) -> None:
    for method, path, public in operations():
        if method == "GET" and not public:
            answer = api.send(method, path, token=ana.token)
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
        restApiId=release.api_id(STAGE, api.place), stageName=STAGE
    )
    limits = stage["methodSettings"]["*/*"]
    assert limits["throttlingRateLimit"] == float(outputs["RequestsPerSecond"])
    assert limits["throttlingBurstLimit"] == int(outputs["RequestsAtOnce"])


def test_the_apis_template_has_nothing_that_cfn_lint_would_warn_of(
    bundle: Bundle, tmp_path: Path
) -> None:
    from cfnlint.api import lint_file  # slow to load

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
        f"{api.base}/docs", headers=api.headers | {"Accept": "text/html"}, timeout=PATIENCE_S
    )
    scripts = re.findall(r'<script[^>]+src="(/dev/static/[^"]+)"', page.text)
    assert scripts, page.text
    for script in scripts:
        found = requests.get(
            api.base + script.removeprefix("/dev"), headers=api.headers, timeout=PATIENCE_S
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
    assert len(variables["PARLEY_SECRET_KEY"]) >= 50
    assert variables["PARLEY_CLIENT_SECRET"]
    assert variables["PARLEY_SIGN_UP_CLIENT_SECRET"]
    assert float(variables["PARLEY_DAY_USD"]) == 2
    assert found["KMSKeyArn"] == outputs["KeyArn"]
    assert variables["PARLEY_PUBLIC_URL"] == f"http://{api.headers['Host']}/dev"


def test_the_queues_lead_to_the_function_and_leave_runs_to_the_api(
    api: Api, outputs: dict[str, str]
) -> None:
    client = api.place.client("lambda")
    for queue, at_once in release.QUEUES.items():
        [mapping] = client.list_event_source_mappings(EventSourceArn=outputs[queue])[
            "EventSourceMappings"
        ]
        assert mapping["ScalingConfig"]["MaximumConcurrency"] == int(outputs[at_once])
        assert mapping["BatchSize"] == 1
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    allowed = client.get_function_recursion_config(FunctionName=release.function_name(STAGE))
    assert allowed["RecursiveLoop"] == "Allow"


def test_a_function_can_be_invoked_by_name_and_raw_code_cannot(api: Api) -> None:
    answer = api.invoke({"command": "config.health.check"})
    assert "FunctionError" not in answer, answer["Payload"].read()
    refused = api.invoke({"raw_command": "import os"})
    assert "raw Python" in refused["Payload"].read().decode()


def test_management_commands_run_in_the_function(api: Api) -> None:
    assert api.send("GET", "/scenarios").json()["results"] == []
    for command in ("load_content", f"create_staff {new_email('ines')} --admin"):
        answer = api.invoke({"manage": command})
        assert "FunctionError" not in answer, (command, answer["Payload"].read())
    assert len(api.send("GET", "/scenarios").json()["results"]) > 20


def test_long_work_is_done_by_way_of_its_queue(api: Api, ana: Learner) -> None:
    begun = api.post("/scheduler/optimize", token=ana.token, status=202)
    assert begun["status"] == "running"

    def ended() -> bool:
        optimization = api.send("GET", "/scheduler/optimize", token=ana.token).json()
        return bool(optimization["status"] == "tooFew")

    eventually(ended)
