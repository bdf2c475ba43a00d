"""The gate before the API: its open routes, and its verdict on tokens."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.tokens import authorize, key_set
from config import lambda_handler
from config.ops import public_routes, zappa_template
from config.problems import ServiceUnavailable
from config.stack import BASE_DIR, Stack
from tests.callers import accept_our_tokens, access_token
from tests.contract import contract

API = "arn:aws:execute-api:eu-central-1:111122223333:a1b2c3d4e5"
HEAVY = {"boto3", "botocore", "django", "pynamodb", "rest_framework", "werkzeug", "zappa"}


def asked(header: str) -> tuple[str, dict[str, str]]:
    """Who the authorizer says it is, and its one statement."""
    event = {"type": "TOKEN", "authorizationToken": header, "methodArn": f"{API}/dev/GET/decks"}
    answer = authorize(event, None)
    [statement] = answer["policyDocument"]["Statement"]
    return answer["principalId"], statement


@pytest.fixture
def pool(moto_stack: Stack) -> None:
    accept_our_tokens()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_good_token_opens_all_paths_of_its_stage_and_no_other(pool: None, scheme: str) -> None:
    assert asked(f"{scheme} {access_token('maria')}") == (
        "maria",
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{API}/dev/*"},
    )


@pytest.mark.parametrize("token", ["", "a.b.c", "Maria", "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_is_denied_everywhere(pool: None, token: str) -> None:
    who, statement = asked(f"Bearer {token}")
    assert (who, statement["Effect"], statement["Resource"]) == ("nobody", "Deny", f"{API}/dev/*")


@pytest.mark.parametrize(
    "changes", [{"exp": 1_700_000_000}, {"token_use": "id"}, {"iss": "x"}, {"client_id": "x"}]
)
def test_a_token_that_is_not_ours_or_not_any_longer_is_denied(
    pool: None, changes: dict[str, Any]
) -> None:
    assert asked(f"Bearer {access_token('maria', **changes)}")[1]["Effect"] == "Deny"


def test_another_scheme_is_denied(pool: None) -> None:
    assert asked(f"Basic {access_token('maria')}")[1]["Effect"] == "Deny"


def test_without_the_pools_keys_nobody_is_judged(
    pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable() -> Any:
        raise ServiceUnavailable

    monkeypatch.setattr(key_set(), "fetch", unreachable)
    monkeypatch.setattr(key_set(), "_keys", {})
    monkeypatch.setattr(key_set(), "_asked_at", None)
    with pytest.raises(ServiceUnavailable):
        asked(f"Bearer {access_token('maria')}")


def test_the_authorizer_is_cheap_and_can_call_nothing_that_a_role_allows() -> None:
    load = "import sys, accounts.tokens; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_the_entry_hands_the_question_to_what_zappas_settings_name(
    pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = json.loads((BASE_DIR / "zappa_settings.json").read_text())["base"]["authorizer"]
    settings = SimpleNamespace(AUTHORIZER_FUNCTION=named["function"])
    monkeypatch.setitem(sys.modules, "zappa_settings", settings)
    lambda_handler._authorizer.cache_clear()
    event = {
        "type": "TOKEN",
        "authorizationToken": f"Bearer {access_token('maria')}",
        "methodArn": f"{API}/dev/GET/decks",
    }
    assert lambda_handler.lambda_handler(event, None) == authorize(event, None)


@pytest.mark.slow
def test_what_is_open_is_what_the_contract_calls_public() -> None:
    public = {
        (method.upper(), path)
        for path, methods in contract()["paths"].items()
        for method, operation in methods.items()
        if not operation.get("security")
    }
    found = {(r.method, "/" + "/".join(r.words)) for r in public_routes.routes() if r.is_open}
    pages = {("GET", "/"), ("GET", "/docs"), ("GET", "/schema")}
    assert found == public | pages


def test_pages_with_sessions_of_their_own_and_files_are_open() -> None:
    opened = public_routes.open_methods()
    for word in ("browse", "static"):
        assert opened[word] == opened[f"{word}/{{proxy+}}"] == ["ANY"]


def test_the_front_page_is_open_and_the_mails_of_local_runs_are_no_route_of_a_stage() -> None:
    opened = public_routes.open_methods()
    assert opened[""] == ["GET", "HEAD"]
    assert [path for path in opened if path.startswith("mails")] == []


class Everyone(APIView):
    permission_classes = ()

    def get(self, request: Any, **_: str) -> Response:
        return Response()


class Learners(APIView):
    def get(self, request: Any, **_: str) -> Response:
        return Response()

    def post(self, request: Any, **_: str) -> Response:
        return Response()


def page(request: Any) -> HttpResponse:
    return HttpResponse()


def test_a_new_route_is_open_or_not_by_its_permission_classes(settings: Any) -> None:
    settings.ROOT_URLCONF = (
        path("news", Everyone.as_view()),
        path("news/<str:token>.txt", Everyone.as_view()),
        path("diary", Learners.as_view()),
        path("diary/page", Everyone.as_view(permission_classes=Learners.permission_classes)),
    )
    opened = public_routes.open_methods()
    assert {path for path in opened if path.split("/")[0] not in public_routes.OPEN_BELOW} == {
        "news",
        "news/{p1}",
    }
    assert opened["news"] == ["GET", "HEAD"]


def test_a_route_that_another_would_leave_open_is_refused(settings: Any) -> None:
    settings.ROOT_URLCONF = (
        path("news/<str:token>.txt", Everyone.as_view()),
        path("news/mine", Learners.as_view()),
    )
    with pytest.raises(public_routes.GateError, match="GET /news/mine would be left open"):
        public_routes.open_methods()


def test_a_page_of_which_nobody_has_said_who_may_see_it_is_refused(settings: Any) -> None:
    settings.ROOT_URLCONF = (path("page", page),)
    with pytest.raises(public_routes.GateError, match="/page is no view of the API"):
        public_routes.open_methods()


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        ("", None),
        ("https://app.parley.example", "'https://app.parley.example'"),
        ("https://app.parley.example http://localhost:3000", "'*'"),
    ],
)
def test_web_apps_may_read_the_gates_own_answers(origins: str, allowed: str | None) -> None:
    for answer in public_routes.answers(origins).values():
        header = "gatewayresponse.header.Access-Control-Allow-Origin"
        assert answer["ResponseParameters"].get(header) == allowed
        assert answer["body"]["status"] == int(answer["StatusCode"])
        assert "Access-Control-Allow-Credentials" not in str(answer)


def zappas() -> dict[str, Any]:
    """As much of Zappa's template as is built upon."""
    method = {
        "Type": "AWS::ApiGateway::Method",
        "Properties": {
            "HttpMethod": "ANY",
            "AuthorizationType": "CUSTOM",
            "AuthorizerId": {"Ref": "Authorizer"},
            "ResourceId": {"Ref": "ResourceAnyPathSlashed"},
        },
    }
    root = {"Fn::GetAtt": ["Api", "RootResourceId"]}
    at_root = {**method, "Properties": {**method["Properties"], "ResourceId": root}}
    return {"ANY0": at_root, "ANY1": method}


