"""The process of the embedded AWS, run by the Python of its own virtual environment.

usage: python engine.py USERS_FILE

Every process that uses the engine holds a shared lock on USERS_FILE. The kernel drops a lock with
its process, however that ends. So once the engine gets the exclusive lock, nobody uses it: it saves
its state and ends. Nothing of the service is imported here.
"""

import copy
import fcntl
import importlib
import json
import os
import runpy
import signal
import sys
import threading
from typing import Any

KEPT_MAILS = 500


def stop_when_unused(users_file: str) -> None:
    """Wait until no process uses the engine, then ask this one to save and end."""
    with open(users_file) as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait()  # keeps the lock to the end: newcomers wait for a new engine


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


def keep_headers() -> None:
    """Let mails keep the headers that they were sent with. ministack 1.5.33 drops them."""
    ses: Any = importlib.import_module("ministack.services.ses")
    ses_v2: Any = importlib.import_module("ministack.services.ses_v2")
    app: Any = importlib.import_module("ministack.app")
    handle, show = ses_v2.handle_request, app._handle_ses_messages_request

    async def handle_and_keep(method: str, path: str, headers: Any, body: Any, query: Any) -> Any:
        answer = await handle(method, path, headers, body, query)
        if method == "POST" and path.endswith("/outbound-emails") and answer[0] == 200:
            sent_id = json.loads(answer[2])["MessageId"]
            content = json.loads(body)["Content"]
            for record in ses._sent_emails_list():
                if record["MessageId"] == sent_id:
                    record["Headers"] = content.get("Simple", {}).get("Headers", [])
        return answer

    async def show_with_headers(*request: Any) -> Any:
        answer = await show(*request)
        if answer is None or answer[0] != 200:
            return answer
        kept = [record for records in ses._sent_emails._data.values() for record in records]
        headers = {record["MessageId"]: record.get("Headers", []) for record in kept}
        shown = json.loads(answer[2])
        for records in shown["messages"].values():
            for record in records:
                record["Headers"] = headers.get(record["MessageId"], [])
        return *answer[:2], json.dumps(shown).encode()

    ses_v2.handle_request, app._handle_ses_messages_request = handle_and_keep, show_with_headers


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


if __name__ == "__main__":
    users_file = sys.argv.pop(1)
    keep_mails()
    keep_headers()
    verify_confirmed_addresses()
    refuse_second_identities()
    threading.Thread(target=stop_when_unused, args=[users_file], daemon=True).start()
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
