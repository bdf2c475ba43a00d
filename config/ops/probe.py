"""Tries a deployed stage as its users do, and says what to do about each refusal.

A throw-away learner signs up, is confirmed, logs in, turns on a second step, refreshes, studies a
card, and leaves. Mails go to SES's mailbox simulator. All that the probe makes, it removes.
"""

import http.client
import json
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pyotp
from botocore.exceptions import BotoCoreError, ClientError

from config.aws import error_code
from config.ops import cloudformation
from config.ops.release import Environment, api_id, function_name
from config.telemetry import NAMESPACE

State = Literal["ok", "note", "failed", "skipped"]
METRICS = json.loads((Path(__file__).parent / "metrics.json").read_text())["metrics"]
SIMULATOR = "simulator.amazonses.com"
FORGED = "e30.e30.c2ln"  # looks like a token
EVENTS_WITHIN_S = 60.0
SWEPT_WITHIN_S = 120.0
LOOK_EVERY_S = 5.0
CODE_STEP_S = 30  # RFC 6238
CLEAN_UP = "clean up"
LISTED_AFTER = "CloudWatch lists a new metric a quarter of an hour after its first value"

# Part of a step's name, a pattern of its refusal, and the advice. The first that fits counts.
ADVICE = [
    (
        "sign up",
        r"SIGN_UP_REFUSED",
        "Cognito takes no sign-ups from the app client `sign-up`: its secret must be that "
        "of the last release, it may write email, given_name and family_name, and the pool "
        "must allow self-registration. The template sets all three: release again",
    ),
    ("sign up", r"\b429\b", "your address has signed up too often: wait an hour"),
    (
        "",
        r"\b(503|429)\b|Throttl|TooManyRequests|LimitExceeded",
        "a quota of AWS's is used up: see 'Limits of AWS that matter' in docs/operations.md",
    ),
    (
        "mail",
        r"not verified",
        "SES does not know the sender yet: prove its domain (README, Deploy). In SES's sandbox the "
        "recipient must be verified too",
    ),
    ("mail", r"[Pp]aused", "SES has stopped the account's mail: see its console"),
    (
        "mail events",
        r"no event",
        "see the topic's policy, and the event destination of the configuration set parley-STAGE",
    ),
    (
        "mail events",
        r"not subscribed",
        "no bounce reaches the function: release again, so that Zappa subscribes it to the topic",
    ),
    (
        "gate",
        r"Access-Control",
        "browsers of the web app are kept out: release again with --parameter CorsOrigins=…",
    ),
    (
        "good token",
        r"\b40[13]\b",
        "the gate refuses a token of this pool: release again, so that it knows the pool's keys",
    ),
    ("bad token", r"\b200\b", "the API lets anybody in: the authorizer is missing, release again"),
    (
        "",
        r"AccessDenied|AuthorizationError",
        "the deployer's role lacks this right: see 'Who may deploy'",
    ),
    (
        "schedule",
        r"no sweep",
        "see the rule of reminders.tasks.send_due in EventBridge, and the function's log",
    ),
    ("", r"no answer", "the stage cannot be reached: see its address, and your connection"),
    (CLEAN_UP, "", "delete the user ADDRESS in the pool's console"),
    ("", r"\b5\d\d\b", "see the function's log by the request's id"),
]


class Refusal(Exception):
    """A step did not do what it should; the text is the answer."""


class Skip(Exception):
    """A step cannot be tried here; the text says why."""


class Note(Exception):
    """A step found nothing wrong, but something to know."""


@dataclass(frozen=True)
class Line:
    """The end of one step."""

    step: str
    state: State
    answer: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"\n         → {self.advice}" if self.advice else ""
        return f"{self.state:8} {self.step}: {self.answer}{advice}"


