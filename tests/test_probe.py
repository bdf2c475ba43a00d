"""`manage.py probe`: passes on a good stage, and tells each refusal with what to do about it."""

import io
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from botocore.exceptions import ClientError
from django.core.management import CommandError, call_command

from config.ops import cloudformation, probe, release
from config.ops.model_stand_in import listening
from tests.bundles import STAGE, Api
from tests.test_infrastructure import read

OUTPUTS = {
    "ConfigurationSet": "parley-dev",
    "CorsOrigins": "https://app.parley.example",
    "MailEventsTopicArn": "arn:aws:sns:eu-west-1:1:topic",
    "MailFrom": "parley@parley.example",
    "UserPoolId": "pool",
}
TOKENS = {"accessToken": "good", "refreshToken": "refresh"}
SECRET = "JBSWY3DPEHPK3PXP" * 2
GOOD = {
    "GET /health": (200, {"status": "ok"}),
    "GET /health/ready": (200, {"status": "ok"}),
    "POST /auth/signup": (201, {"userId": "l1"}),
    "POST /auth/login": (200, TOKENS | {"sessionToken": "s"}),
    "POST /auth/refresh": (200, TOKENS),
    "POST /auth/mfa/setup": (200, {"secret": SECRET}),
    "POST /auth/mfa/verify-setup": (200, {}),
    "POST /auth/mfa/verify": (200, TOKENS),
    "POST /decks": (201, {"id": "d1"}),
    "POST /flashcards": (201, {"id": "c1"}),
    "POST /flashcards/c1/reviews": (201, {}),
    "GET /profile": (200, {}),
    "DELETE /profile": (204, None),
    "OPTIONS /decks": (200, None),
}
# The alarms of the template, as AWS describes them.
NAMES = {"FunctionName": "parley-api-dev", "GlobalSecondaryIndexName": "gsi1"}
ALARMS = [
    {
        "Namespace": alarm["Namespace"],
        "MetricName": alarm["MetricName"],
        "Dimensions": [
            {"Name": one["Name"], "Value": NAMES.get(one["Name"], "parley")}
            for one in alarm.get("Dimensions", [])
        ],
    }
    for alarm in (
        one["Properties"]
        for one in read(cloudformation.WATCH_TEMPLATE)["Resources"].values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    )
]
QUIET = {"AWS/DynamoDB", "AWS/SES", "AWS/SQS", "Parley"}  # until something happens
FUNCTION = "arn:aws:lambda:eu-west-1:1:function:parley-api-dev"


class Stage:
    """A stage that answers as told, and an account around it that may refuse anything."""

    endpoint_url = None

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = dict(GOOD)
        self.refusals: dict[str, ClientError] = {}
        self.open = False
        self.cors = {"OPTIONS 200", "GET 200", "GET 401"}
        self.interrupted_at = ""
        self.outputs = dict(OUTPUTS)
        self.subscribed = ["arn:aws:sqs:eu-west-1:1:another", FUNCTION]
        self.has_production_access = True
        self.events = True
        self.swept_at: int | None = 1
        self.looks = 0
        self.alarms = ALARMS
        self.listed = [
            alarm
            for alarm in ALARMS
            if alarm["Namespace"] not in QUIET or alarm["MetricName"] == "SweepLag"
        ]
        self.calls: list[str] = []
        self.sent: list[str] = []
        self.url = ""

    # HTTP
    def answer(self, method: str, path: str, token: str) -> tuple[int, Any]:
        known = self.answers.get(f"{method} {path}", (200, {}) if self.open else (404, {}))
        guarded = path.startswith(("/decks", "/profile", "/flashcards")) and method != "OPTIONS"
        if guarded and token != "good" and not self.open:
            return 401, {"code": "NOT_AUTHENTICATED"}
        return known

    # AWS
    def client(self, service: str) -> "Stage":
        return self

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation.startswith(("_", "on_")):
            raise AttributeError(operation)

        def call(**arguments: Any) -> Any:
            self.calls.append(operation)
            if operation == self.interrupted_at:
                self.interrupted_at = ""
                raise KeyboardInterrupt
            if operation in self.refusals:
                raise self.refusals[operation]
            return getattr(self, f"on_{operation}", lambda **_: {})(**arguments)

        return call

    def on_send_email(self, Destination: Any, **_: Any) -> Any:  # noqa: N803
        self.sent.append(Destination["ToAddresses"][0])
        return {"MessageId": f"m{len(self.sent)}"}

    def on_get_account(self) -> Any:
        return {"ProductionAccessEnabled": self.has_production_access}

    def on_create_queue(self, **_: Any) -> Any:
        return {"QueueUrl": "queue"}

    def on_get_queue_attributes(self, **_: Any) -> Any:
        return {"Attributes": {"QueueArn": "arn:aws:sqs:eu-west-1:1:queue"}}

    def on_subscribe(self, **_: Any) -> Any:
        return {"SubscriptionArn": "arn:aws:sns:eu-west-1:1:topic:s"}

    def on_receive_message(self, **_: Any) -> Any:
        if not self.events:
            return {}
        kinds = {"bounce": "Bounce", "complaint": "Complaint"}
        return {
            "Messages": [
                {"Body": json.dumps({"eventType": kind, "mail": {"messageId": f"m{number}"}})}
                for number, to in enumerate(self.sent, 1)
                if (kind := kinds.get(to.partition("@")[0]))
            ]
        }

    def get_paginator(self, name: str) -> "Stage":
        return self

    def on_paginate(self, **arguments: Any) -> Any:
        if "TopicArn" in arguments:
            return [{"Subscriptions": [{"Endpoint": endpoint}]} for endpoint in self.subscribed]
        if "filterPattern" not in arguments:
            return [{"MetricAlarms": self.alarms}]
        self.looks += 1
        found = self.swept_at is not None and self.looks >= self.swept_at
        return [{"events": []}, {"events": [{"message": "SweepLag"}] if found else []}]

    def on_list_metrics(self, Namespace: str, MetricName: str, Dimensions: Any) -> Any:  # noqa: N803
        wanted = {"Namespace": Namespace, "MetricName": MetricName, "Dimensions": Dimensions}
        return {"Metrics": [one for one in self.listed if one == wanted]}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    found = Stage()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, body = found.answer(self.command, self.path, token)
            self.send_response(status)
            self.send_header("X-Request-Id", "r1")
            if self.headers.get("Origin") and f"{self.command} {status}" in found.cors:
                self.send_header("Access-Control-Allow-Origin", OUTPUTS["CorsOrigins"])
            text = b"" if body is None else json.dumps(body).encode()
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = do_OPTIONS = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    monkeypatch.setattr(probe, "_wait", lambda seconds: None)
    monkeypatch.setattr(probe, "EVENTS_WITHIN_S", 0.2)
    monkeypatch.setattr(probe, "SWEPT_WITHIN_S", 0.2)
    with listening(Handler) as found.url:
        yield found


