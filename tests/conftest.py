"""Fixtures of all tests: the table in process, unless a test asks for a server."""

import os
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader
from django.core.signals import setting_changed
from django.test.client import ClientHandler
from django.urls import clear_script_prefix
from moto import mock_aws

from accounts.models.account import account_cache
from config import aws
from config.aws import own
from config.stack import Stack, stack
from tests.accounts_google import google, google_alone  # noqa: F401  (fixtures)
from tests.bundles import (  # noqa: F401  (fixtures)
    ana,
    api,
    bundle,
    deployment,
    outputs,
    place,
    reminder,
    unpacked,
)
from tests.callers import Caller, make_learner
from tests.crashes import CRASH_POINTS
from tests.examples import tried  # noqa: F401  (the profiles of Hypothesis)
from tests.memory_table import MemoryTable
from tests.model_helpers import model, served  # noqa: F401  (fixtures)
from tests.permissions import calls_watched
from tests.queues import MemoryQueues
from tests.reminder_helpers import mailbox, marked  # noqa: F401  (fixtures)
from tests.servers import (  # noqa: F401  (fixtures)
    browser,
    chromium,
    dynamodb_local,
    dynamodb_local_url,
    embedded_aws,
    embedded_home,
    embedded_pool,
    home,
    service,
    using,
)
from tests.template import properties
from tests.wire import table_client


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints how many crash points were tried, also by tests in processes of their own."""
    reports = (report for of_outcome in terminalreporter.stats.values() for report in of_outcome)
    of_test = {
        report.nodeid: value
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == CRASH_POINTS
    }
    for test, points in sorted(of_test.items()):
        terminalreporter.write_line(f"{test.partition('::')[2]}: {points} {CRASH_POINTS}")
    if of_test:
        terminalreporter.write_line(f"{sum(of_test.values())} {CRASH_POINTS} in all")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Lets each process of pytest-xdist compile a part of the tests that the others find compiled.

    All would do all of them else, at once. What goes wrong here goes wrong again when it is
    collected, and is told then.
    """
    number = os.environ.get("PYTEST_XDIST_WORKER", "").lstrip("gw")
    if not number or session.config.args != session.config.getini("testpaths"):
        return
    count = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in sorted(Path(__file__).parent.glob("test_*.py"))[int(number) :: count]:
            with suppress(Exception):
                import_module(f"tests.{file.stem}")


# Groups that take longest, by their names: they are begun first, so that none is left to the end.
LONGEST = (
    *("package", "run", "dynamodb", "chromium", "killed", "lost"),
    *("test_parallel_devices", "test_torn_store", "test_changes_torn", "test_contributing"),
)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests of a file in one worker, which makes their fixtures once.

    The tests of DynamoDB Local, and of each named group, stay together too."""
    for item in items:
        if "dynamodb_local_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("dynamodb"))
        elif item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(_group_of(item), len(order)))


def _group_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    assert marker is not None
    return str(marker.args[0])


LONGEST_NAME = 120  # characters of a value in a test's name


def pytest_make_parametrize_id(val: object) -> str | None:
    """A short name for a value of megabytes. Each process of pytest-xdist tells the names of all
    tests, and the environment has that of the running one."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_NAME:
        return f"{val[: LONGEST_NAME // 2]!r} and {len(val) - LONGEST_NAME // 2} more"
    return None


