"""A lost update is refused: `If-Match` has the version the client has seen (RFC 9110, 13.1.1)."""

import re

from rest_framework.request import Request
from rest_framework.response import Response

from config.problems import PreconditionFailed, ValidationFailed

ENTITY_TAG = re.compile(r'("?)(\d{1,15})\1', re.ASCII)  # proxies drop the quotes at times


def expected_version(request: Request) -> int | None:
    """The version that `If-Match` demands; None where any will do (no header, or `*`).

    Raises ValidationFailed for a header that is not one of our entity tags.
    """
    header = request.headers.get("If-Match", "*").strip()
    if header == "*":
        return None
    if not (match := ENTITY_TAG.fullmatch(header)):
        raise ValidationFailed.of("If-Match", "invalid", 'Give one version in quotes, e.g. "3".')
    return int(match[2])


def check_version(expected: int | None, actual: int) -> None:
    """Raises PreconditionFailed when the stored version is another than the expected one."""
    if expected is not None and expected != actual:
        raise PreconditionFailed(f"The item is at version {actual}: read it again")


def versioned(response: Response, version: int) -> Response:
    """The answer with the item's version as its entity tag."""
    response["ETag"] = f'"{version}"'
    return response
