"""`/browse/` in a real browser, headless, against a running service with its embedded AWS.

Needs Debian's chromium and chromium-driver; without them the tests fail, as without any server.
With PARLEY_PICTURES, as in `make client`, pictures of all pages are made in build/screenshots, for
people to look at. No test looks at them, and they take longer than all else that a browser does.
"""

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pyotp
import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from config.ops import cloudformation, local_aws
from config.stack import BASE_DIR
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("chromium")]

SCREENSHOTS = BASE_DIR / "build" / "screenshots"
EMAIL, PASSWORD = "staff@parley.example", "parley-demo-1"
WIDE, PHONE = (1280, 900), (390, 844)
TALLEST = 8000  # pixels of a picture of a whole page


def set_width(chromium: Chrome, size: tuple[int, int]) -> None:
    """Headless windows have a least width, so the device's own is set."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def set_scheme(chromium: Chrome, scheme: str) -> None:
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", features)


def take_picture(chromium: Chrome, name: str) -> None:
    """As much of the page as one looks at, if pictures are wanted."""
    if "PARLEY_PICTURES" not in os.environ:
        return
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    full = chromium.execute_script("return document.documentElement.scrollHeight")
    whole = {"captureBeyondViewport": full < TALLEST, "optimizeForSpeed": True}
    shot = chromium.execute_cdp_cmd("Page.captureScreenshot", whole)
    (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


def picture_everywhere(chromium: Chrome, name: str) -> None:
    """Takes pictures: wide, on a phone, in the dark. No page may need sideways scrolling."""
    here = "return [innerWidth, document.documentElement.clientWidth]"
    for size, scheme in ((WIDE, "light"), (WIDE, "dark"), (PHONE, "light")):
        set_width(chromium, size)
        set_scheme(chromium, scheme)
        WebDriverWait(chromium, PATIENCE_S).until(
            lambda driver, size=size: size[0] in driver.execute_script(here)
        )
        width = "phone" if size is PHONE else "wide"
        take_picture(chromium, f"{name}-{width}-{scheme}")
        spills = "return document.documentElement.scrollWidth - window.innerWidth"
        assert chromium.execute_script(spills) <= 0, f"{name} is wider than {size[0]} px"
    set_width(chromium, WIDE)
    set_scheme(chromium, "light")


def find(chromium: Chrome, css: str) -> WebElement:
    return WebDriverWait(chromium, PATIENCE_S).until(
        lambda driver: driver.find_element(By.CSS_SELECTOR, css)
    )


def answer_of(chromium: Chrome) -> Any:
    """The answer as JSON, which stands in a part that is closed."""
    return json.loads(find(chromium, "pre").get_attribute("textContent") or "")


def wait_for(chromium: Chrome, path: str) -> None:
    """Waits for an address; that of a login has the one to which it leads within it."""

    def is_there(driver: Chrome) -> bool:
        url = driver.current_url
        return path in url and ("/login" in path or "/login" not in url)

    WebDriverWait(chromium, PATIENCE_S).until(is_there)


# An answer of 400 that a test asked for.
EXPECTED = re.compile(r"/browse/\S* .*400 \(Bad Request\)")


def complaints(chromium: Chrome) -> list[Any]:
    """The warnings of the browser's console: blocked by the policy, not found, failed."""
    console = [entry for entry in chromium.get_log("browser") if entry["level"] != "INFO"]
    return [entry for entry in console if not EXPECTED.search(entry["message"])]


def sign_in(chromium: Chrome, service: str, path: str = "/browse") -> None:
    chromium.get(service + path)
    wait_for(chromium, "/browse/login")
    find(chromium, "#POST-email").send_keys(EMAIL)
    find(chromium, "#POST-password").send_keys(PASSWORD, Keys.ENTER)
    wait_for(chromium, path)


