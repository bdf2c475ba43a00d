"""The AWS resources of this process: the outputs of the stack that `provision` applied."""

import json
import os
from dataclasses import fields
from functools import cache
from pathlib import Path

from config.records import dataclass

BASE_DIR = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The folder with the state of a local run: `PARLEY_HOME`, by default `.parley` here."""
    return Path(os.environ.get("PARLEY_HOME") or BASE_DIR / ".parley").resolve()


@dataclass(frozen=True)
class Stack:
    """The outputs of `infrastructure.yaml` that the service uses, and the address of AWS.

    `endpoint_url` is the embedded AWS's address in local runs, and None for the real AWS.
    """

    region: str
    table_name: str
    user_pool_id: str
    client_id: str
    sign_up_client_id: str
    hosted_domain: str
    key_id: str
    mail_from: str
    configuration_set: str
    transfer_bucket: str
    media_bucket: str
    work_queue_url: str
    prompt_queue_url: str
    endpoint_url: str | None = None

    @property
    def hosted_ui(self) -> str:
        """The address of Cognito's own pages and of its OAuth endpoints."""
        host = f"{self.hosted_domain}.auth.{self.region}.amazoncognito.com"
        return self.endpoint_url or f"https://{host}"

    @property
    def issuer(self) -> str:
        """The `iss` of the pool's tokens (AWS: "Verifying a JSON web token")."""
        return f"https://cognito-idp.{self.region}.amazonaws.com/{self.user_pool_id}"


class StackUnknown(RuntimeError):
    """Neither the environment nor the local state folder names the stack's resources."""


@cache
def stack() -> Stack:
    """The stack of this process, read once.

    Each field comes from the variable `PARLEY_<FIELD>` (what a deployed function is given), else
    from `stack.json` in `home()` (what `provision` wrote for a local run). Raises StackUnknown
    when a field is in neither.
    """
    path = home() / "stack.json"
    values = json.loads(path.read_text()) if path.exists() else {}
    for field in fields(Stack):
        values[field.name] = os.environ.get(f"PARLEY_{field.name.upper()}") or values.get(
            field.name
        )
    values["region"] = values["region"] or os.environ.get("AWS_REGION")
    # botocore's own variable; the embedded AWS sets it for the functions it runs.
    values["endpoint_url"] = values["endpoint_url"] or os.environ.get("AWS_ENDPOINT_URL")
    missing = [k for k, v in values.items() if v is None and k != "endpoint_url"]
    if missing:
        raise StackUnknown(f"no value for {', '.join(missing)}: run `make run` once")
    return Stack(**values)
