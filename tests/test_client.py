"""docs/client: the typed client through a learner's whole way, and the examples as a stranger has
them. Needs Node and the client's tools, which `make client` brings."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from config.stack import BASE_DIR
from tests.test_browse_chromium import WIDE, in_reference, set_scheme, set_width
from tests.test_run import Run, bare_environment
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.server, pytest.mark.client]

CLIENT = BASE_DIR / "docs/client"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("client")
    run = Run(folder / "home", folder / "said")
    try:
        run.wait_until_ready()
        yield run
    finally:
        run.stop(2)


def ran(service: Run, *command: str | Path, typed: str = "") -> str:
    node = f"{BASE_DIR}/.uv/node/bin:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=CLIENT,
        env=bare_environment(service.home) | {"PATH": node, "PARLEY_URL": service.url},
        input=typed,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-10_000:]
    return done.stdout


def test_the_typed_client_goes_a_learners_whole_way(service: Run) -> None:
    ran(service, "node", "--test", "tests/journey.test.ts")


# Answers three cards: Enter shows the back, a number rates it.
ANSWERS = "\n3\n\n4\n\n1\n" + "\n" * 200


def test_a_study_session_in_typescript_sends_each_review(service: Run) -> None:
    said = ran(service, "node", "examples/study.ts", typed=ANSWERS)
    assert said.count("applied") == 3, said


def test_a_study_session_in_python_sends_each_review(service: Run) -> None:
    uv = BASE_DIR / ".uv/bin/uv"
    run = ("run", "--quiet", "--system-certs", "--no-project", "--script", "examples/study.py")
    said = ran(service, uv, *run, typed=ANSWERS)
    assert said.count("due 20") == 3, said
    assert len((CLIENT / "examples/study.py").read_text().splitlines()) <= 60


SERIOUS = """
    const done = arguments[arguments.length - 1];
    axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => done(
      violations.filter(({impact}) => ["serious", "critical"].includes(impact))
        .flatMap(({id, nodes}) => nodes.map(({target}) => `${id}: ${target.flat().join(" ")}`))))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", ["", "#post-/flashcards/-id-/reviews", "#get-/flashcards"])
def test_the_reference_has_no_serious_fault_of_accessibility(
    chromium: Chrome, service: Run, scheme: str, place: str
) -> None:
    set_width(chromium, WIDE)
    set_scheme(chromium, scheme)
    chromium.get(f"{service.url}/docs{place}")
    in_reference(chromium, "button[part~='btn-try']" if place else ".nav-bar-path")
    chromium.execute_script((CLIENT / "node_modules/axe-core/axe.min.js").read_text())
    assert chromium.execute_async_script(SERIOUS) == []