@pytest.hookimpl(wrapper=True, trylast=True)  # inside of pytest-cov's own
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measures no coverage where a test wants none. In a worker of pytest-xdist pytest-cov 7 has
    begun twice, and the measure that it pauses there uncovers the other one."""
    if not item.get_closest_marker("no_cover"):
        return (yield)
    measure, threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]
    try:
        return (yield)
    finally:
        sys.settrace(measure)
        threading.settrace(threads)  # type: ignore[arg-type]


@pytest.fixture(scope="session", autouse=True)
def within_the_role() -> Iterator[None]:
    """No test passes on a call that the deployed function may not make."""
    with calls_watched():
        yield


@pytest.fixture(scope="session", autouse=True)
def service_models_read_once() -> Iterator[None]:
    """A session of botocore reads megabytes of JSON before its first call; ours share them."""
    loader = create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda _: loader)
        yield


@pytest.fixture(scope="session", autouse=True)
def middleware_made_once() -> Iterator[None]:
    """Django's test client makes the middleware anew for each client: WhiteNoise reads a hundred
    files. It is the same for all, until a test changes a setting."""
    make = ClientHandler.load_middleware
    kept: dict[str, Any] = {}

    def load(self: ClientHandler, is_async: bool = False) -> None:
        if not kept:
            make(self, is_async)
            kept.update(vars(self))
            kept.pop("enforce_csrf_checks")
        vars(self).update(kept)

    def forget(**_: Any) -> None:
        kept.clear()

    setting_changed.connect(forget)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientHandler, "load_middleware", load)
        yield
    setting_changed.disconnect(forget)


@pytest.fixture(scope="module")
def memory_table() -> MemoryTable:
    """The table of `moto_stack`, many times faster than moto's own DynamoDB."""
    return MemoryTable("table_name-of-tests")


@pytest.fixture(scope="module")
def memory_queues() -> MemoryQueues:
    """The queues of `moto_stack`."""
    return MemoryQueues()


@pytest.fixture(scope="module")
def moto_stack(memory_table: MemoryTable, memory_queues: MemoryQueues) -> Iterator[Stack]:
    """AWS in process; making a client anew for each test would take longer than the tests."""
    names = {each.name: f"{each.name}-of-tests" for each in fields(Stack)}
    names |= {"transfer_bucket": "transfers-of-tests", "media_bucket": "media-of-tests"}  # no "_"
    found = Stack(**names | {"region": "eu-west-1", "endpoint_url": None})
    with mock_aws(), using(found), memory_table.answering(table_client()):
        queue_client = own("sqs")
        assert queue_client is not None
        with memory_queues.answering(queue_client):
            yield found


@pytest.fixture
def table(moto_stack: Stack, memory_table: MemoryTable, memory_queues: MemoryQueues) -> None:
    """An empty table."""
    memory_table.clear()
    memory_queues.clear()
    account_cache.forget()


@pytest.fixture(scope="module")
def moto_pool(moto_stack: Stack) -> Iterator[Stack]:
    """A pool beside the table in process."""
    with new_pool() as found:
        yield found


@contextmanager
def new_pool() -> Iterator[Stack]:
    """Another pool of moto's in place of the one before, for a while."""
    client = aws.client("cognito-idp")
    made = client.create_user_pool(
        PoolName="parley",
        UsernameAttributes=["email"],
        Policies={"PasswordPolicy": properties("UserPool")["Policies"]["PasswordPolicy"]},
    )
    pool_id = made["UserPool"]["Id"]
    for group in ("staff", "admin"):
        client.create_group(UserPoolId=pool_id, GroupName=group)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PARLEY_USER_POOL_ID", pool_id)
            stack.cache_clear()
            yield stack()
    finally:
        stack.cache_clear()


@pytest.fixture
def pool(moto_pool: Stack, table: None) -> Any:
    """An empty pool and an empty table."""
    client = aws.client("cognito-idp")
    for user in client.list_users(UserPoolId=moto_pool.user_pool_id)["Users"]:
        client.admin_delete_user(UserPoolId=moto_pool.user_pool_id, Username=user["Username"])
    return client


@pytest.fixture
def queues(table: None, memory_queues: MemoryQueues) -> MemoryQueues:
    """The queues of long work, empty."""
    return memory_queues


@pytest.fixture
def maria(table: None) -> Caller:
    return make_learner("maria", timezone="Europe/Lisbon")


@pytest.fixture
def joao(table: None) -> Caller:
    return make_learner("joao")


@pytest.fixture(autouse=True, scope="session")
def no_rests() -> Iterator[None]:
    """Large transactions leave no room for others between them: there are none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("config.store.connection.BETWEEN_S", 0)
        yield


@pytest.fixture(autouse=True)
def no_stage() -> Iterator[None]:
    """A request through the gateway leaves its stage as the prefix of this thread's addresses."""
    yield
    clear_script_prefix()
