"""docs/privacy.md: what it promises, the code keeps."""

import re
import time
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Activity, IssuedToken, KnownNetwork, Session
from accounts.models.head import JOURNAL_DAYS
from accounts.services.dormancy import FIRST, LAST
from accounts.services.mailed_code import LASTS
from config.ops import cloudformation
from config.stack import BASE_DIR, stack
from config.store import jobs
from learning.models.base import TOMBSTONE_S
from learning.models.practice import Report
from reminders.models import Delivery
from tests.accounts_helpers import api, log_in, sign_up
from tests.template import properties

DOCUMENT = (BASE_DIR / "docs" / "privacy.md").read_text()
WORDS = " ".join(DOCUMENT.split())
DAY_S = 86_400
HERE = "198.51.100.77"


def row(beginning: str) -> str:
    """The row of the table that begins so: how long it says."""
    [found] = [line for line in DOCUMENT.splitlines() if line.startswith(f"| {beginning}")]
    return found.split("|")[3].strip()


@pytest.mark.parametrize(
    ("what", "seconds"),
    [
        ("audit trail", Activity.KEPT_S),
        ("reports of turns", Report.KEPT_S),
        ("sign-ins", Session.KEPT_S),
        ("owners of refresh tokens", IssuedToken.KEPT_S),
        ("networks", KnownNetwork.KEPT.total_seconds()),
        ("mails", Delivery.KEPT_S),
        ("long jobs", jobs.KEPT.total_seconds()),
        ("changes for one's devices", JOURNAL_DAYS * DAY_S),
        ("things that one has made", TOMBSTONE_S),
    ],
)
def test_the_document_says_how_long_the_code_keeps(what: str, seconds: float) -> None:
    assert re.search(rf"\b{seconds / DAY_S:.0f} days\b", row(what))


def test_the_document_says_how_long_codes_files_and_warnings_last(settings: Any) -> None:
    assert f"{LASTS.seconds // 60} minutes" == row("a sign-in that waits")
    rules = properties("TransferBucket")["LifecycleConfiguration"]["Rules"]
    days = {rule["Id"]: rule.get("ExpirationInDays") for rule in rules}
    assert f"{days['departed']} days" == row("ids of deleted accounts")
    rules = properties("MediaBucket")["LifecycleConfiguration"]["Rules"]
    days |= {rule["Id"]: rule.get("ExpirationInDays") for rule in rules}
    assert days["media-in-transit"] == 1
    assert days["uploads-in-transit"] == days["exports-in-transit"] == 1
    assert f"{FIRST.days} and {LAST.days} days before the end" in WORDS
    assert settings.DORMANT_AFTER_DAYS == 3 * 365
    assert "three years after its last sign-in" in WORDS


def test_the_log_is_kept_as_long_as_the_document_says() -> None:
    logs = cloudformation.TEMPLATE.read_text().partition("\n  Logs:")[2]
    [(prod, others)] = re.findall(r"RetentionInDays: !If \[IsProduction, (\d+), (\d+)\]", logs)
    assert f"kept {others} days, on `prod` {prod}" in WORDS


def test_every_test_that_the_document_names_exists() -> None:
    sources = {path.name: path.read_text() for path in (BASE_DIR / "tests").glob("test_*.py")}
    named = set(re.findall(r"\btest_\w+(?:\.py)?", DOCUMENT))
    assert len(named) > 8
    missing = {
        name
        for name in named
        if name not in sources and not any(f"def {name}(" in source for source in sources.values())
    }
    assert missing == set()


@pytest.mark.server
@pytest.mark.usefixtures("embedded_aws")
def test_every_item_with_a_source_address_is_forgotten_in_time() -> None:
    petra = sign_up("petra", ip=HERE)
    log_in(petra.email, "not-the-password", ip=HERE)
    api.post("/auth/refresh", {"refreshToken": petra.refresh_token}, ip=HERE)
    api.post("/auth/login/code", {"email": petra.email}, ip=HERE)
    api.post("/auth/password/reset-request", {"email": petra.email}, ip=HERE)
    api.get("/profile/export", token=petra.token, ip=HERE)
    found = items_with(HERE)
    assert {item["kind"]["S"] for item in found} == {"activity", "login_session"}
    longest_s = timedelta(days=180).total_seconds()
    for item in found:
        left_s = int(item["expires_at"]["N"]) - time.time()
        assert 0 < left_s <= longest_s


def items_with(text: str) -> list[dict[str, Any]]:
    """All items of the table in which a text occurs."""
    client = cloudformation.local_client("dynamodb", str(stack().endpoint_url))
    pages = client.get_paginator("scan").paginate(TableName=stack().table_name)
    return [item for page in pages for item in page["Items"] if text in str(item)]


@pytest.mark.server
@pytest.mark.usefixtures("embedded_aws")
def test_the_log_has_neither_source_nor_address(caplog: pytest.LogCaptureFixture) -> None:
    quirina = sign_up("quirina", ip=HERE)
    log_in(quirina.email, "not-the-password", ip=HERE)
    api.get("/profile", token=quirina.token, ip=HERE)
    written = str([vars(record) for record in caplog.records])
    assert "learner" in written
    for personal in (HERE, quirina.email, quirina.id, "Quirina", "Sousa"):
        assert personal not in written


@pytest.mark.server
@pytest.mark.usefixtures("embedded_aws")
def test_the_api_sets_no_cookie() -> None:
    rute = sign_up("rute")
    answers = [log_in(rute.email), api.get("/profile", token=rute.token), api.get("/scenarios")]
    assert all(not answer.cookies for answer in answers)


@pytest.mark.parametrize("path", ["/", "/browse/login", "/docs"])
def test_no_page_loads_anything_from_elsewhere(table: None, path: str) -> None:
    page = api.get(path, Accept="text/html")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    sources = {word for rule in policy.split(";") for word in rule.split()[1:]}
    assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:", "blob:"}