def methods_at(added: dict[str, Any], resource: Any) -> dict[str, str]:
    """How API Gateway guards each method that is added at a resource."""
    return {
        each["Properties"]["HttpMethod"]: each["Properties"]["AuthorizationType"]
        for each in added.values()
        if each["Type"] == "AWS::ApiGateway::Method"
        and each["Properties"]["ResourceId"] == resource
    }


def test_an_open_method_is_unguarded_and_its_neighbours_are_not() -> None:
    plan = {"open": {"auth/login": ["POST"]}, "answers": {}}
    added = zappa_template.additions(zappas(), plan)
    guards = {
        (found["Properties"]["ResourceId"].get("Ref"), found["Properties"]["HttpMethod"]): (
            found["Properties"]["AuthorizationType"],
            "AuthorizerId" in found["Properties"],
        )
        for found in added.values()
        if found["Type"] == "AWS::ApiGateway::Method"
    }
    everything = "ResourceAnyPathSlashed"
    assert guards == {
        ("PathAuthLogin", "POST"): ("NONE", False),
        ("PathAuthLogin", "OPTIONS"): ("NONE", False),
        ("PathAuthLogin", "ANY"): ("CUSTOM", True),
        (everything, "OPTIONS"): ("NONE", False),
        (None, "OPTIONS"): ("NONE", False),
    }
    assert added["PathAuthLogin"]["Properties"]["ParentId"] == {"Ref": "PathAuth"}