def test_a_day_of_the_staff(chromium: Chrome, service: str) -> None:
    set_width(chromium, WIDE)
    chromium.get(f"{service}/browse")
    picture_everywhere(chromium, "login")
    find(chromium, "#POST-email").send_keys(EMAIL)
    find(chromium, "#POST-password").send_keys("not-the-password", Keys.ENTER)
    assert "wrong" in find(chromium, ".problem").text
    take_picture(chromium, "login-refused")
    chromium.get_log("browser")  # the answer was 401, which the console notes

    sign_in(chromium, service)
    assert find(chromium, "h1").text == "Hello, Stefan"
    assert "Scenarios" not in chromium.title
    picture_everywhere(chromium, "start")

    find(chromium, "a[href='/browse/scenarios']").click()
    wait_for(chromium, "/browse/scenarios")
    assert len(chromium.find_elements(By.CSS_SELECTOR, ".rows tbody tr")) >= 24
    picture_everywhere(chromium, "scenarios")
    find(chromium, ".rows a").click()
    wait_for(chromium, "/browse/scenarios/")
    picture_everywhere(chromium, "scenario")
    chromium.get(f"{service}/browse/users?email=learner@parley.example")
    assert "learner@parley.example" in find(chromium, ".rows").text
    picture_everywhere(chromium, "users")

    chromium.get(f"{service}/browse/decks")
    find(chromium, ".offer summary").click()
    find(chromium, "#POST-newCardsPerDay").send_keys("many")
    find(chromium, "#POST-description").send_keys("Café, padaria, mercado")
    find(chromium, ".offer form button").click()
    fault = find(chromium, ".problem li a")
    assert find(chromium, "#POST-name-said .error").text == "This field may not be blank."
    assert find(chromium, "#POST-newCardsPerDay-said .error").text == "A valid integer is required."
    picture_everywhere(chromium, "deck-refused")
    fault.click()
    assert chromium.switch_to.active_element.get_attribute("id") in ("POST-name", "")
    find(chromium, "#POST-name").send_keys("Na padaria")
    number = find(chromium, "#POST-newCardsPerDay")
    number.clear()
    number.send_keys("7", Keys.ENTER)
    WebDriverWait(chromium, PATIENCE_S).until(lambda driver: driver.current_url.endswith("#done"))
    assert find(chromium, "#done").is_displayed()
    assert "Na padaria" in find(chromium, ".facts").text
    picture_everywhere(chromium, "deck")
    assert complaints(chromium) == []

    find(chromium, "header form button").click()
    wait_for(chromium, "/browse/login")
    assert find(chromium, "#done").text == "You are signed out."
    chromium.get(f"{service}/browse/decks")
    wait_for(chromium, "/browse/login")
    assert complaints(chromium) == []


def fill(chromium: Chrome, **texts: str) -> None:
    """Writes into the inputs of a form; `__` stands for the dots of their names."""
    for name, text in texts.items():
        field = find(chromium, f"[name='{name.replace('__', '.')}']")
        if field.tag_name == "select":
            Select(field).select_by_visible_text(text)
        else:
            field.clear()
            field.send_keys(text)


