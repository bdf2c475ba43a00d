"""Signing in, renewing and ending a session, against the embedded user pool."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from botocore.stub import Stubber

from accounts.cognito import client as cognito_client
from accounts.models import Account
from config import aws
from config.stack import stack
from tests.accounts_helpers import api, log_in, new_email, problem, sign_up, subjects_mailed

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_pool")]


def refresh(token: Any) -> Any:
    return api.post("/auth/refresh", {"refreshToken": token})


def test_wrong_password_and_unknown_address_are_answered_alike() -> None:
    person = sign_up("marta")
    answers = [log_in(person.email, "not-her-password"), log_in(new_email("nobody"))]
    assert {problem(answer) for answer in answers} == {(401, "INVALID_CREDENTIALS")}
    bodies = [{k: v for k, v in a.json().items() if k != "requestId"} for a in answers]
    assert bodies[0] == bodies[1]
    assert list(answers[0].headers) == list(answers[1].headers)


def test_a_refresh_token_gives_new_tokens_that_work() -> None:
    person = sign_up("paulo")
    answer = refresh(person.refresh_token)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) >= {"accessToken", "idToken", "tokenType", "expiresIn"}
    assert api.get("/profile", token=body["accessToken"]).status_code == 200


def test_logout_ends_the_session_and_may_be_repeated() -> None:
    person = sign_up("rita")
    for _ in range(2):
        answer = api.post("/auth/logout", {"refreshToken": person.refresh_token})
        assert (answer.status_code, answer.content) == (204, b"")
    assert problem(refresh(person.refresh_token)) == (401, "INVALID_REFRESH_TOKEN")


def test_logout_ends_the_access_tokens_of_that_session_alone() -> None:
    person = sign_up("sofia")
    other = log_in(person.email).json()
    renewed = refresh(person.refresh_token).json()["accessToken"]
    for _ in range(3):
        api.post("/auth/logout", {"refreshToken": person.refresh_token})
    for token in (person.token, renewed):
        assert problem(api.get("/profile", token=token)) == (401, "NOT_AUTHENTICATED")
    assert api.get("/profile", token=other["accessToken"]).status_code == 200
    assert refresh(other["refreshToken"]).status_code == 200


def test_ended_sessions_are_remembered_as_long_as_their_tokens_last() -> None:
    person = sign_up("teodoro")
    start = datetime.now(UTC)
    tokens = [log_in(person.email).json()["refreshToken"] for _ in range(3)]

    def ended(after: timedelta, token: str) -> int:
        with time_machine.travel(start + after, tick=False):
            assert api.post("/auth/logout", {"refreshToken": token}).status_code == 204
        account = Account.of(person.id)
        assert account is not None
        return len(account.ended or ())

    assert ended(timedelta(0), tokens[0]) == 1
    assert ended(timedelta(minutes=59), tokens[1]) == 2
    assert ended(timedelta(minutes=62), tokens[2]) == 2


def test_logout_with_a_token_that_never_was_one_is_no_mistake() -> None:
    assert api.post("/auth/logout", {"refreshToken": "no-such-token"}).status_code == 204


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "x" * 8192])
def test_a_refresh_token_that_never_was_one_is_401(token: str) -> None:
    assert problem(refresh(token)) == (401, "INVALID_REFRESH_TOKEN")


@pytest.mark.parametrize("token", ["", "with space", "x" * 8193, 5, None, {}])
def test_a_refresh_token_of_the_wrong_shape_is_400(token: Any) -> None:
    assert problem(refresh(token)) == (400, "VALIDATION_ERROR")


def test_an_access_token_cannot_be_used_to_refresh() -> None:
    assert problem(refresh(sign_up("nuno").token)) == (401, "INVALID_REFRESH_TOKEN")


def test_a_rotated_refresh_token_is_handed_on_and_its_reuse_ends_that_session() -> None:
    """The embedded pool does not rotate: the request and the answers are AWS's model."""
    person = sign_up("simone")
    other = log_in(person.email).json()
    client = aws.client("cognito-idp")

    def asked(token: str) -> dict[str, str]:
        return {
            "ClientId": stack().client_id,
            "ClientSecret": cognito_client.client_secret(),
            "RefreshToken": token,
        }

    given = {
        "AccessToken": person.token,
        "IdToken": "id.jwt.1",
        "RefreshToken": f"rotated-{person.id}",
        "ExpiresIn": 3600,
        "TokenType": "Bearer",
    }
    with Stubber(client) as stub:
        stub.add_response(
            "get_tokens_from_refresh_token",
            {"AuthenticationResult": given},
            asked(person.refresh_token),
        )
        assert refresh(person.refresh_token).json() == {
            "accessToken": person.token,
            "idToken": "id.jwt.1",
            "refreshToken": given["RefreshToken"],
            "tokenType": "Bearer",
            "expiresIn": 3600,
        }
        for token in (person.refresh_token, given["RefreshToken"], "never-issued"):
            stub.add_client_error(
                "get_tokens_from_refresh_token",
                "RefreshTokenReuseException",
                expected_params=asked(token),
            )
            assert problem(refresh(token)) == (401, "INVALID_REFRESH_TOKEN")
        # The thief's own token, which was never sent twice, is good for nothing either.
        stub.add_response(
            "get_tokens_from_refresh_token",
            {"AuthenticationResult": given | {"RefreshToken": f"again-{person.id}"}},
            asked("the-thiefs"),
        )
        stub.add_response("revoke_token", {})
        assert problem(refresh("the-thiefs")) == (401, "INVALID_REFRESH_TOKEN")
        stub.assert_no_pending_responses()
    assert problem(api.get("/profile", token=person.token)) == (401, "NOT_AUTHENTICATED")
    assert subjects_mailed(person.email).count("A session was ended") == 2
    assert refresh(other["refreshToken"]).status_code == 200
    trail = api.get("/auth/activity", token=other["accessToken"]).json()["results"]
    assert [line["action"] for line in trail].count("refresh_token_reused") == 2


def test_cognito_being_busy_is_503_with_a_hint() -> None:
    client = aws.client("cognito-idp")
    with Stubber(client) as stub:
        stub.add_client_error("get_tokens_from_refresh_token", "TooManyRequestsException", "", 400)
        answer = refresh("any")
    assert problem(answer) == (503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1