def test_the_root_is_opened_for_its_page_alone_and_keeps_zappas_guard_of_the_rest() -> None:
    added = zappa_template.additions(zappas(), {"open": {"": ["GET", "HEAD"]}, "answers": {}})
    root = {"Fn::GetAtt": ["Api", "RootResourceId"]}
    assert methods_at(added, root) == dict.fromkeys(("GET", "HEAD", "OPTIONS"), "NONE")
    assert not [each for each in added.values() if each["Type"] == "AWS::ApiGateway::Resource"]


def test_no_two_paths_have_one_name() -> None:
    plan = public_routes.plan({})
    added = zappa_template.additions(zappas(), plan)
    paths = {tuple(path.split("/")[:n]) for path in plan["open"] if path for n in range(1, 9)}
    made = [each for each in added.values() if each["Type"] == "AWS::ApiGateway::Resource"]
    assert len(made) == len(paths)


def test_the_open_routes_can_be_listed() -> None:
    output = io.StringIO()
    call_command("open_routes", stdout=output)
    lines = output.getvalue().splitlines()
    assert "POST       /auth/login" in lines
    assert not [line for line in lines if "/decks" in line]


def test_the_gate_knows_a_token_by_a_pattern_that_every_engine_reads_alike() -> None:
    """API Gateway does not say which engine it has: letters with inline flags are left out."""
    settings = json.loads((BASE_DIR / "zappa_settings.json").read_text())
    pattern = settings["base"]["authorizer"]["validation_expression"]
    assert "(?" not in pattern
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer "):
        assert re.fullmatch(pattern, f"{scheme} e30.e30.c2ln")
    for refused in ("Basic e30.e30.c2ln", "Bearer e30.e30", "Bearere30.e30.c2ln", "Bearer"):
        assert not re.fullmatch(pattern, refused)


def seen_by_a_script(headers: Mapping[str, str]) -> dict[str, str]:
    """What a page of another origin may read of an answer (WHATWG Fetch: "CORS-safelisted")."""
    found = {name.lower(): value for name, value in headers.items()}
    exposed = found.get("access-control-expose-headers", "").lower().split(", ")
    always = ("cache-control", "content-language", "content-length", "content-type", "expires")
    return {name: found[name] for name in (*always, *exposed) if name in found}


def through_the_gateway(headers: Mapping[str, str]) -> dict[str, str]:
    """The function's headers as API Gateway hands them on (AWS: "Important notes")."""
    remapped = {"WWW-Authenticate": "x-amzn-Remapped-WWW-Authenticate"}
    return {remapped.get(name, name): value for name, value in headers.items()}


@pytest.mark.parametrize(
    "origins", ["https://app.parley.example", "https://a.example https://b.example"]
)
def test_a_script_sees_the_same_of_either_refusal(origins: str, settings: Any) -> None:
    """Of the gate's own 401, and of the function's, whose challenge API Gateway renames."""
    settings.CORS_ALLOWED_ORIGINS = origins.split()
    origin = origins.split()[0]
    answer = Client().get("/decks", headers={"Origin": origin})
    by_function = seen_by_a_script(through_the_gateway(answer.headers))
    gate = public_routes.answers(origins)["UNAUTHORIZED"]
    parameters = gate["ResponseParameters"]
    assert all(re.fullmatch("'[^']+'", value) for value in parameters.values())
    by_gate = seen_by_a_script(
        {name.rpartition(".")[2]: value.strip("'") for name, value in parameters.items()}
    )
    assert answer.status_code == 401
    challenge = by_function.pop("x-amzn-remapped-www-authenticate")
    assert challenge == by_gate["www-authenticate"] == 'Bearer realm="parley"'
    assert by_function["content-type"] == by_gate["content-type"] == "application/problem+json"
    assert by_function["x-request-id"] == answer.json()["requestId"]
    assert gate["body"].keys() == answer.json().keys()
    assert gate["body"]["code"] == answer.json()["code"] == "NOT_AUTHENTICATED"
