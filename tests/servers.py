"""Fixtures with the servers that tests run against. All listen on 127.0.0.1, on free ports.

Nothing here skips: a server that is not installed or does not start fails the tests that need it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from accounts import tokens
from accounts.cognito import sessions
from accounts.services import removal
from config import aws, http, stack
from config.ops import cloudformation, local_aws
from config.store import connection, items
from learning.services import imports
from tests.memory_table import MemoryTable
from tests.template import table_definition
from tests.waiting import PATIENCE_S
from tests.wire import table_client

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

DYNAMODB_LOCAL = stack.BASE_DIR / ".uv" / "dynamodb"
CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that all its pytest-xdist workers see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def using(found: stack.Stack, *, home: Path | None = None) -> Iterator[stack.Stack]:
    """Make `found` the stack of this process, for all of the service, for a while.

    `PARLEY_HOME` is `home` meanwhile, else an empty folder: what a local run has left in the
    checkout's own does not reach the tests.
    """
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as empty:
        patch.setenv("PARLEY_HOME", str(home or empty))
        for field, value in vars(found).items():
            name = f"PARLEY_{field.upper()}"
            patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
        be_patient(patch)
        patch.setenv(aws.CLIENT_SETTING, "own")  # whatever the environment says of proxies
        forget_clients()
        yield found
    forget_clients()


def be_patient(patch: pytest.MonkeyPatch) -> None:
    """Lets servers answer late. The service gives AWS seconds; the embedded one serves many tests,
    one call after the other, and takes long over some of them where the processors are busy."""
    for module in (aws, connection, sessions):
        patch.setattr(module, "READ_TIMEOUT_S", PATIENCE_S)
    patch.setattr(tokens, "KEYS_TIMEOUT_S", PATIENCE_S)
    for module in (removal, imports):
        patch.setattr(module, "WITHIN_S", PATIENCE_S)
    patch.setattr(http, "ANSWER_WITHIN_S", 4 * PATIENCE_S)


def forget_clients() -> None:
    """Drop the clients and outputs that the process keeps of its stack."""
    for kept in (stack.stack, aws.own, aws.session, aws._client, items.connection):
        kept.cache_clear()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the service."""
    return tmp_path_factory.mktemp("service") / "home"


@pytest.fixture(scope="session")
def service(home: Path) -> Iterator[str]:
    """The address of a running service with its embedded AWS, one for all tests in a browser."""
    from tests.test_run import Run

    run = Run(home, home.with_name("said"))
    try:
        run.wait_until_ready()
        yield run.url
    finally:
        run.stop(signal.SIGTERM)


def installed(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: apt install chromium chromium-driver")
    return found


@contextmanager
def browsing(profile: Path) -> Iterator["Chrome"]:
    """A browser without a window; its profile may be used again after its end."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = installed("chromium")
    for flag in (*CHROMIUM, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(installed("chromedriver")))
    driver.set_page_load_timeout(PATIENCE_S)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Chrome"]:
    """A browser for all tests in one. To start one takes longer than most tests in it."""
    with browsing(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def chromium(browser: "Chrome", service: Any) -> "Chrome":
    """The browser as a newcomer has it: one empty tab, nothing stored, nothing said."""
    before = browser.window_handles
    browser.switch_to.new_window("tab")
    after = browser.current_window_handle
    for tab in before:
        browser.switch_to.window(tab)
        browser.close()
    browser.switch_to.window(after)
    everything = {"origin": getattr(service, "url", service), "storageTypes": "all"}
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", everything)
    browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    return browser


@pytest.fixture(scope="session")
def embedded_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of the embedded AWS, provisioned, one for all workers of this run."""
    home = shared_folder(tmp_path_factory) / "parley"
    with local_aws.running(home) as endpoint_url:
        cloudformation.apply_locally(home, endpoint_url)
        yield home


@pytest.fixture(scope="module")
def embedded_aws(embedded_home: Path) -> Iterator[stack.Stack]:
    """The embedded AWS's stack. `config.stack.stack()` returns it during the module's tests."""
    found = stack.Stack(**json.loads((embedded_home / "stack.json").read_text()))
    with using(found, home=embedded_home):
        yield found


@pytest.fixture(scope="module")
def embedded_pool(embedded_aws: stack.Stack) -> Iterator[stack.Stack]:
    """The embedded AWS, but for its table, which is in this process: a call to it takes a tenth of
    the time. For tests of the pool and of mails; `embedded_aws` is for those of the table, and
    for other processes."""
    with MemoryTable(embedded_aws.table_name).answering(table_client()):
        yield embedded_aws


@pytest.fixture(scope="session")
def dynamodb_local_url() -> Iterator[str]:
    """DynamoDB Local, one per worker."""
    with running_dynamodb_local() as url:
        yield url


@contextmanager
def running_dynamodb_local() -> Iterator[str]:
    """The address of DynamoDB Local, which counts capacity and pages as AWS does."""
    python = DYNAMODB_LOCAL / "bin" / "python"
    if not python.exists():
        pytest.fail("DynamoDB Local is not installed: run `make test` once, it fetches it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = Path(__file__).parent / "dynamodb_local" / "serve.py"
    command = [python, serve, DYNAMODB_LOCAL / "engine", str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line == "ready\n":
                break
        else:
            pytest.fail(f"DynamoDB Local did not start:\n{''.join(said)}")
        yield f"http://127.0.0.1:{port}"
        process.stdin.close()


@pytest.fixture
def dynamodb_local(dynamodb_local_url: str) -> Iterator[stack.Stack]:
    """An empty table in DynamoDB Local."""
    with empty_table(dynamodb_local_url) as found:
        yield found


@contextmanager
def empty_table(dynamodb_local_url: str) -> Iterator[stack.Stack]:
    """An empty table of the template in DynamoDB Local. `config.store.items` uses it meanwhile.

    There is nothing but the table: no user pool, no key, no mail.
    """
    client = cloudformation.local_client("dynamodb", dynamodb_local_url)
    name = f"parley-{uuid4()}"
    client.create_table(TableName=name, **table_definition())
    nothing = {field.name: "none" for field in fields(stack.Stack)}
    only_table = nothing | {
        "region": cloudformation.LOCAL_REGION,
        "table_name": name,
        "endpoint_url": dynamodb_local_url,
    }
    with using(stack.Stack(**only_table)) as found:
        yield found
    client.delete_table(TableName=name)
