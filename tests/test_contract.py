"""The service against its own OpenAPI document: schemathesis tries every operation."""

import subprocess
from collections.abc import Iterator

import pytest
import requests

from config.stack import BASE_DIR
from tests.test_run import Run
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.server, pytest.mark.contract]

PASSWORD = "parley-demo-1"
EXAMPLES = 5  # for each operation and phase; the seed is fixed, so a failure comes again
UNLIMITED = " ".join(
    f"{name}=1000000/3600"
    for name in (
        "sign_up_source",
        "login_source",
        "mail_source",
        "refresh_source",
        "verify_email",
        "verify_email_here",
        "reset_confirm",
        "reset_confirm_here",
    )
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The running service with its demo accounts."""
    folder = tmp_path_factory.mktemp("contract")
    run = Run(folder / "home", folder / "said", PARLEY_LIMITS=UNLIMITED)
    try:
        run.wait_until_ready()
        yield run.url
    finally:
        run.stop(2)


def token(url: str, email: str) -> str:
    answer = requests.post(
        f"{url}/auth/login", json={"email": email, "password": PASSWORD}, timeout=PATIENCE_S
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["accessToken"])


@pytest.mark.parametrize(
    ("who", "paths"),
    [
        ("learner@parley.example", "."),
        ("staff@parley.example", "^/(scenarios|users|deliveries|jobs|reports)"),
    ],
)
def test_the_service_keeps_its_contract(service: str, who: str, paths: str) -> None:
    done = subprocess.run(
        [
            BASE_DIR / ".venv/bin/schemathesis",
            *("run", f"{service}/schema", "--checks", "all", "--no-color", "--seed", "20261121"),
            *("--max-examples", str(EXAMPLES), "--suppress-health-check", "all"),
            *("--include-path-regex", paths),
            *("--header", f"Authorization: Bearer {token(service, who)}"),
        ],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
