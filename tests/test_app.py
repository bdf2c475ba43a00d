"""`/app`, the reference app, in a real browser: study without a network, and what follows from it.

Needs Debian's chromium and chromium-driver. The tests marked `client` need Node as well, and are
run by `make client`.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from config.stack import BASE_DIR
from tests.servers import installed
from tests.test_browse_chromium import (
    WIDE,
    complaints,
    find,
    set_scheme,
    set_width,
    take_picture,
)
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("chromium")]

EMAIL, PASSWORD = "learner@parley.example", "parley-demo-1"
CLIENT = BASE_DIR / "docs" / "client"
SMALL_PHONE = (360, 740)
TRIES = 5
PAGES = ("study", "cards", "statistics", "talk", "reminders")


class Learner:
    """The demo learner, who calls the API as another device."""

    def __init__(self, service: str) -> None:
        self.service = service
        login = {"email": EMAIL, "password": PASSWORD}
        self.token = requests.post(f"{service}/auth/login", json=login, timeout=PATIENCE_S).json()[
            "accessToken"
        ]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """An answer. What took too long on a busy machine is sent again: all of it has ids."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.service}{path}"
        for _ in range(TRIES):
            answer = requests.request(method, url, json=body, headers=headers, timeout=PATIENCE_S)
            if answer.status_code not in (503, 504):
                break
        answer.raise_for_status()
        return answer.json()

    def reviews(self, card_id: str) -> list[tuple[str, str | None]]:
        """The log of a card, the newest first."""
        log = self.call("GET", f"/reviews?cardId={card_id}")["results"]
        return [(entry["kind"], entry["rating"]) for entry in log]


def until(browser: Chrome, found: Callable[[], object]) -> None:
    patient = WebDriverWait(
        browser, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException]
    )
    patient.until(lambda _: found())


def enter(browser: Chrome, service: str) -> None:
    browser.get(f"{service}/app")
    find(browser, "[name=email]").send_keys(EMAIL)
    find(browser, "[name=password]").send_keys(PASSWORD, Keys.ENTER)
    until(browser, lambda: shown(browser))


def shown(browser: Chrome) -> str | None:
    """The id of the card that is shown."""
    cards = browser.find_elements(By.CSS_SELECTOR, ".flash[data-card]")
    return cards[0].get_attribute("data-card") if cards else None


def type_key(browser: Chrome, key: str) -> None:
    browser.find_element(By.TAG_NAME, "body").send_keys(key)


def answer(browser: Chrome, key: str) -> str:
    """Answers the card that is shown by the keyboard; returns its id once another is shown."""
    card = shown(browser)
    assert card is not None
    type_key(browser, Keys.SPACE)
    find(browser, ".ratings button")
    type_key(browser, key)
    until(browser, lambda: shown(browser) != card)
    return card


def waiting(browser: Chrome) -> int:
    return int(find(browser, "#sync").get_attribute("data-waiting") or 0)


def in_sync(browser: Chrome) -> bool:
    return find(browser, "#sync").text == "In sync"


def set_network(browser: Chrome, *, offline: bool) -> None:
    speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", speed | {"offline": offline})


def controlled(browser: Chrome) -> bool:
    """Whether the service worker answers for the page."""
    return bool(browser.execute_script("return navigator.serviceWorker.controller !== null"))