@dataclass(frozen=True)
class Answer:
    """A stage's answer to a request."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def body(self) -> dict[str, Any]:
        try:
            content = json.loads(self.text)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}


@dataclass(frozen=True)
class Api:
    """The stage's API at its own address."""

    base: str
    headers: Mapping[str, str]

    def send(
        self, method: str, path: str, body: Any = None, *, token: str = "", **named: str
    ) -> Answer:
        headers = {**self.headers, "Content-Type": "application/json", **named}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - our own API
            self.base + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:  # noqa: S310
                return Answer(answer.status, answer.read().decode(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(errors="replace"), dict(error.headers))
        except (OSError, http.client.HTTPException) as error:
            raise Refusal(f"no answer: {error}") from error

    def expect(self, status: int, method: str, path: str, *args: Any, **kwargs: Any) -> Answer:
        """The answer with this status. Raises Refusal for any other."""
        answer = self.send(method, path, *args, **kwargs)
        if answer.status != status:
            code = answer.body.get("code") or answer.text[:200]
            request_id = answer.headers.get("X-Request-Id", "none")
            raise Refusal(f"{method} {path}: {answer.status} {code} (request {request_id})")
        return answer


class Probe:
    """The steps, in order. Each may need what an earlier one has found."""

    def __init__(
        self, stage: str, place: Environment, outputs: Mapping[str, str], api: Api
    ) -> None:
        self.stage, self.place, self.outputs, self.api = stage, place, outputs, api
        self.email = f"success+{uuid4().hex[:12]}@{SIMULATOR}"
        self.password = secrets.token_urlsafe(18)
        self.asked_for = self.learner_id = self.token = self.refresh = self.secret = ""

    def run(self) -> Iterator[Line]:
        """Does each step that can be done. The account is deleted last, whatever has failed.

        It is deleted as well when somebody interrupts the probe, be it while it is being deleted.
        """
        try:
            for step, needs, act in self._steps():
                if needs and not getattr(self, needs):
                    yield Line(step, "skipped", "an earlier step failed")
                else:
                    yield self._tried(step, act)
        except BaseException as end:
            if self.asked_for:
                end.add_note(str(self._tried(CLEAN_UP, self.clean_up)))
            raise

    def _tried(self, step: str, act: Callable[[], str]) -> Line:
        try:
            return Line(step, "ok", act())
        except Skip as skip:
            return Line(step, "skipped", str(skip))
        except Note as note:
            return Line(step, "note", str(note))
        except Refusal as refusal:
            message = str(refusal)
        except ClientError as error:
            message = f"{error_code(error)}: {error.response.get('Error', {}).get('Message', '')}"
        except BotoCoreError as error:
            message = str(error)
        except (LookupError, TypeError, ValueError) as error:
            message = f"an answer of another shape than ours: {error!r}"
        return Line(step, "failed", message, self._advice(step, message))

    def _advice(self, step: str, message: str) -> str:
        for part, pattern, advice in ADVICE:
            if part in step and re.search(pattern, message):
                return advice.replace("STAGE", self.stage).replace("ADDRESS", self.email)
        return "see docs/operations.md, 'When something is wrong'"

    def _steps(self) -> list[tuple[str, str, Callable[[], str]]]:
        return [
            ("health", "", self.health),
            ("gate: no token", "", self.no_token),
            ("gate: bad token", "", self.bad_token),
            ("gate: CORS", "", self.cors),
            ("sign up", "", self.sign_up),
            ("confirm", "learner_id", self.confirm),
            ("log in", "learner_id", self.log_in),
            ("gate: good token", "token", self.good_token),
            ("refresh", "refresh", self.refresh_tokens),
            ("second step", "token", self.second_step),
            ("second step: sign in", "secret", self.sign_in_with_code),
            ("study", "token", self.study),
            ("mail", "", self.mail),
            ("mail: sandbox", "", self.sandbox),
            ("mail events: function", "", self.mail_events_lead_to_the_function),
            ("mail events", "", self.mail_events),
            ("schedule", "", self.schedule),
            ("alarms", "", self.alarms),
            (CLEAN_UP, "asked_for", self.clean_up),
        ]

    # The API and its gate

    def health(self) -> str:
        self.api.expect(200, "GET", "/health")
        self.api.expect(200, "GET", "/health/ready")
        return "the service, its table and its pool answer"

    def no_token(self) -> str:
        self.api.expect(401, "GET", "/decks")
        return "401"

    def bad_token(self) -> str:
        self.api.expect(401, "GET", "/decks", token=FORGED)
        return "401"

    def cors(self) -> str:
        origin = self._origin()
        if not origin:
            raise Skip("the stage has no CorsOrigins")
        for answer in self._preflight(origin), self._refused(origin):
            _check_readable(answer, origin)
        return f"{origin} may call, and may read refusals"

    def _origin(self) -> str:
        """A web app's origin that may call the stage, if there is one."""
        return self.outputs.get("CorsOrigins", "").split(" ")[0]

    def _preflight(self, origin: str) -> Answer:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        return self.api.expect(200, "OPTIONS", "/decks", **asked)

    def _refused(self, origin: str) -> Answer:
        return self.api.expect(401, "GET", "/decks", token=FORGED, Origin=origin)

    # A learner

    def sign_up(self) -> str:
        person = {"firstName": "Probe", "lastName": "Parley"}
        body = {"email": self.email, "password": self.password, **person}
        self.asked_for = self.email  # from now on there may be a user, whatever is answered
        self.learner_id = self.api.expect(201, "POST", "/auth/signup", body).body["userId"]
        return "201"

    def confirm(self) -> str:
        """In place of the code, which SES's simulator shows to nobody."""
        pool = self.place.client("cognito-idp")
        user = {"UserPoolId": self.outputs["UserPoolId"], "Username": self.email}
        pool.admin_confirm_sign_up(**user)
        proved = [{"Name": "email_verified", "Value": "true"}]
        pool.admin_update_user_attributes(**user, UserAttributes=proved)
        return "by the pool's administrator"

    def log_in(self) -> str:
        body = {"email": self.email, "password": self.password}
        tokens = self.api.expect(200, "POST", "/auth/login", body).body
        self.token, self.refresh = tokens["accessToken"], tokens["refreshToken"]
        return "200"

    def good_token(self) -> str:
        origin = self._origin()
        named = {"Origin": origin} if origin else {}
        answer = self.api.expect(200, "GET", "/profile", token=self.token, **named)
        if origin:
            _check_readable(answer, origin)
        return "200"

    def refresh_tokens(self) -> str:
        tokens = self.api.expect(200, "POST", "/auth/refresh", {"refreshToken": self.refresh}).body
        self.token = tokens["accessToken"]
        return "200"

    def second_step(self) -> str:
        asked = {"password": self.password}
        setup = self.api.expect(200, "POST", "/auth/mfa/setup", asked, token=self.token).body
        body = {"code": pyotp.TOTP(setup["secret"]).now()}
        self.api.expect(200, "POST", "/auth/mfa/verify-setup", body, token=self.token)
        self.secret = setup["secret"]
        return "turned on"

    def sign_in_with_code(self) -> str:
        body = {"email": self.email, "password": self.password}
        session = self.api.expect(200, "POST", "/auth/login", body).body.get("sessionToken")
        if not session:
            raise Refusal("the sign-in asked for no code")
        _wait(CODE_STEP_S - time.time() % CODE_STEP_S)  # Cognito takes a code once
        answer = {"sessionToken": session, "code": pyotp.TOTP(self.secret).now()}
        self.token = self.api.expect(200, "POST", "/auth/mfa/verify", answer).body["accessToken"]
        return "200"

    def study(self) -> str:
        deck = self.api.expect(201, "POST", "/decks", {"name": "Probe"}, token=self.token).body
        card = {"deckId": deck["id"], "front": "casa", "back": "house"}
        created = self.api.expect(201, "POST", "/flashcards", card, token=self.token).body
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        review = {"id": str(uuid4()), "rating": "good", "reviewedAt": at}
        path = f"/flashcards/{created['id']}/reviews"
        self.api.expect(201, "POST", path, review, token=self.token)
        return "a card was made and reviewed"

    def clean_up(self) -> str:
        """Deletes the account as its learner, else the user by the address, as the owner."""
        with suppress(Refusal):
            body = {"password": self.password}
            if self.token and self.api.send(
                "DELETE", "/profile", body, token=self.token
            ).status in (202, 204):
                return "the account is deleted"
        pool = self.place.client("cognito-idp")
        try:
            pool.admin_delete_user(UserPoolId=self.outputs["UserPoolId"], Username=self.email)
        except ClientError as error:
            if error_code(error) != "UserNotFoundException":
                raise
            return "the sign-up has left no user"
        return "the user is deleted; the account that is left goes after a week"

    # Mail

    def mail(self) -> str:
        self._send(self.email)
        return "SES took a mail to its mailbox simulator"

    def _send(self, to: str) -> str:
        text = {"Data": "A probe of Parley."}
        answer = self.place.client("sesv2").send_email(
            FromEmailAddress=self.outputs["MailFrom"],
            Destination={"ToAddresses": [to]},
            Content={"Simple": {"Subject": text, "Body": {"Text": text}}},
            ConfigurationSetName=self.outputs["ConfigurationSet"],
        )
        return str(answer["MessageId"])

    def sandbox(self) -> str:
        if self.place.endpoint_url:
            raise Skip("the embedded SES has no sandbox")
        if self.place.client("sesv2").get_account().get("ProductionAccessEnabled"):
            return "the account has production access"
        raise Note("in the sandbox: 200 mails a day, to verified addresses only (README, Deploy)")

    def mail_events_lead_to_the_function(self) -> str:
        pages = (
            self.place.client("sns")
            .get_paginator("list_subscriptions_by_topic")
            .paginate(TopicArn=self.outputs["MailEventsTopicArn"])
        )
        endpoints = {one["Endpoint"] for page in pages for one in page["Subscriptions"]}
        name = function_name(self.stage)
        if not any(endpoint.endswith(f":function:{name}") for endpoint in endpoints):
            raise Refusal(f"{name} is not subscribed to the topic")
        return "the topic leads to it"

    def mail_events(self) -> str:
        """Lets a queue of its own listen beside the function.

        The stage asks for bounces and complaints only: a mail that arrives is no news.
        """
        if self.place.endpoint_url:
            raise Skip("the embedded SES sends no events")
        with self._listening() as read:
            wanted = {
                self._send(f"bounce@{SIMULATOR}"): "Bounce",
                self._send(f"complaint@{SIMULATOR}"): "Complaint",
            }
            came: dict[str, set[str]] = {}
            deadline = time.monotonic() + EVENTS_WITHIN_S
            while time.monotonic() < deadline and not _all_came(wanted, came):
                for event in read():
                    message = event.get("mail", {}).get("messageId", "")
                    came.setdefault(message, set()).add(str(event.get("eventType")))
        missing = [kind for message, kind in wanted.items() if kind not in came.get(message, ())]
        if missing:
            raise Refusal(f"no event within {EVENTS_WITHIN_S:.0f} s: {', '.join(missing)}")
        return "a bounce and a complaint came"

    @contextmanager
    def _listening(self) -> Iterator[Callable[[], list[dict[str, Any]]]]:
        sqs, sns = self.place.client("sqs"), self.place.client("sns")
        topic = self.outputs["MailEventsTopicArn"]
        url = sqs.create_queue(QueueName=f"parley-{self.stage}-probe-{uuid4().hex[:8]}")["QueueUrl"]
        subscription = ""
        try:
            asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            arn = asked["Attributes"]["QueueArn"]
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _queue_policy(arn, topic)})
            subscription = sns.subscribe(
                TopicArn=topic,
                Protocol="sqs",
                Endpoint=arn,
                Attributes={"RawMessageDelivery": "true"},
                ReturnSubscriptionArn=True,
            )["SubscriptionArn"]

            def read() -> list[dict[str, Any]]:
                got = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=10)
                return [json.loads(message["Body"]) for message in got.get("Messages", [])]

            yield read
        finally:
            try:
                if subscription:
                    sns.unsubscribe(SubscriptionArn=subscription)
            finally:
                sqs.delete_queue(QueueUrl=url)

    # What runs by the clock, and what watches

    def schedule(self) -> str:
        """Looks two minutes back; a stage that is younger gets two minutes for its first sweep."""
        since = time.time() - SWEPT_WITHIN_S
        deadline = time.monotonic() + SWEPT_WITHIN_S
        while not self._swept_since(since):
            if time.monotonic() > deadline:
                raise Refusal(f"no sweep within {SWEPT_WITHIN_S:.0f} s")
            _wait(LOOK_EVERY_S)
        return "the sweep runs each minute"

    def _swept_since(self, instant: float) -> bool:
        pages = (
            self.place.client("logs")
            .get_paginator("filter_log_events")
            .paginate(
                logGroupName=f"/aws/lambda/{function_name(self.stage)}",
                startTime=int(instant * 1000),
                filterPattern='"SweepLag"',
            )
        )
        return any(page.get("events") for page in pages)

    def alarms(self) -> str:
        if self.place.endpoint_url:
            raise Skip("the embedded AWS has no alarms")
        client = self.place.client("cloudwatch")
        prefix = f"{cloudformation.watch_stack_name(self.stage)}-"
        pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
        alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
        if not alarms:
            raise Refusal(f"no alarm is named {prefix}…")
        unknown = [alarm for alarm in alarms if not _has_data(client, alarm)]
        silent = [_words(alarm) for alarm in unknown if _is_silent(alarm)]
        missing = [_words(alarm) for alarm in unknown if not _is_silent(alarm)]
        if missing:
            raise Note(f"no data yet for {', '.join(missing)}: {LISTED_AFTER}")
        told = f"; silent until it happens: {', '.join(silent)}" if silent else ""
        return f"{len(alarms)} alarms read metrics that are there{told}"


