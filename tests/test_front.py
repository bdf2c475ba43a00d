"""The page at `/`."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import set_script_prefix

from accounts.front import DEMO_ACCOUNTS, PASSWORD
from config import lambda_handler
from tests.benchmarks.cold_start import ENVIRONMENT
from tests.gateway import GATEWAY_HOST, OWN_HOST, event

ANONYMOUS = Client()
HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("href", "src")]


def text(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture
def on_a_stage(settings: Any) -> None:
    settings.STAGE = "prod"


@pytest.mark.parametrize("accept", [HTML["Accept"], "*/*", "text/html"])
def test_the_address_of_a_local_run_is_a_page_that_leads_everywhere(accept: str) -> None:
    answer = ANONYMOUS.get("/", headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    links = Links(text(answer)).found
    assert {"/docs", "/schema", "/app", "/browse", "/mails"} <= set(links)
    for account in DEMO_ACCOUNTS:
        assert account.email in text(answer)
    assert PASSWORD in text(answer)
    assert '<html lang="en">' in text(answer)


def test_the_page_is_under_our_policy_and_sets_no_cookie() -> None:
    answer = ANONYMOUS.get("/", headers=HTML)
    assert answer["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    assert not re.search(r"<script|<style|\sstyle=|<form", text(answer))


def test_head_has_the_pages_headers() -> None:
    answer = ANONYMOUS.head("/", headers=HTML)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.usefixtures("on_a_stage")
def test_a_stage_shows_what_is_public_alone() -> None:
    answer = ANONYMOUS.get("/", headers=HTML)
    assert answer.status_code == 200
    pages = {link for link in Links(text(answer)).found if not link.startswith(("/static/", "#"))}
    assert pages == {"/", "/docs", "/schema", "/browse"}
    for local in (PASSWORD, "parley.example", "ails", "this machine"):
        assert local not in text(answer)


def test_a_program_gets_the_links_as_json() -> None:
    answer = ANONYMOUS.get("/", headers={"Accept": "application/json"})
    assert answer.json() == {
        "name": "Parley",
        "docs": "http://testserver/docs",
        "schema": "http://testserver/schema",
        "health": "http://testserver/health",
    }
    assert "Accept" in answer["Vary"]


ON_A_STAGE = """
import sys
import django
django.setup()
from django.test import Client
client = Client(headers={"host": "a1b2c3.execute-api.eu-central-1.amazonaws.com"})
print(*[client.get(path).status_code for path in sys.argv[1:]])
print(*sys.modules)
"""


LOCAL_PATHS = ("/app", "/app/sw.js", "/mails", "/mails/", "/mails/1", "/mails/1/html")


def test_a_stage_has_no_app_and_no_mails_and_loads_nothing_that_reads_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_A_STAGE, "/", *LOCAL_PATHS],
        env=ENVIRONMENT | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    statuses, modules = done.stdout.splitlines()[-2:]
    assert statuses == "200" + " 404" * len(LOCAL_PATHS)
    heavy = {"pynamodb", "botocore", "drf_spectacular.openapi", "config.ops.mails"}
    assert not heavy & set(modules.split())
    assert not [name for name in modules.split() if name.startswith("config.ops.local_aws")]


@pytest.fixture
def gateway_hosts(settings: Any) -> None:
    settings.ALLOWED_HOSTS = [".amazonaws.com", OWN_HOST]
    set_script_prefix("/")


def through_the_gateway(path: str, host: str) -> Any:
    return lambda_handler.lambda_handler(event("GET", path, host=host, headers=HTML), None)


@pytest.mark.usefixtures("gateway_hosts", "on_a_stage")
@pytest.mark.parametrize(("host", "prefix"), [(GATEWAY_HOST, "/dev/"), (OWN_HOST, "/")])
def test_links_keep_the_stage_that_stands_before_the_path(host: str, prefix: str) -> None:
    answer = through_the_gateway("/", host)
    assert answer["statusCode"] == 200
    links = [link for link in Links(answer["body"]).found if not link.startswith("#")]
    assert len(links) > 5
    for link in links:
        assert link == prefix or link.startswith(prefix)
        if "/browse" not in link.removeprefix(prefix + "static"):
            assert through_the_gateway("/" + link.removeprefix(prefix), host)["statusCode"] == 200


def test_a_file_that_is_edited_meanwhile_is_served_whole(settings: Any, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.css"
    sheet.write_text("a {}")
    settings.STATICFILES_DIRS = [tmp_path]
    client = Client()
    for style in ("a {}", "a { color: red }"):
        sheet.write_text(style)
        answer = client.get("/static/sheet.css")
        assert answer.getvalue().decode() == style
        assert answer["Content-Length"] == str(len(style))