def test_what_is_studied_offline_reaches_the_service_and_every_tab(
    chromium: Chrome,
    service: str,
) -> None:
    learner = Learner(service)
    set_width(chromium, WIDE)
    enter(chromium, service)
    until(chromium, lambda: in_sync(chromium) and controlled(chromium))
    online = answer(chromium, "3")
    until(chromium, lambda: learner.reviews(online) == [("review", "good")])
    until(chromium, lambda: in_sync(chromium))

    set_network(chromium, offline=True)
    first, second = answer(chromium, "1"), answer(chromium, "4")
    type_key(chromium, "u")
    until(chromium, lambda: shown(chromium) == second)
    assert answer(chromium, "2") == second
    chromium.refresh()
    until(chromium, lambda: shown(chromium) and waiting(chromium) == 4)
    assert shown(chromium) not in (online, first, second)

    # Another tab has the same cards and goes on where this one is.
    one = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    set_network(chromium, offline=True)
    chromium.get(f"{service}/app")
    until(chromium, lambda: shown(chromium) and waiting(chromium) == 4)
    third = answer(chromium, "3")
    other = chromium.current_window_handle
    chromium.switch_to.window(one)
    until(chromium, lambda: shown(chromium) != third and waiting(chromium) == 5)

    for tab in (one, other):
        chromium.switch_to.window(tab)
        set_network(chromium, offline=False)
    until(chromium, lambda: waiting(chromium) == 0 and in_sync(chromium))
    assert learner.reviews(first) == [("review", "again")]
    assert learner.reviews(second) == [("review", "hard"), ("void", None), ("review", "easy")]
    assert learner.reviews(third) == [("review", "good")]
    assert learner.call("GET", f"/flashcards/{second}")["reps"] == 1

    # What a phone answers is not asked for again here.
    card = shown(chromium)
    entry = {"id": "6b0e5b8a-0d0b-4c86-9a3f-5d0a3c1e7f11", "rating": "easy"}
    at = learner.call("GET", "/flashcards/due")["results"][0]["card"]["createdAt"]
    learner.call("POST", f"/flashcards/{card}/reviews", entry | {"reviewedAt": at})
    chromium.refresh()
    until(chromium, lambda: in_sync(chromium) and shown(chromium) not in (card, None))
    assert [said for said in complaints(chromium) if "ERR_INTERNET" not in said["message"]] == []


def open_page(browser: Chrome, service: str, page: str) -> None:
    """Opens a page, and waits until it has what it asked the service for."""
    address = f"{service}/app#{page}"
    browser.get(address)
    current = "nav [aria-current]"
    until(browser, lambda: find(browser, current).get_attribute("href") == address)
    until(browser, lambda: not browser.find_elements(By.CSS_SELECTOR, ".loading"))


def fill(browser: Chrome, form: str, **values: str) -> None:
    """Fills in the form that has a heading, and sends it."""
    (found,) = browser.find_elements(By.XPATH, f"//form[h2='{form}']")
    for name, value in values.items():
        found.find_element(By.NAME, name).send_keys(value)
    found.find_element(By.CSS_SELECTOR, "button.main").click()


def says(browser: Chrome, text: str) -> Callable[[], bool]:
    return lambda: text in find(browser, "main").text


def test_each_page_does_what_it_is_for(
    chromium: Chrome,
    service: str,
    tmp_path: Path,
) -> None:
    learner = Learner(service)
    set_width(chromium, WIDE)
    enter(chromium, service)

    open_page(chromium, service, "cards")
    fill(chromium, "New deck", name="Português", language="pt-PT")
    until(chromium, says(chromium, "0 cards"))
    fill(chromium, "Add a card", front="a padaria", back="the bakery")
    until(chromium, says(chromium, "Added: a padaria"))
    file = tmp_path / "palavras.csv"
    file.write_text("front,back\na janela,the window\na rua,the street\n,\n")
    fill(chromium, "Import a file", file=str(file))
    until(chromium, says(chromium, "2 new"))
    until(chromium, lambda: in_sync(chromium))
    fronts = {card["front"] for card in learner.call("GET", "/flashcards?q=a&limit=100")["results"]}
    assert {"a padaria", "a janela", "a rua"} <= fronts

    open_page(chromium, service, "statistics")
    until(chromium, lambda: find(chromium, "svg.heatmap rect"))
    assert len(chromium.find_elements(By.CSS_SELECTOR, "figure")) == 3

    open_page(chromium, service, "talk")
    begin = "//li[.//h2='Coffee to take away']//button"
    chromium.find_element(By.XPATH, begin).click()
    line = find(chromium, "[name=text]")
    line.send_keys("I want a coffee, please.", Keys.ENTER)
    until(chromium, lambda: len(chromium.find_elements(By.CSS_SELECTOR, ".partner")) == 2)
    find(chromium, ".correction button").click()
    until(chromium, says(chromium, "The card is made."))
    notes = learner.call("GET", "/notes")["results"]
    assert [note["type"] for note in notes] == ["cloze"]
    chromium.find_element(By.XPATH, "//button[.='Finish']").click()
    assert find(chromium, "[aria-label=Scores]").is_displayed()

    open_page(chromium, service, "reminders")
    fill(chromium, "Remind me once", title="Ligar à Inês", at="01012030\t0900AM")
    until(chromium, says(chromium, "Ligar à Inês"))
    assert "Ligar à Inês" in [one["title"] for one in learner.call("GET", "/reminders")["results"]]
    assert complaints(chromium) == []