def probe(stage: str, place: Environment) -> Iterator[Line]:
    """Tries the deployed stage. Raises ReleaseError, ProvisioningError where there is none."""
    outputs = cloudformation.outputs(place.client("cloudformation"), stage)
    api = Api(*place.address(api_id(stage, place), stage))
    yield from Probe(stage, place, outputs, api).run()


def as_json(lines: list[Line]) -> str:
    """The lines for machines."""
    return json.dumps([asdict(line) for line in lines], indent=2)


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def _check_readable(answer: Answer, origin: str) -> None:
    """Raises Refusal if a browser would keep the answer from a page of this origin."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if headers.get("access-control-allow-origin") not in (origin, "*"):
        raise Refusal(f"no Access-Control-Allow-Origin for {origin}")


def _all_came(wanted: Mapping[str, str], came: Mapping[str, set[str]]) -> bool:
    return all(kind in came.get(message, ()) for message, kind in wanted.items())


def _queue_policy(queue: str, topic: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _has_data(client: Any, alarm: Mapping[str, Any]) -> bool:
    metrics = client.list_metrics(
        Namespace=alarm["Namespace"],
        MetricName=alarm["MetricName"],
        Dimensions=alarm.get("Dimensions", []),
    )["Metrics"]
    wanted = _dimensions(alarm)
    return any(_dimensions(metric) == wanted for metric in metrics)


def _dimensions(metric: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(one["Name"], one["Value"]) for one in metric.get("Dimensions", [])}


def _is_silent(alarm: Mapping[str, Any]) -> bool:
    """Whether the metric has no data until something happens. Of ours, the sweep alone tells all
    the time."""
    name = alarm["Namespace"], alarm["MetricName"]
    silent = {(one["namespace"], one["name"]) for one in METRICS if one["silent"]}
    return name in silent or (name[0] == NAMESPACE and name[1] != "SweepLag")


def _words(alarm: Mapping[str, Any]) -> str:
    return f"{alarm['Namespace']} {alarm['MetricName']}"
