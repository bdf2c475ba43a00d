"""`/app`, the reference app, in a real browser: study without a network, and what follows from it.

Needs Debian's chromium and chromium-driver. The tests marked `client` need Node as well, and are
run by `make client`.
"""

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyotp
import pytest
import requests
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from config.ops import local_aws
from config.ops.mails import mails
from config.stack import BASE_DIR
from tests.accounts_helpers import new_email
from tests.servers import browsing, installed
from tests.test_browse_chromium import (
    WIDE,
    complaints,
    find,
    press,
    set_scheme,
    set_width,
    take_picture,
)
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("chromium")]

EMAIL, PASSWORD = "learner@parley.example", "parley-demo-1"
CLIENT = BASE_DIR / "docs" / "client"
SMALL_PHONE = (360, 740)
FINGER_PX = 44
TRIES = 5
PAGES = ("study", "cards", "statistics", "talk", "reminders")


class Learner:
    """A learner, by default of the demo, who calls the API as another device."""

    def __init__(self, service: str, email: str = EMAIL) -> None:
        self.service, self.email, self.token = service, email, ""
        self.token = self.call("POST", "/auth/login", {"email": email, "password": PASSWORD})[
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

    def things(self) -> dict[str, Any]:
        """All that a new device would be told of what the app keeps, by kind and key."""
        things: dict[str, Any] = {}
        since = ""
        while True:
            page = self.call("GET", f"/changes?limit=2500{since}")
            for one in page["results"]:
                name, data = f"{one['kind']} {one['key']}", one["data"]
                if one["kind"] == "card" and data and data["deckId"] is None:
                    data["deckId"] = things[name]["deckId"]  # it came with a review
                things[name] = data
            if not page["more"]:
                return {name: data for name, data in things.items() if data and is_compared(name)}
            since = f"&since={page['cursor']}"

    def reviews(self, card_id: str) -> list[tuple[str, str | None]]:
        """The log of a card, the newest first."""
        log = self.call("GET", f"/reviews?cardId={card_id}")["results"]
        return [(entry["kind"], entry["rating"]) for entry in log]


def is_compared(name: str) -> bool:
    return name.startswith(("card ", "deck ", "note "))


@pytest.fixture
def ana(service: str, home: Path) -> Learner:
    """A learner of her own, who has just signed up."""
    email = new_email("ana")
    body = {"email": email, "password": PASSWORD, "firstName": "Ana", "lastName": "Prado"}
    url = f"{service}/auth/signup"
    secret = requests.post(url, json=body, timeout=PATIENCE_S).json()["verificationToken"]
    proof = {"email": email, "code": mailed_code(home, email), "verificationToken": secret}
    requests.post(f"{service}/auth/verify-email", json=proof, timeout=PATIENCE_S).raise_for_status()
    return Learner(service, email)


def mailed_code(home: Path, email: str) -> str:
    """The newest code in a mail to the address."""
    with local_aws.running(home) as endpoint_url:
        return [mail.code for mail in mails(endpoint_url, to=email) if mail.code][-1]


def until(browser: Chrome, found: Callable[[], object]) -> None:
    patient = WebDriverWait(
        browser, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException]
    )
    patient.until(lambda _: found())


def enter(browser: Chrome, service: str, email: str = EMAIL) -> None:
    browser.get(f"{service}/app")
    find(browser, "[name=email]").send_keys(email)
    find(browser, "[name=password]").send_keys(PASSWORD, Keys.ENTER)
    until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".flash"))


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
    until(chromium, lambda: shown(chromium) and in_sync(chromium) and controlled(chromium))
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

    # Two more tabs have the same cards, and each goes on where the others are.
    one = chromium.current_window_handle
    answered = []
    for count in (5, 6):
        chromium.switch_to.new_window("tab")
        set_network(chromium, offline=True)
        chromium.get(f"{service}/app")
        until(chromium, lambda count=count: shown(chromium) and waiting(chromium) == count - 1)
        answered.append(answer(chromium, "3"))
    tabs = [one, *(tab for tab in chromium.window_handles if tab != one)]
    for tab in tabs:
        chromium.switch_to.window(tab)
        until(chromium, lambda: shown(chromium) not in answered and waiting(chromium) == 6)

    # Meanwhile a phone answers the card that they show. None of them asks for it again.
    card = shown(chromium)
    entry = {"id": str(uuid4()), "rating": "easy", "reviewedAt": datetime.now(UTC).isoformat()}
    learner.call("POST", f"/flashcards/{card}/reviews", entry)
    for tab in tabs:
        chromium.switch_to.window(tab)
        set_network(chromium, offline=False)
    for tab in tabs:
        chromium.switch_to.window(tab)
        until(chromium, lambda: waiting(chromium) == 0 and shown(chromium) not in (card, None))
    assert learner.reviews(first) == [("review", "again")]
    assert learner.reviews(second) == [("review", "hard"), ("void", None), ("review", "easy")]
    assert [learner.reviews(each) for each in answered] == [[("review", "good")]] * 2
    assert learner.call("GET", f"/flashcards/{second}")["reps"] == 1
    assert held(chromium) == learner.things()
    assert [said for said in complaints(chromium) if "ERR_INTERNET" not in said["message"]] == []


