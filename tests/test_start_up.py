"""The modules that the first request loads. On Lambda a cold start waits for all of them."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import crypto
from config.stack import Stack

HEAVY = {
    "boto3",
    "botocore",
    "cryptography",
    "dateutil",
    "drf_spectacular.openapi",
    "fsrs_rs_python",
    "icalendar",
    "jose",
    "pynamodb",
    "segno",
    "zappa",
    "zstandard",
}

PROGRAM = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
from config.wsgi import application
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/health", "SERVER_NAME": "localhost",
           "SERVER_PORT": "80", "wsgi.input": sys.stdin.buffer, "wsgi.errors": sys.stderr,
           "wsgi.url_scheme": "http", "wsgi.version": (1, 0), "wsgi.multithread": False,
           "wsgi.multiprocess": False, "wsgi.run_once": False}
statuses = []
body = b"".join(application(environ, lambda status, headers, info=None: statuses.append(status)))
assert statuses == ["200 OK"] and body == b'{"status":"ok"}', (statuses, body)
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules of a process that has answered /health once."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_health_loads_no_heavy_module(loaded: set[str]) -> None:
    assert sorted(HEAVY & loaded) == []


def test_health_loads_no_app(loaded: set[str]) -> None:
    apps = ("accounts.api", "learning.models", "learning.services", "learning.api")
    assert [name for name in sorted(loaded) if name.startswith(apps)] == []


def test_a_stage_without_its_keys_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process asks AWS for them: 40 questions a second are all that an account has."""
    monkeypatch.delenv("PARLEY_SECRET_KEY", raising=False)
    with pytest.raises(ImproperlyConfigured, match="PARLEY_SECRET_KEY must hold the keys"):
        crypto.secret_keys("prod")
    monkeypatch.setenv("PARLEY_SECRET_KEY", "new old")
    assert crypto.secret_keys("prod") == ["new", "old"]


FUNCTION = """
import sys
import config.lambda_handler
loaded = set(sys.modules)
import rest_framework.compat, uritemplate, yaml
from drf_spectacular.generators import SchemaGenerator
assert SchemaGenerator().get_schema(public=True)["paths"]
print(*loaded)
"""


def test_a_function_starts_without_what_only_the_pages_of_the_api_need() -> None:
    environment = {f"PARLEY_{name.upper()}": "none" for name in Stack.__annotations__}
    environment |= {
        "AWS_LAMBDA_FUNCTION_NAME": "parley-dev",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "PARLEY_ENDPOINT_URL": "https://aws",
        "PARLEY_REGION": "eu-central-1",
        "PARLEY_SECRET_KEY": "x" * 50,
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, "-c", FUNCTION], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"learning.urls", "accounts.urls", "rest_framework.views"} <= loaded
    assert sorted(loaded & {"yaml", "uritemplate", "drf_spectacular.openapi", "zappa"}) == []