def test_pages_fit_a_phone_in_the_dark_and_in_german(
    chromium: Chrome,
    service: str,
) -> None:
    set_width(chromium, SMALL_PHONE)
    set_scheme(chromium, "dark")
    chromium.get(f"{service}/app")
    Select(find(chromium, "footer select")).select_by_visible_text("Deutsch")
    until(chromium, lambda: find(chromium, "html").get_attribute("lang") == "de")
    enter(chromium, service)
    find(chromium, "main button.wide").click()
    assert find(chromium, ".ratings").text.startswith("1 Nochmal")
    for page in PAGES:
        open_page(chromium, service, page)
        assert find(chromium, "main h1").is_displayed()
        take_picture(chromium, f"app-{page}-phone-dark")
        spills = "return document.documentElement.scrollWidth - window.innerWidth"
        assert chromium.execute_script(spills) <= 0, page
    set_width(chromium, WIDE)
    set_scheme(chromium, "light")
    for page in PAGES:
        open_page(chromium, service, page)
        take_picture(chromium, f"app-{page}-wide-light")
    assert complaints(chromium) == []


@pytest.mark.client
def test_the_committed_files_are_those_that_the_sources_make(tmp_path: Path) -> None:
    built = tmp_path / "dist"
    npm("run", "--silent", "app", APP_OUT=str(built))
    committed = {file.name: file.read_text() for file in (CLIENT / "app" / "dist").iterdir()}
    assert {file.name: file.read_text() for file in built.iterdir()} == committed


def npm(*words: str, **environment: str) -> None:
    path = f"{BASE_DIR}/.uv/node/bin:{os.environ['PATH']}"
    done = subprocess.run(
        ["npm", *words],
        cwd=CLIENT,
        env=os.environ | {"PATH": path, "NODE_USE_SYSTEM_CA": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.client
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    scheme: str,
    chromium: Chrome,
    service: str,
) -> None:
    axe = (CLIENT / "node_modules" / "axe-core" / "axe.min.js").read_text()
    set_scheme(chromium, scheme)
    chromium.get(f"{service}/app")
    find(chromium, "[name=email]")
    violations = {"sign-in": axe_of(chromium, axe)}
    enter(chromium, service)
    for page in PAGES:
        open_page(chromium, service, page)
        if page == "study":
            find(chromium, "main button.wide").click()
        until(
            chromium, lambda: chromium.find_elements(By.CSS_SELECTOR, ".flash, form, figure, .rows")
        )
        violations[page] = axe_of(chromium, axe)
    assert {page: found for page, found in violations.items() if found} == {}


def axe_of(browser: Chrome, axe: str) -> list[str]:
    """What axe-core finds: the rule, and the first element that breaks it."""
    browser.execute_script(axe)
    run = (
        "const done = arguments[0]; axe.run().then(({ violations }) => "
        "done(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)), String)"
    )
    return list(browser.execute_async_script(run))


LIGHTHOUSE = "lighthouse@13.5.0"  # by npm exec: 100 MB, which nothing else needs


@pytest.mark.client
def test_lighthouse_is_content(service: str, tmp_path: Path) -> None:
    """Its performance is printed: it says little on a busy machine."""
    report = tmp_path / "report.json"
    flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage"
    npm(
        *("exec", "--yes", LIGHTHOUSE, "--", f"{service}/app", "--quiet", "--output=json"),
        *(f"--output-path={report}", f"--chrome-flags={flags}"),
        *("--only-categories=accessibility,best-practices,performance",),
        CHROME_PATH=installed("chromium"),
    )
    categories = json.loads(report.read_text())["categories"]
    scores = {name: round(100 * found["score"]) for name, found in categories.items()}
    print(scores)
    assert scores["accessibility"] >= 95
    assert scores["best-practices"] >= 95