def press(chromium: Chrome, text: str, *, inside: str = "main") -> None:
    """Presses the first button or link with a text, and waits for the page that follows."""
    place = find(chromium, inside)
    button = place.find_element(By.XPATH, f".//*[self::button or self::a][.={text!r}]")
    chromium.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def test_a_scenario_is_written_tried_and_published_by_who_never_saw_json(
    chromium: Chrome, service: str
) -> None:
    set_width(chromium, WIDE)
    sign_in(chromium, service)
    press(chromium, "Write scenarios")
    wait_for(chromium, "/browse/writing")
    picture_everywhere(chromium, "writing-desk")
    press(chromium, "Write a new one")
    wait_for(chromium, "/browse/write")
    picture_everywhere(chromium, "writing-new")
    fill(
        chromium,
        title="At the bakery",
        level="A1",
        language="en",
        context="Food & drink",
        description="You are hungry. Buy some bread, ask the price and pay.",
        notes="Teach numbers first.",
        roles__0__name="Customer",
        roles__0__brief="You want fresh bread.",
        roles__1__name="Baker",
        roles__1__brief="You sell bread and cakes.",
        parts__0__opening="Good morning! What would you like?",
        parts__0__farewell="Goodbye, have a nice day!",
        parts__0__goals__0__text="Ask how much it is",
        parts__0__goals__0__example="How much is it?",
        parts__0__goals__0__phrases="how much",
        parts__0__goals__0__answer="That is two euros.",
        parts__0__goals__1__text="Buy some bread",
        parts__0__goals__1__example="I'd like a loaf of bread, please.",
        parts__0__goals__1__phrases="bread/loaf/rolls",
        parts__0__goals__1__answer="Here you are, nice and warm.",
        parts__0__goals__2__text="Pay",
        parts__0__goals__2__example="Here is the money.",
    )
    press(chromium, "Save")
    assert "The partner answers" in find(chromium, ".problem").text
    assert find(chromium, "#POST-parts-0-goals-2-answer-said .error").is_displayed()
    picture_everywhere(chromium, "writing-refused")
    fill(chromium, parts__0__goals__2__answer="Thank you!", parts__0__role="Customer")
    press(chromium, "Up", inside="#POST-parts-0-goals li:nth-child(2)")  # bread first, by script
    first = find(chromium, "#POST-parts-0-goals li:first-child [name$='.text']")
    assert first.get_attribute("value") == "Buy some bread"
    press(chromium, "Add a phrase")
    fill(chromium, phrases__0__text="I'd like …, please.", phrases__0__meaning="how to ask for it")
    picture_everywhere(chromium, "writing-filled")
    press(chromium, "Save and try it")
    wait_for(chromium, "/try")
    talk = (By.CSS_SELECTOR, ".talk dd")
    for count, text in ((3, "Some bread, please"), (5, "How much?"), (7, "Here is the money")):
        fill(chromium, text=text)
        press(chromium, "Say it")
        WebDriverWait(chromium, PATIENCE_S).until(
            lambda driver, n=count: len(driver.find_elements(*talk)) == n
        )
    assert "The dialogue has ended." in find(chromium, "#play").text
    assert len(chromium.find_elements(By.CSS_SELECTOR, ".goals .reached")) == 3
    picture_everywhere(chromium, "writing-try")
    press(chromium, "With the model")
    wait_for(chromium, "partner=model")
    fill(chromium, text="I'd like a loaf of bread, please.")
    press(chromium, "Say it")
    WebDriverWait(chromium, PATIENCE_S).until(lambda driver: len(driver.find_elements(*talk)) == 3)
    assert find(chromium, ".talk dt .tag").text == "the model"
    assert len(chromium.find_elements(By.CSS_SELECTOR, ".goals .reached")) == 1
    picture_everywhere(chromium, "writing-try-model")
    press(chromium, "Publish it")
    wait_for(chromium, "#done")
    assert "Learners see revision 1" in find(chromium, ".lead").text
    fill(chromium, title="In the bakery")
    press(chromium, "Write an outline instead")
    assert find(chromium, "[name='parts.0.nodes.0.line']").get_attribute("value")
    press(chromium, "Save")
    wait_for(chromium, "#done")
    picture_everywhere(chromium, "writing-outline")
    press(chromium, "See what has changed since")
    wait_for(chromium, "/changes")
    assert find(chromium, "ins").text == "Title: In the bakery"
    picture_everywhere(chromium, "writing-changes")
    assert complaints(chromium) == []


def send_mail(home: Path, *, link: str) -> None:
    """Sends a mail with a link, and with attacks that a mail must not carry out."""
    html = (
        "<!doctype html><html><body style='font-family: serif'><h1>Ligar à Inês</h1>"
        f"<script>document.body.textContent = 'run'</script><a href='{link}'>The reference</a>"
        "</body></html>"
    )
    with local_aws.running(home) as endpoint_url:
        cloudformation.local_client("sesv2", endpoint_url).send_email(
            FromEmailAddress="parley@parley.example",
            Destination={"ToAddresses": ["learner@parley.example"]},
            Content={
                "Simple": {
                    "Subject": {"Data": "Ligar à Inês"},
                    "Body": {"Html": {"Data": html}, "Text": {"Data": f"See {link}"}},
                }
            },
        )


