"""The process of the embedded AWS, run by the Python of its own virtual environment.

usage: python engine.py USERS_FILE

Every process that uses the engine holds a shared lock on USERS_FILE. The kernel drops a lock with
its process, however that ends. So once the engine gets the exclusive lock, nobody uses it: it saves
its state and ends. Nothing of the service is imported here.
"""

import copy
import fcntl
import functools
import importlib
import json
import os
import runpy
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

KEPT_MAILS = 500


def stop_when_unused(users_file: str) -> None:
    """Wait until no process uses the engine, then ask this one to save and end."""
    with open(users_file) as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait()  # keeps the lock to the end: newcomers wait for a new engine


def end_at_once() -> None:
    """Let hypercorn wait a moment for what it still answers, and not three seconds for connections
    that are only kept open: whoever had them has left."""
    importlib.import_module("hypercorn.config").Config.graceful_timeout = 0.2


def keep_mails() -> None:
    """Let the newest mails survive a restart. ministack 1.5.33 saves all of SES but them."""
    ses: Any = importlib.import_module("ministack.services.ses")
    get_state, load_state = ses.get_state, ses.load_persisted_state

    def get_state_with_mails() -> dict[str, Any]:
        mails = copy.deepcopy(ses._sent_emails)
        for records in mails._data.values():
            del records[:-KEPT_MAILS]
        return {**get_state(), "mails": mails}

    def load_state_with_mails(state: dict[str, Any]) -> None:
        load_state(state)
        ses._sent_emails.update(state.get("mails", {}))

    ses.get_state, ses.load_persisted_state = get_state_with_mails, load_state_with_mails


def answer_in_binary() -> None:
    """Let a patch name the media types that an API answers in binary.

    ministack 1.5.33 takes the patch by which Zappa adds `*/*` for a key of an object.
    """
    gateway: Any = importlib.import_module("ministack.services.apigateway_v1")
    apply = gateway._apply_patch
    prefix = "/binaryMediaTypes/"

    def apply_patch(api: Any, operations: list[dict[str, Any]]) -> Any:
        others = []
        for each in operations:
            if not each.get("path", "").startswith(prefix):
                others.append(each)
                continue
            media_type = each["path"].removeprefix(prefix).replace("~1", "/").replace("~0", "~")
            types = [t for t in api.get("binaryMediaTypes") or [] if t != media_type]
            api["binaryMediaTypes"] = types + [media_type] * (each["op"] == "add")
        return apply(api, others)

    gateway._apply_patch = apply_patch


def keep_headers() -> None:
    """Let mails keep the headers that they were sent with, which ministack 1.5.33 drops, and let
    `to` ask for those to one address: who reads all of thousands for one code takes long."""
    ses: Any = importlib.import_module("ministack.services.ses")
    ses_v2: Any = importlib.import_module("ministack.services.ses_v2")
    app: Any = importlib.import_module("ministack.app")
    handle, show = ses_v2.handle_request, app._handle_ses_messages_request

    async def handle_and_keep(method: str, path: str, headers: Any, body: Any, query: Any) -> Any:
        answer = await handle(method, path, headers, body, query)
        if method == "POST" and path.endswith("/outbound-emails") and answer[0] == 200:
            sent_id = json.loads(answer[2])["MessageId"]
            content = json.loads(body)["Content"]
            for record in reversed(ses._sent_emails_list()):
                if record["MessageId"] == sent_id:
                    record["Headers"] = content.get("Simple", {}).get("Headers", [])
                    break
        return answer

    async def show_whole(method: str, path: str, headers: Any, query: Any) -> Any:
        if (method, path) != ("GET", "/_ministack/ses/messages"):
            return await show(method, path, headers, query)
        wanted = "".join(query.get("to", [])).lower()
        whole = [
            record
            for records in ses._sent_emails._data.values()
            for record in records
            if not wanted or wanted in map(str.lower, addresses(record))
        ]
        answer = json.dumps({"messages": {"": whole}}).encode()
        return 200, {"Content-Type": "application/json"}, answer

    ses_v2.handle_request, app._handle_ses_messages_request = handle_and_keep, show_whole


def addresses(mail: dict[str, Any]) -> list[str]:
    return [address for kind in ("To", "CC", "BCC") for address in mail.get(kind) or []]


def verify_confirmed_addresses() -> None:
    """Let the right code verify the address too, as Cognito does and ministack 1.5.33 does not."""
    cognito: Any = importlib.import_module("ministack.services.cognito")
    confirm = cognito._confirm_sign_up

    def confirm_and_verify(data: dict[str, Any]) -> Any:
        answer = confirm(data)
        pool, _ = cognito._pool_for_client(data.get("ClientId"))
        user = cognito._resolve_user(pool, data.get("Username"))[0] if pool else None
        if user and answer[0] == 200:
            verified = [{"Name": "email_verified", "Value": "true"}]
            user["Attributes"] = cognito._merge_attributes(user["Attributes"], verified)
        return answer

    cognito._confirm_sign_up = confirm_and_verify


