"""Values that leave us and come back unread and unchanged, and texts known by their fingerprint.

Keys are derived from `SECRET_KEY`, one for each purpose; `SECRET_KEY_FALLBACKS` go on opening what
they closed. AES-256-GCM (NIST SP 800-38D) with random nonces: good for 2³² seals under one key.
"""

import base64
import hashlib
import hmac
import json
import os
import zlib
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings

NONCE_LENGTH = 12


class InvalidSeal(Exception):
    """The text is not one of ours, was changed, is for something else, or is too old."""


@cache
def _key(secret: str, purpose: str) -> bytes:
    """HKDF-SHA256 (RFC 5869) with an empty salt, one block of output."""
    extracted = hmac.new(bytes(32), secret.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, purpose.encode() + b"\x01", hashlib.sha256).digest()


def _keys(purpose: str) -> Iterator[bytes]:
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        yield _key(secret, purpose)


def seal(purpose: str, values: dict[str, Any], *, until: datetime) -> str:
    """An opaque text that only `unseal` with the same purpose reads, until that instant."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # slow to load

    content = json.dumps({**values, "until": until.timestamp()}, separators=(",", ":"))
    nonce = os.urandom(NONCE_LENGTH)
    closed = AESGCM(next(_keys(purpose))).encrypt(
        nonce, zlib.compress(content.encode()), purpose.encode()
    )
    return base64.urlsafe_b64encode(nonce + closed).rstrip(b"=").decode()


def unseal(purpose: str, text: str, *, now: datetime) -> dict[str, Any]:
    """The values of a sealed text. Raises InvalidSeal."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise InvalidSeal from error
    for key in _keys(purpose):
        try:
            opened = AESGCM(key).decrypt(data[:NONCE_LENGTH], data[NONCE_LENGTH:], purpose.encode())
        except (InvalidTag, ValueError):
            continue
        values: dict[str, Any] = json.loads(zlib.decompress(opened))
        if values.pop("until") <= now.timestamp():
            raise InvalidSeal
        return values
    raise InvalidSeal


def fingerprint(purpose: str, text: str) -> str:
    """A keyed hash of a short secret: of no use without our key, however short the secret is."""
    return next(fingerprints(purpose, text))


def fingerprints(purpose: str, text: str) -> Iterator[str]:
    """The fingerprints a text may have been stored under, the present key's first."""
    for key in _keys(purpose):
        yield hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