def held(browser: Chrome) -> dict[str, Any]:
    """What the app keeps on its disk, by kind and key."""
    script = """
        const done = arguments[0];
        indexedDB.open("parley-things").onsuccess = ({ target: { result: base } }) => {
          const kept = base.transaction("things").objectStore("things").getAll();
          kept.onsuccess = () => { base.close(); done(kept.result); };
        };"""
    things = {
        f"{one['kind']} {one['key']}": one["data"] for one in browser.execute_async_script(script)
    }
    return {name: data for name, data in things.items() if is_compared(name)}


CARDS, BULK, BATCH = 5000, 250, 100
STUDIED = 3000  # of them in a month by a hard-working learner, with another device
MOST_CALLS = 10


@pytest.mark.client
def test_a_device_that_was_away_for_a_month_catches_up_in_ten_calls(
    chromium: Chrome,
    service: str,
    ana: Learner,
) -> None:
    deck_id = ana.call("POST", "/decks", {"name": "Vocabulário", "newCardsPerDay": 200})["id"]
    ids = [str(uuid4()) for _ in range(CARDS)]
    for start in range(0, CARDS, BULK):
        words = [
            {"id": card_id, "deckId": deck_id, "front": f"palavra {start + n}", "back": "word"}
            for n, card_id in enumerate(ids[start : start + BULK])
        ]
        ana.call("POST", "/flashcards/bulk", {"cards": words})
    set_width(chromium, WIDE)
    enter(chromium, service, ana.email)
    until(chromium, lambda: shown(chromium) and in_sync(chromium))
    print("\nfirst sync:", told_of(calls(chromium)))

    set_network(chromium, offline=True)
    mine = [answer(chromium, "3") for _ in range(20)]
    theirs = [card_id for card_id in ids if card_id not in mine]
    began = datetime.now(UTC) - timedelta(days=30)
    for start in range(0, STUDIED, BATCH):
        at = began + timedelta(days=30) * start / STUDIED
        reviews = [
            {"id": str(uuid4()), "cardId": card_id, "kind": "review", "rating": "good"}
            | {"reviewedAt": at.isoformat()}
            for card_id in theirs[start : start + BATCH]
        ]
        ana.call("POST", "/reviews", {"reviews": reviews})
    edits = [
        {"kind": "card", "verb": "update", "id": card_id, "data": {"back": "another word"}}
        for card_id in theirs[: BATCH // 2]
    ]
    deletions = [
        {"kind": "card", "verb": "delete", "id": card_id} for card_id in theirs[-BATCH // 2 :]
    ]
    ana.call("POST", "/changes", {"changes": edits + deletions})

    set_network(chromium, offline=False)
    chromium.refresh()
    until(chromium, lambda: in_sync(chromium) and waiting(chromium) == 0 and calls(chromium))
    print("after a month:", told_of(calls(chromium)))
    assert len(calls(chromium)) <= MOST_CALLS, calls(chromium)
    assert held(chromium) == ana.things()
    assert [len(ana.reviews(card_id)) for card_id in mine] == [1] * len(mine)
    open_page(chromium, service, "cards")
    assert f"{CARDS - len(deletions)} cards" in find(chromium, "main").text
    take_picture(chromium, "app-after-a-month")


def calls(browser: Chrome) -> list[dict[str, Any]]:
    """The app's requests since the page was loaded, but for those that came too late: a busy
    machine has many."""
    script = """
        return performance.getEntriesByType("resource")
          .filter(({ name }) => !new URL(name).pathname.startsWith("/app"))
          .filter(({ responseStatus }) => responseStatus < 500)
          .map(({ name, encodedBodySize, duration }) => ({ name, encodedBodySize, duration }))"""
    found: list[dict[str, Any]] = browser.execute_script(script)
    return found


def told_of(found: list[dict[str, Any]]) -> str:
    """How many calls there were, their bytes before compression, and how long they took."""
    size = sum(call["encodedBodySize"] for call in found)
    seconds = sum(call["duration"] for call in found) / 1000
    return f"{len(found)} calls, {size / 1e6:.1f} MB, {seconds:.0f} s"


def tap(browser: Chrome, css: str) -> None:
    """Touches the middle of an element with a finger."""
    script = """
        arguments[0].scrollIntoView({ block: "center" });
        const { x, y, width, height } = arguments[0].getBoundingClientRect();
        return { x: x + width / 2, y: y + height / 2 };"""
    point = browser.execute_script(script, find(browser, css))
    for kind, points in (("touchStart", [point]), ("touchEnd", [])):
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_cards_are_studied_and_undone_by_touch(
    chromium: Chrome,
    service: str,
    ana: Learner,
) -> None:
    deck_id = ana.call("POST", "/decks", {"name": "Português"})["id"]
    for front in ("a casa", "a rua", "a mesa", "o pão", "o café"):
        ana.call("POST", "/flashcards", {"deckId": deck_id, "front": front, "back": "…"})
    set_width(chromium, SMALL_PHONE)
    chromium.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    enter(chromium, service, ana.email)
    until(chromium, lambda: shown(chromium))
    answered = {}
    for rating in ("again", "hard", "good", "easy"):
        card = shown(chromium)
        answered[rating] = card
        tap(chromium, "main button.wide")
        tap(chromium, f".ratings .{rating}")
        until(chromium, lambda card=card: shown(chromium) != card)
    undo = "//button[.='Undo']"
    assert min(chromium.find_element(By.XPATH, undo).size.values()) >= FINGER_PX
    chromium.execute_script("arguments[0].id = 'undo'", chromium.find_element(By.XPATH, undo))
    tap(chromium, "#undo")
    until(chromium, lambda: shown(chromium) == answered["easy"])
    assert not find(chromium, ".keys").is_displayed()
    until(chromium, lambda: in_sync(chromium) and waiting(chromium) == 0)
    logs = {rating: ana.reviews(card) for rating, card in answered.items() if card}
    assert logs == {
        **{rating: [("review", rating)] for rating in ("again", "hard", "good")},
        "easy": [("void", None), ("review", "easy")],
    }
    assert held(chromium) == ana.things()
    assert complaints(chromium) == []


def test_a_sign_in_asks_for_the_second_step_or_takes_a_mailed_code(
    chromium: Chrome,
    service: str,
    ana: Learner,
    home: Path,
) -> None:
    # By a mailed code, while there is no second step.
    chromium.get(f"{service}/app")
    press(chromium, "Sign in with a mailed code")
    find(chromium, "[name=email]").send_keys(ana.email, Keys.ENTER)
    code = find(chromium, "[name=code]")
    assert chromium.switch_to.active_element == code
    until(chromium, lambda: len(mailed_code(home, ana.email)) == 8)
    take_picture(chromium, "app-mailed-code")
    code.send_keys(mailed_code(home, ana.email), Keys.ENTER)
    until(chromium, lambda: in_sync(chromium))
    press(chromium, "Sign out", inside="header")

    # By a password, then by a code of the app; a wrong one is told and may be put right.
    secret = ana.call("POST", "/auth/mfa/setup", {"password": PASSWORD})["secret"]
    codes = ana.call("POST", "/auth/mfa/verify-setup", {"code": pyotp.TOTP(secret).now()})
    find(chromium, "[name=email]").send_keys(ana.email)
    find(chromium, "[name=password]").send_keys(PASSWORD, Keys.ENTER)
    code = find(chromium, "[name=code]")
    assert chromium.switch_to.active_element == code
    take_picture(chromium, "app-second-step")
    code.send_keys("000000", Keys.ENTER)
    assert find(chromium, "[role=alert]").is_displayed()
    chromium.get_log("browser")  # the answer was 401, which the console notes
    code.clear()
    code.send_keys(codes["backupCodes"][0], Keys.ENTER)
    until(chromium, lambda: in_sync(chromium))
    assert complaints(chromium) == []


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
@pytest.mark.parametrize("page", ["/app", "/app#study", "/docs"])
def test_lighthouse_is_content(page: str, service: str, tmp_path: Path) -> None:
    """Its performance is printed: it says little on a busy machine. `#study` is signed in."""
    profile = tmp_path / "profile"
    if page == "/app#study":
        with browsing(profile) as browser:
            enter(browser, service)
            until(browser, lambda: in_sync(browser))
    report = tmp_path / "report.json"
    flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage "
    flags += f"--user-data-dir={profile}"
    npm(
        *("exec", "--yes", LIGHTHOUSE, "--", f"{service}{page}", "--quiet", "--output=json"),
        *(f"--output-path={report}", f"--chrome-flags={flags}", "--disable-storage-reset"),
        *("--only-categories=accessibility,best-practices,performance",),
        CHROME_PATH=installed("chromium"),
    )
    found = json.loads(report.read_text())
    scores = {name: round(100 * one["score"]) for name, one in found["categories"].items()}
    requests_made = found["audits"]["network-requests"]["details"]["items"]
    size = sum(one["transferSize"] for one in requests_made)
    print(f"\nLighthouse of {page}: {scores}, {len(requests_made)} requests, {size / 1e6:.2f} MB")
    assert any("/changes" in one["url"] for one in requests_made) == (page == "/app#study")
    assert {one["url"] for one in requests_made if not one["url"].startswith(service)} == set()
    assert scores["accessibility"] >= 95
    assert scores["best-practices"] >= 95