def lines(stage: Stage) -> dict[str, probe.Line]:
    place: Any = stage
    run = probe.Probe("dev", place, stage.outputs, probe.Api(stage.url, {})).run()
    return {line.step: line for line in run}


def failed(stage: Stage) -> dict[str, probe.Line]:
    return {step: line for step, line in lines(stage).items() if line.state == "failed"}


def aws_refuses(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def test_a_good_stage_passes_every_step(stage: Stage) -> None:
    lines_told = lines(stage)
    assert {line.state for line in lines_told.values()} == {"ok"}, [*map(str, lines_told.values())]
    assert len(lines_told) == 19
    assert "silent until it happens" in lines_told["alarms"].answer
    assert not lines_told["alarms"].advice


def test_what_was_made_is_removed(stage: Stage) -> None:
    lines(stage)
    assert {"unsubscribe", "delete_queue"} <= set(stage.calls)
    stage.answers["DELETE /profile"] = (503, {"code": "SERVICE_UNAVAILABLE"})
    stage.calls.clear()
    assert lines(stage)["clean up"].state == "ok"
    assert "admin_delete_user" in stage.calls


def test_what_was_made_is_removed_after_a_failure_too(stage: Stage) -> None:
    stage.answers["POST /auth/login"] = (503, {"code": "SERVICE_UNAVAILABLE"})
    lines_told = lines(stage)
    assert lines_told["log in"].state == "failed"
    assert lines_told["study"].state == "skipped"
    assert (lines_told["clean up"].state, "admin_delete_user" in stage.calls) == ("ok", True)


@pytest.mark.parametrize(
    "answer", [(502, {"code": "UPSTREAM_FAILED"}), (201, {"id": "l1"}), (201, ["l1"])]
)
def test_a_user_is_removed_by_the_address_where_the_sign_up_failed_half_way(
    stage: Stage, answer: tuple[int, Any]
) -> None:
    stage.answers["POST /auth/signup"] = answer
    lines_told = lines(stage)
    assert lines_told["sign up"].state == "failed"
    assert (lines_told["clean up"].state, "admin_delete_user" in stage.calls) == ("ok", True)


def test_a_sign_up_that_made_nobody_leaves_nothing_to_remove(stage: Stage) -> None:
    stage.answers["POST /auth/signup"] = (429, {"code": "TOO_MANY_REQUESTS"})
    stage.refusals["admin_delete_user"] = aws_refuses("UserNotFoundException")
    assert lines(stage)["clean up"].answer == "the sign-up has left no user"


@pytest.mark.parametrize(
    ("operation", "deletions"),
    [
        ("admin_confirm_sign_up", 1),
        ("send_email", 1),
        ("receive_message", 1),
        ("admin_delete_user", 2),  # the removal itself
    ],
)
def test_what_was_made_is_removed_when_the_probe_is_interrupted(
    stage: Stage, operation: str, deletions: int
) -> None:
    stage.interrupted_at = operation
    stage.answers["DELETE /profile"] = (503, {"code": "SERVICE_UNAVAILABLE"})
    with pytest.raises(KeyboardInterrupt) as interruption:
        lines(stage)
    assert stage.calls.count("admin_delete_user") == deletions
    assert "the user is deleted" in interruption.value.__notes__[0]
    assert stage.calls.count("create_queue") == stage.calls.count("delete_queue")


def test_what_could_not_be_removed_is_told(stage: Stage) -> None:
    stage.answers["DELETE /profile"] = (503, {"code": "SERVICE_UNAVAILABLE"})
    stage.refusals["admin_delete_user"] = aws_refuses("InternalErrorException")
    line = failed(stage)["clean up"]
    assert "InternalErrorException" in line.answer
    assert "@simulator.amazonses.com in the pool's console" in line.advice


def test_what_could_not_be_removed_after_an_interruption_is_told_too(stage: Stage) -> None:
    stage.interrupted_at = "send_email"
    stage.answers["DELETE /profile"] = (503, {"code": "SERVICE_UNAVAILABLE"})
    stage.refusals["admin_delete_user"] = aws_refuses("InternalErrorException")
    with pytest.raises(KeyboardInterrupt) as interruption:
        lines(stage)
    assert "@simulator.amazonses.com in the pool's console" in interruption.value.__notes__[0]


def test_a_queue_is_removed_even_if_its_subscription_stays(stage: Stage) -> None:
    stage.refusals["unsubscribe"] = aws_refuses("AuthorizationError")
    assert "Who may" in failed(stage)["mail events"].advice
    assert "delete_queue" in stage.calls


@pytest.mark.parametrize(
    ("request_", "answer", "step", "advice"),
    [
        ("POST /auth/signup", (502, {"code": "SIGN_UP_REFUSED"}), "sign up", "may write email"),
        ("POST /auth/signup", (429, {"code": "TOO_MANY_REQUESTS"}), "sign up", "wait an hour"),
        ("POST /auth/login", (503, {"code": "SERVICE_UNAVAILABLE"}), "log in", "quota"),
        ("POST /auth/refresh", (503, {"code": "SERVICE_UNAVAILABLE"}), "refresh", "quota"),
        ("GET /profile", (401, {"code": "NOT_AUTHENTICATED"}), "gate: good token", "keys"),
        ("GET /health/ready", (503, {"code": "SERVICE_UNAVAILABLE"}), "health", "quota"),
        ("POST /flashcards", (500, {"code": "INTERNAL"}), "study", "log"),
        ("POST /auth/mfa/setup", (502, {"code": "UPSTREAM_FAILED"}), "second step", "log"),
        ("POST /auth/login", (200, TOKENS), "second step: sign in", ""),
        ("POST /auth/login", (200, {}), "log in", "operations.md"),
        ("POST /decks", (201, None), "study", "operations.md"),
        ("POST /auth/mfa/setup", (200, {"secret": 7}), "second step", "operations.md"),
    ],
)
def test_a_refusal_of_the_api_is_told_with_what_to_do(
    stage: Stage, request_: str, answer: tuple[int, Any], step: str, advice: str
) -> None:
    stage.answers[request_] = answer
    failures = failed(stage)
    assert advice in failures[step].advice
    assert failures[step].advice


@pytest.mark.parametrize(
    ("operation", "error", "step", "advice"),
    [
        (
            "send_email",
            aws_refuses("MessageRejected", "Email address is not verified."),
            "mail",
            "sandbox",
        ),
        ("send_email", aws_refuses("SendingPausedException", "Paused"), "mail", "console"),
        ("admin_confirm_sign_up", aws_refuses("TooManyRequestsException"), "confirm", "quota"),
        ("admin_confirm_sign_up", aws_refuses("AccessDeniedException"), "confirm", "Who may"),
        ("create_queue", aws_refuses("AccessDenied"), "mail events", "Who may"),
        ("paginate", aws_refuses("AccessDenied"), "alarms", "Who may"),
        ("paginate", aws_refuses("AuthorizationError"), "mail events: function", "Who may"),
        ("get_account", aws_refuses("AccessDeniedException"), "mail: sandbox", "Who may"),
    ],
)
def test_a_refusal_of_aws_is_told_with_what_to_do(
    stage: Stage, operation: str, error: ClientError, step: str, advice: str
) -> None:
    stage.refusals[operation] = error
    assert advice in failed(stage)[step].advice


def test_a_gate_that_lets_anybody_in_is_told(stage: Stage) -> None:
    stage.open = True
    stage.answers["GET /decks"] = (200, {})
    failures = failed(stage)
    assert "authorizer" in failures["gate: bad token"].advice
    assert failures["gate: no token"]


def test_answers_that_a_browser_may_not_read_are_told(stage: Stage) -> None:
    for status, step in (("GET 401", "gate: CORS"), ("GET 200", "gate: good token")):
        stage.cors = {"OPTIONS 200", "GET 200", "GET 401"} - {status}
        failures = failed(stage)
        assert failures.keys() == {step}
        assert "Access-Control-Allow-Origin" in failures[step].answer
        assert "CorsOrigins" in failures[step].advice


def test_a_stage_without_a_web_app_needs_no_cors(stage: Stage) -> None:
    stage.outputs["CorsOrigins"], stage.cors = "", set()
    lines_told = lines(stage)
    assert lines_told["gate: CORS"].state == "skipped"
    assert lines_told["gate: CORS"].answer == "the stage has no CorsOrigins"
    assert lines_told["gate: good token"].state == "ok"


def test_an_account_in_the_sandbox_is_told(stage: Stage) -> None:
    stage.has_production_access = False
    line = lines(stage)["mail: sandbox"]
    assert (line.state, "verified addresses only" in line.answer) == ("note", True)


def test_a_stage_that_does_not_answer_is_told(stage: Stage) -> None:
    place: Any = stage
    api = probe.Api("http://127.0.0.1:9", {})
    line = next(probe.Probe("dev", place, OUTPUTS, api).run())
    assert (line.step, line.state) == ("health", "failed")
    assert line.answer.startswith("no answer")
    assert "reached" in line.advice


def test_events_that_do_not_lead_to_the_function_are_told(stage: Stage) -> None:
    """A queue of the probe's own gets them all the same."""
    stage.subscribed.remove(FUNCTION)
    failures = failed(stage)
    assert failures.keys() == {"mail events: function"}
    assert "release again" in failures["mail events: function"].advice


def test_the_command_fails_with_the_steps_that_were_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Any = stage
    run = probe.Probe("dev", place, OUTPUTS, probe.Api(stage.url, {})).run
    monkeypatch.setattr(probe, "probe", lambda *_: run())
    stage.swept_at = None
    stage.answers["GET /health/ready"] = (503, {"code": "SERVICE_UNAVAILABLE"})
    output = io.StringIO()
    with pytest.raises(CommandError, match=r"^refused: health, schedule$"):
        call_command("probe", "dev", stdout=output)
    assert "ok       study: a card was made and reviewed\n" in output.getvalue()


def test_events_that_do_not_come_are_told(stage: Stage) -> None:
    stage.events = False
    line = failed(stage)["mail events"]
    assert "Bounce, Complaint" in line.answer
    assert "parley-dev" in line.advice
    assert "delete_queue" in stage.calls


def test_a_schedule_that_does_not_run_is_told(stage: Stage) -> None:
    stage.swept_at = None
    assert "EventBridge" in failed(stage)["schedule"].advice


def test_a_new_stage_gets_the_time_for_its_first_sweep(stage: Stage) -> None:
    stage.swept_at = 3
    assert lines(stage)["schedule"].state == "ok"
    assert stage.looks == 3


def test_an_alarm_whose_metric_is_not_there_is_told(stage: Stage) -> None:
    stage.listed = [one for one in stage.listed if one["MetricName"] != "Latency"]
    line = lines(stage)["alarms"]
    assert (line.state, "AWS/ApiGateway Latency" in line.answer) == ("note", True)


def test_a_stage_without_alarms_is_told(stage: Stage) -> None:
    stage.alarms = []
    assert "alarms" in failed(stage)


def test_the_lines_are_for_machines_too(stage: Stage) -> None:
    found = json.loads(probe.as_json([*lines(stage).values()]))
    assert found[0] == {
        "step": "health",
        "state": "ok",
        "answer": "the service, its table and its pool answer",
        "advice": "",
    }


@pytest.mark.server
@pytest.mark.xdist_group("package")
def test_the_probe_passes_on_the_embedded_stage(
    api: Api, place: release.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.process_variables().items():
        monkeypatch.setenv(name, value)
    output = io.StringIO()
    try:
        call_command("probe", STAGE, "--json", stdout=output)
    except CommandError as error:
        pytest.fail(f"{error}\n{output.getvalue()}")
    states = {line["step"]: line["state"] for line in json.loads(output.getvalue())}
    skipped = {step for step, state in states.items() if state == "skipped"}
    assert skipped == {"mail: sandbox", "mail events", "alarms"}
    assert {state for step, state in states.items() if step not in skipped} == {"ok"}
