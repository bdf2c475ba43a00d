"""`/mails`: the mails of a local run, read in a browser."""

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils.html import escape

from config import stack
from config.ops import cloudformation
from config.ops.mails import Mail, mails

pytestmark = pytest.mark.server

ANONYMOUS = Client()
HOSTILE = (
    "<!doctype html><html><head><title>x</title></head><body><script>alert(1)</script>"
    '<img src="https://evil.example/seen.png"><p>Bom dia &amp; até já</p>'
    '<a href="https://parley.example/cards">Cards</a></body></html>'
)


@pytest.fixture(scope="module")
def sent(embedded_aws: stack.Stack) -> list[Mail]:
    """Three mails to Inês, the oldest first."""
    assert embedded_aws.endpoint_url
    ses = cloudformation.local_client("sesv2", embedded_aws.endpoint_url)

    def send(subject: str, headers: list[dict[str, str]] | None = None, **body: str) -> None:
        ses.send_email(
            FromEmailAddress=f"Parley <{embedded_aws.mail_from}>",
            ConfigurationSetName=embedded_aws.configuration_set,
            Destination={"ToAddresses": ["ines@pages.example"]},
            Content={
                "Simple": {
                    "Subject": {"Data": subject},
                    "Body": {kind: {"Data": part} for kind, part in body.items()},
                    "Headers": headers or [],
                }
            },
        )

    send("Your code", Text="Your code is 246810. Go to http://127.0.0.1/verify?a=1&b=2 with it.")
    send("<b>Cartões</b> & mais", Text="Two cards are due.", Html=HOSTILE)
    unsubscribe = [{"Name": "List-Unsubscribe", "Value": "<http://127.0.0.1/unsubscribe/t>"}]
    send("Third", unsubscribe, Html="<p>Only markup</p>")
    return mails(embedded_aws.endpoint_url, to="ines@pages.example")


def page(path: str) -> str:
    answer = ANONYMOUS.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    return str(answer.content.decode())


def address(mail: Mail) -> str:
    path = f"/mails/{quote(mail.id, safe='')}"
    assert f'href="{path}">{escape(mail.subject)}<' in page("/mails")
    return path


def test_the_newest_mail_is_first_with_its_reader_and_its_code(sent: list[Mail]) -> None:
    shown = page("/mails")
    at = [shown.index(escape(mail.subject)) for mail in reversed(sent)]
    assert at == sorted(at)
    assert "ines@pages.example" in shown
    assert "<code>246810</code>" in shown
    assert "<b>Cartões" not in shown


def test_a_mail_has_its_text_beside_its_html_and_links_that_work(sent: list[Mail]) -> None:
    code, _, third = sent
    shown = page(address(code))
    assert 'href="http://127.0.0.1/verify?a=1&amp;b=2"' in shown
    assert "<iframe" not in shown
    assert f"{code.sent_at:%Y-%m-%d %H:%M:%S} UTC" in shown
    shown = page(address(third))
    assert "Only markup" in shown.partition("As plain text")[2]
    assert 'href="http://127.0.0.1/unsubscribe/t"' in shown


def test_the_html_of_a_mail_stands_in_a_frame_that_runs_and_loads_nothing(
    sent: list[Mail],
) -> None:
    where = address(sent[1])
    around = ANONYMOUS.get(where)
    assert f'src="{where}/html"' in around.content.decode()
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in around.content.decode()
    assert "<script" not in around.content.decode()
    assert "frame-src 'self'" in around["Content-Security-Policy"]
    assert around["X-Frame-Options"] == "DENY"
    inside = ANONYMOUS.get(f"{where}/html")
    policy = inside["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "img-src data:", "frame-ancestors 'self'"} <= set(policy)
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert inside["X-Frame-Options"] == "SAMEORIGIN"
    assert inside.content.decode().startswith(
        '<!doctype html><html><head><base target="_blank"><title>'
    )


def test_head_is_answered_and_a_form_is_not(sent: list[Mail]) -> None:
    for path in ("/mails", address(sent[1]), f"{address(sent[1])}/html"):
        assert (ANONYMOUS.head(path).status_code, ANONYMOUS.head(path).content) == (200, b"")
        assert ANONYMOUS.post(path).status_code == 405


@pytest.mark.parametrize("path", ["/mails/nope", "/mails/nope/html", "/mails/%3Cb%3E"])
def test_a_mail_that_is_not_there_is_a_page_of_404(sent: list[Mail], path: str) -> None:
    answer = ANONYMOUS.get(path)
    assert answer.status_code == 404
    assert "There is no such mail" in answer.content.decode()


def test_a_mail_without_html_has_no_frame_to_show(sent: list[Mail]) -> None:
    answer = ANONYMOUS.get(f"{address(sent[0])}/html")
    assert answer.status_code == 404
    assert "This mail has no HTML" in answer.content.decode()


@pytest.mark.usefixtures("embedded_aws")
def test_an_embedded_aws_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_ENDPOINT_URL", "http://127.0.0.1:9")
    stack.stack.cache_clear()
    answer: Any = ANONYMOUS.get("/mails")
    stack.stack.cache_clear()
    assert answer.status_code == 503
    assert "The embedded AWS does not answer" in answer.content.decode()
