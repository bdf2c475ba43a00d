"""A stage on the embedded AWS and its package, made once by `make deploy` for all tests of them."""

import json
import os
import subprocess
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from config.ops import cloudformation, local_aws, release
from config.ops.mails import Mail, mails
from config.ops.package import Bundle, Target
from config.stack import BASE_DIR
from tests.accounts_helpers import PASSWORD, new_email
from tests.waiting import PATIENCE_S

STAGE = "dev"
ORIGIN = "https://app.parley.example"
AHEAD = timedelta(seconds=30)


@dataclass(frozen=True)
class Deployment:
    """A deployed stage: its place, its bundle, and the environment for further chores."""

    place: release.Environment
    bundle: Bundle
    environment: dict[str, str]

    def make(self, chore: str, *options: str) -> str:
        """Runs a `make` chore of the stage and returns its output."""
        command = ["make", "--no-print-directory", chore, f"STAGE={STAGE}"]
        done = subprocess.run(
            [*command, f"OPTIONS={' '.join(options)}"],
            cwd=BASE_DIR,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout


@pytest.fixture(scope="session")
def deployment(embedded_home: Path) -> Deployment:
    """Whoever uses it belongs to the xdist group "package": `build/` is there once."""
    endpoint_url = json.loads((embedded_home / "stack.json").read_text())["endpoint_url"]
    session = boto3.Session(
        local_aws.CREDENTIALS, local_aws.CREDENTIALS, region_name=cloudformation.LOCAL_REGION
    )
    place = release.Environment(session, endpoint_url)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    environment = ours | place.process_variables() | {"PARLEY_HOME": str(embedded_home)}
    into = BASE_DIR / "build" / STAGE
    zappa = BASE_DIR / ".uv" / f"zappa-{Target.here().python}" / "bin" / "zappa"
    made = Deployment(place, Bundle(into / f"parley-{STAGE}.zip", into / "app", zappa), environment)
    made.make("deploy", f"--parameter CorsOrigins={ORIGIN}")
    return made


@pytest.fixture(scope="session")
def bundle(deployment: Deployment) -> Bundle:
    """The package that was deployed."""
    return deployment.bundle


@pytest.fixture(scope="session")
def unpacked(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as Lambda would lay it out."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(bundle.zip) as package:
        package.extractall(folder)
    return folder


@dataclass(frozen=True)
class Api:
    """The deployed API as its clients reach it."""

    place: release.Environment
    base: str
    headers: dict[str, str]

    def send(
        self, method: str, path: str, body: Any = None, *, token: str = "", **named: str
    ) -> requests.Response:
        headers = self.headers | {"Accept": "application/json"} | named
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return requests.request(
            method, self.base + path, json=body, headers=headers, timeout=PATIENCE_S
        )

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


@pytest.fixture(scope="session")
def place(deployment: Deployment) -> release.Environment:
    return deployment.place


@pytest.fixture(scope="session")
def outputs(place: release.Environment) -> dict[str, str]:
    return cloudformation.outputs(place.client("cloudformation"), STAGE)


@pytest.fixture(scope="session")
def api(place: release.Environment) -> Api:
    return Api(place, *place.address(release.api_id(STAGE, place), STAGE))


@pytest.fixture(scope="session")
def ana(api: Api) -> Learner:
    email = new_email("ana")
    person = {"email": email, "password": PASSWORD, "firstName": "Ana", "lastName": "Sousa"}
    signed_up = api.post("/auth/signup", person, status=201)
    code = [mail.code for mail in api.mails(email) if mail.code][-1]
    proof = {"code": code, "verificationToken": signed_up["verificationToken"]}
    api.post("/auth/verify-email", {"email": email, **proof})
    token = api.post("/auth/login", {"email": email, "password": PASSWORD})["accessToken"]
    return Learner(signed_up["userId"], email, token)


@pytest.fixture(scope="session")
def reminder(api: Api, ana: Learner) -> Any:
    """One of half a minute ahead: the schedule mails it while other tests run."""
    at = instant(datetime.now(UTC) + AHEAD)
    body = {"kind": "once", "title": "Ligar à Inês", "at": at}
    return api.post("/reminders", body, token=ana.token, status=201)


def instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
