"""Mail through SES: one template makes the subject, the text part and the HTML part.

A template extends the variable `layout` and fills the blocks `subject` and `body`; its body is
plain paragraphs, which the HTML layout marks up (`config/templates/mail/`), unless the template
fills the blocks `page` and `page_footer`, which only that layout has.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_supported_language_variant, override

from config import aws, telemetry
from config.problems import ServiceUnavailable
from config.stack import stack

SENDER_NAME = "Parley"


class MailRefused(ServiceUnavailable):
    """SES refuses this mail: sending is paused, or it refuses the address or the sender."""


class MessageRejected(MailRefused):
    """SES will never take this mail: its content or its addressee is refused."""


def in_language_of(tag: str | None) -> AbstractContextManager[None]:
    """Chooses the language of texts by a reader's language tag: English where theirs is missing."""
    try:
        return override(get_supported_language_variant(tag or ""))
    except LookupError:
        return override(settings.LANGUAGE_CODE)


def send(
    template: str,
    context: Mapping[str, Any],
    *,
    to: str,
    headers: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Sends a mail to one address and returns SES's message id.

    `headers` are further ones, such as List-Unsubscribe; `tags` come back with SES's events about
    the mail. Raises MailRefused, or what `config.aws.translate_aws_errors` raises.
    """
    where = stack()
    try:
        answer = aws.call(
            "sesv2",
            "send_email",
            FromEmailAddress=f"{SENDER_NAME} <{where.mail_from}>",
            Destination={"ToAddresses": [to]},
            ConfigurationSetName=where.configuration_set,
            Content={"Simple": _content(template, context, headers or {})},
            EmailTags=[{"Name": name, "Value": value} for name, value in (tags or {}).items()],
        )
    except ServiceUnavailable:
        telemetry.emit("MailsFailed")
        raise
    except ClientError as error:
        telemetry.emit("MailsFailed")
        refused = MessageRejected if aws.error_code(error) == "MessageRejected" else MailRefused
        raise refused from error
    telemetry.emit("MailsSent")
    return str(answer["MessageId"])


def accept_again(address: str) -> None:
    """Takes an address off SES's own list of addresses that it does not mail, if it is there.

    Raises MailRefused, or what `config.aws.translate_aws_errors` raises.
    """
    try:
        aws.call("sesv2", "delete_suppressed_destination", EmailAddress=address)
    except ClientError as error:
        if aws.error_code(error) != "NotFoundException":
            raise MailRefused from error


def _content(
    template: str, context: Mapping[str, Any], headers: Mapping[str, str]
) -> dict[str, Any]:
    def render(layout: str) -> dict[str, str]:
        text = render_to_string(template, {**context, "layout": f"mail/{layout}"})
        return {"Data": text.strip(), "Charset": "UTF-8"}

    subject = render("subject.txt")
    subject["Data"] = " ".join(subject["Data"].split())  # a header has one line
    return {
        "Subject": subject,
        "Body": {"Text": render("text.txt"), "Html": render("page.html")},
        "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
    }