def test_the_front_page_leads_to_a_mail_whose_link_works(
    chromium: Chrome, service: str, home: Path
) -> None:
    send_mail(home, link=f"{service}/docs")
    set_width(chromium, WIDE)
    chromium.get(service)
    assert "learner@parley.example" in find(chromium, "main").text
    picture_everywhere(chromium, "front")
    find(chromium, "main a[href='/mails']").click()
    wait_for(chromium, "/mails")
    picture_everywhere(chromium, "mails")
    newest = find(chromium, ".rows a")
    assert newest.text == "Ligar à Inês"
    newest.click()
    wait_for(chromium, "/mails/")
    picture_everywhere(chromium, "mail")
    chromium.switch_to.frame(find(chromium, "iframe.mail"))
    assert find(chromium, "h1").text == "Ligar à Inês"  # its script has not run
    find(chromium, "a").click()
    WebDriverWait(chromium, PATIENCE_S).until(lambda driver: len(driver.window_handles) == 2)
    chromium.switch_to.window(chromium.window_handles[1])
    wait_for(chromium, "/docs")
    assert "Parley" in find(chromium, "h1").text


@pytest.mark.parametrize(
    ("path", "end", "shown"),
    [("/browse/", "/browse/login?next=%2Fbrowse", "#POST-email"), ("/docs/", "/docs", "rapi-doc")],
)
def test_an_address_that_ends_with_a_slash_shows_its_page(
    path: str, end: str, shown: str, chromium: Chrome, service: str
) -> None:
    chromium.get(service + path)
    assert find(chromium, shown).is_displayed()
    assert chromium.current_url == service + end
    assert complaints(chromium) == []


def test_the_keyboard_alone_is_enough(chromium: Chrome, service: str) -> None:
    set_width(chromium, PHONE)
    sign_in(chromium, service, "/browse/decks")
    page = find(chromium, "body")
    page.send_keys(Keys.TAB)
    skip = chromium.switch_to.active_element
    assert skip.text == "Skip to the content"
    take_picture(chromium, "skip-link")
    skip.send_keys(Keys.ENTER)
    seen = []
    for _ in range(200):  # the page has a link for each deck
        chromium.switch_to.active_element.send_keys(Keys.TAB)
        here = chromium.switch_to.active_element
        seen.append(here.tag_name)
        outline = "return getComputedStyle(arguments[0]).outlineStyle"
        if here.tag_name != "body":
            assert chromium.execute_script(outline, here) == "solid", here.get_attribute(
                "outerHTML"
            )
        if here.tag_name == "summary" and "Make a deck" in here.text:
            here.send_keys(Keys.ENTER)
        if here.get_attribute("id") == "POST-name":
            break
    assert {"a", "summary", "input"} <= set(seen)
    here.send_keys("Verbos", Keys.ENTER)
    wait_for(chromium, "/browse/decks/")
    assert complaints(chromium) == []


def test_the_second_step_is_set_up_asked_for_and_turned_off(chromium: Chrome, service: str) -> None:
    set_width(chromium, WIDE)
    sign_in(chromium, service, "/browse/auth/mfa/setup")
    find(chromium, "#POST-password").send_keys(PASSWORD, Keys.ENTER)
    assert find(chromium, "img.picture").is_displayed()
    picture_everywhere(chromium, "mfa-set-up")
    secret = answer_of(chromium)["secret"]
    chromium.get(f"{service}/browse/auth/mfa/verify-setup")
    find(chromium, "#POST-code").send_keys(pyotp.TOTP(secret).now(), Keys.ENTER)
    assert "Backup codes" in find(chromium, ".facts").text
    try:
        find(chromium, "header form button").click()
        wait_for(chromium, "/browse/login")
        chromium.get(f"{service}/browse")
        find(chromium, "#POST-email").send_keys(EMAIL)
        find(chromium, "#POST-password").send_keys(PASSWORD, Keys.ENTER)
        code = find(chromium, "#POST-code")
        assert chromium.switch_to.active_element == code
        picture_everywhere(chromium, "login-code")
        code.send_keys(pyotp.TOTP(secret).now(), Keys.ENTER)
        stale = [StaleElementReferenceException]  # the page of before may go between the two looks
        WebDriverWait(chromium, PATIENCE_S, ignored_exceptions=stale).until(
            lambda driver: "Hello, Stefan" in driver.find_element(By.TAG_NAME, "main").text
        )
        chromium.get(f"{service}/browse/auth/activity")
        assert "mfa_enabled" in find(chromium, ".rows").text
        picture_everywhere(chromium, "activity")
    finally:
        chromium.get(f"{service}/browse/auth/mfa/disable")
        find(chromium, "#POST-password").send_keys(PASSWORD, Keys.ENTER)
    assert answer_of(chromium) == {"enabled": False}
    assert complaints(chromium) == []


