"""Browsers in process: a cookie jar, forms with their hidden fields, no scripts."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from django.test import Client
from django.utils import timezone

from accounts.browse import guard, sessions
from accounts.cognito.sessions import Tokens
from accounts.services.profile import read_profile
from accounts.services.sessions import SignedIn
from tests.callers import Caller, access_token

URLENCODED = "application/x-www-form-urlencoded"
REFRESH_TOKEN = "refresh-token-of-tests"


@dataclass
class FoundForm:
    """A form of a page: its address, its fields, and the values that it would send unchanged."""

    action: str = ""
    fields: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[FoundForm] = []
        self.select: str | None = None
        self.writing: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        name, value = said.get("name"), said.get("value") or ""
        if self.forms and name:
            self.forms[-1].fields.add(name)
        if tag == "form":
            self.forms.append(FoundForm(said["action"] or ""))
        elif tag == "select":
            self.select = name
        elif tag == "option" and "selected" in said:
            self._add(self.select, value)
        elif tag == "textarea":
            self.writing = name
            self._add(name, "")
        elif tag == "input" and (said.get("type") != "checkbox" or "checked" in said):
            self._add(name, value)

    def _add(self, name: str | None, value: str) -> None:
        if self.forms and name:
            self.forms[-1].values.setdefault(name, []).append(value)

    def handle_data(self, data: str) -> None:
        if self.writing:
            self.forms[-1].values[self.writing][-1] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.writing = None


@dataclass
class Browser:
    """Someone before a browser; `enforce_csrf_checks`, as in life."""

    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def form(self, path: str, *, sends: str) -> FoundForm:
        """The form at an address that has the field `sends`, or leads to `sends`."""
        return self.form_of(self.get(path), sends=sends)

    def form_of(self, page: Any, *, sends: str) -> FoundForm:
        """The form of a page."""
        forms = self.forms_of(page)
        found = [each for each in forms if sends in each.fields or sends == each.action]
        assert found, f"{page.status_code}: there is no form with {sends}"
        return found[0]

    def forms_of(self, page: Any) -> list[FoundForm]:
        """All forms of a page."""
        reader = _Forms()
        reader.feed(page.content.decode())
        return reader.forms

    def send(self, form: FoundForm, **values: Any) -> Any:
        """Sends a form with some fields filled in."""
        content = urlencode(form.values | values, doseq=True)
        return self.client.post(form.action, content, URLENCODED)


class _Labels(HTMLParser):
    """The ids of a page, and the inputs that have no label."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.inputs: list[str] = []
        self.in_label = False
        self.feed(page.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if "id" in said:
            self.ids.append(said["id"])
        if tag == "label":
            self.in_label = True
            self.labels.add(said.get("for", ""))
        named = self.in_label or "aria-label" in said or said.get("type") == "hidden"
        if tag in ("input", "select", "textarea") and not named:
            self.inputs.append(said["id"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self.in_label = False


def ids_of(page: Any) -> list[str]:
    return _Labels(page).ids


def labelled(page: Any) -> bool:
    """Whether every input of a page has a label."""
    found = _Labels(page)
    return found.labels.issuperset(found.inputs)


def signed_in(caller: Caller, *, expires_in_s: int = 3600, **token: Any) -> Browser:
    """The browser of a learner, signed in as by the login page."""
    made = cookie_of(caller, expires_in_s=expires_in_s, **token)
    browser = Browser()
    browser.client.cookies[guard.COOKIE] = made
    return browser


def cookie_of(caller: Caller, *, expires_in_s: int = 3600, **token: Any) -> str:
    """The cookie of a new session."""
    groups = frozenset(token.pop("groups", ("staff",)))
    found = read_profile(caller.id, groups=groups, now=timezone.now())
    assert found is not None
    access = access_token(caller.id, groups=tuple(groups), **token)
    tokens = Tokens(access, "id-token", REFRESH_TOKEN, expires_in_s)
    return sessions.begin(SignedIn(tokens, found), now=timezone.now())