def mail_sign_in_codes() -> None:
    """Let USER_AUTH mail a code that signs in once; ministack 1.5.33 does so at its own page alone.

    A second step of the user is not looked at: our service has to.
    """
    cognito: Any = importlib.import_module("ministack.services.cognito")
    initiate, respond = cognito._admin_initiate_auth, cognito._admin_respond_to_auth_challenge
    refused = cognito.error_response_json

    def mail_code(data: dict[str, Any]) -> Any:
        if data.get("AuthFlow") != "USER_AUTH":
            return initiate(data)
        pool, client_id = cognito._user_pools[data["UserPoolId"]], data["ClientId"]
        flows = pool["_clients"][client_id].get("ExplicitAuthFlows", [])
        if (
            "ALLOW_USER_AUTH" not in flows
            or "EMAIL_OTP" not in cognito._available_first_auth_factors(pool)
        ):
            return refused("InvalidParameterException", "The flow is not enabled.", 400)
        user, error = cognito._resolve_user(pool, data["AuthParameters"]["USERNAME"])
        if error:
            return cognito._hidden_user_error(pool, client_id, error)
        if not user.get("Enabled", True) or user["UserStatus"] == "EXTERNAL_PROVIDER":
            return refused("NotAuthorizedException", "User is disabled.", 400)
        if user["UserStatus"] == "UNCONFIRMED":
            return refused("UserNotConfirmedException", "User is not confirmed.", 400)
        token, session = cognito._create_challenge_session(
            data["UserPoolId"], client_id, user["Username"]
        )
        session["mailed_code"] = f"{secrets.randbelow(10**8):08}"
        attributes = cognito._attr_list_to_dict(user["Attributes"])
        cognito._send_email_otp(pool, user["Username"], attributes, session["mailed_code"])
        return cognito.json_response(
            {"ChallengeName": "EMAIL_OTP", "Session": token, "ChallengeParameters": {}}
        )

    def take_code(data: dict[str, Any]) -> Any:
        if data.get("ChallengeName") != "EMAIL_OTP":
            return respond(data)
        session, error = cognito._get_challenge_session(data["Session"])
        if error or "mailed_code" not in session:
            return refused("NotAuthorizedException", "Invalid session for the user.", 400)
        if data["ChallengeResponses"]["EMAIL_OTP_CODE"] != session["mailed_code"]:
            return refused("CodeMismatchException", "Invalid code.", 400)
        del cognito._challenge_sessions[data["Session"]]
        user, _ = cognito._resolve_user(
            cognito._user_pools[data["UserPoolId"]], session["username"]
        )
        result = cognito._build_auth_result(data["UserPoolId"], data["ClientId"], user)
        return cognito.json_response({"AuthenticationResult": result})

    cognito._admin_initiate_auth, cognito._admin_respond_to_auth_challenge = mail_code, take_code


def refuse_second_identities() -> None:
    """Let a stack make no identity that is there, as CloudFormation and unlike ministack 1.5.33."""
    ses: Any = importlib.import_module("ministack.services.ses_v2")
    provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
    handlers = provisioners._RESOURCE_HANDLERS["AWS::SES::EmailIdentity"]
    create = handlers["create"]

    def create_new(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        name = props["EmailIdentity"]
        if name in ses._identities:
            kind = "AWS::SES::EmailIdentity"
            raise ValueError(f"Resource of type '{kind}' with identifier '{name}' already exists.")
        return create(logical_id, props, stack_name)

    handlers["create"] = create_new


def parse_conditions_once() -> None:
    """Let a query parse its condition once; ministack 1.5.33 does so for each item of a partition.

    With 5,000 cards that took four fifths of the time that a page of changes takes.
    """
    dynamodb: Any = importlib.import_module("ministack.services.dynamodb")
    for name in ("_tokenize", "_condition_syntax_error"):  # what they return is never changed
        setattr(dynamodb, name, functools.lru_cache(maxsize=1000)(getattr(dynamodb, name)))


def serve_the_pool_one_by_one() -> None:
    """Let the pool answer one call after the other.

    ministack 1.5.33 gives each call a thread, and walks the users while another one adds some: then
    it says that the user who was asked for does not exist, or that a code is wrong.
    """
    cognito: Any = importlib.import_module("ministack.services.cognito")
    turn = threading.RLock()
    for name in ("_run_idp_handler", "_oauth2_token", "_oauth2_idp_response"):
        setattr(cognito, name, _locked(getattr(cognito, name), turn))


def _locked(function: Callable[..., Any], turn: AbstractContextManager[Any]) -> Callable[..., Any]:
    def wait_and_call(*args: Any) -> Any:
        with turn:
            return function(*args)

    return wait_and_call


if __name__ == "__main__":
    users_file = sys.argv.pop(1)
    end_at_once()
    keep_mails()
    answer_in_binary()
    keep_headers()
    verify_confirmed_addresses()
    mail_sign_in_codes()
    refuse_second_identities()
    parse_conditions_once()
    serve_the_pool_one_by_one()
    threading.Thread(target=stop_when_unused, args=[users_file], daemon=True).start()
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