def in_reference(chromium: Chrome, css: str) -> WebElement:
    """An element within RapiDoc, whose parts have shadow roots of their own."""
    script = """
        const within = (root) => root.querySelector(arguments[0]) ??
          [...root.querySelectorAll("*")].reduce(
            (found, each) => found ?? (each.shadowRoot && within(each.shadowRoot)), null);
        return within(document)"""
    found: WebElement = WebDriverWait(chromium, PATIENCE_S).until(
        lambda driver: driver.execute_script(script, css)
    )
    return found


def test_an_operation_is_tried_in_the_reference_after_a_sign_in(
    chromium: Chrome, service: str
) -> None:
    set_width(chromium, WIDE)
    chromium.get(f"{service}/docs#get-/decks")
    assert "Parley" in find(chromium, "h1").text
    button = in_reference(chromium, "button[part~='btn-try']")
    take_picture(chromium, "reference")
    find(chromium, "#sign-in summary").click()
    find(chromium, "#sign-in [name=email]").send_keys(EMAIL)
    find(chromium, "#sign-in [name=password]").send_keys(PASSWORD, Keys.ENTER)
    WebDriverWait(chromium, PATIENCE_S).until(
        lambda driver: "Signed in" in find(driver, "#sign-in [role=status]").text
    )
    find(chromium, "#sign-in summary").click()
    button = in_reference(chromium, "button[part~='btn-try']")
    chromium.execute_script("arguments[0].click()", button)
    WebDriverWait(chromium, PATIENCE_S).until(
        lambda driver: "OK:200" in in_reference(driver, ".response-message").text
    )
    assert complaints(chromium) == []


RESOLVED_AS = """
    const [version, done] = arguments, within = new Set();
    const plain = (value) => {  // without circles, and without the marks of who resolved it
      if (value === null || typeof value !== "object") return value;
      if (within.has(value)) return "circle";
      within.add(value);
      const copy = Array.isArray(value) ? value.map(plain) : Object.fromEntries(
        Object.entries(value).filter(([name]) => !name.startsWith("$$")).sort()
          .map(([name, each]) => [name, plain(each)]));
      within.delete(value);
      return copy;
    };
    const reference = document.getElementById("reference");
    fetch("schema", { headers: { Accept: "application/vnd.oai.openapi+json" } })
      .then((answer) => answer.json())
      .then((spec) => reference.loadSpec({ ...spec, openapi: version }))
      .then(() => done(reference.resolvedSpec.tags.flatMap(({ paths }) => paths).map(
        ({ method, path, parameters, requestBody, responses }) => JSON.stringify(
          [method, path, plain(parameters), plain(requestBody), plain(responses)]))))"""


@pytest.mark.client
def test_the_reference_shows_the_document_as_its_own_version_would(
    chromium: Chrome, service: str
) -> None:
    chromium.get(f"{service}/docs")
    chromium.set_script_timeout(PATIENCE_S)
    quick, whole = (
        chromium.execute_async_script(RESOLVED_AS, version) for version in ("3.0.3", "3.1.0")
    )
    assert len(quick) > 150
    assert quick == whole
