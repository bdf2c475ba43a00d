"""Our secret keys, what they seal, and the fingerprints that they make.

A sealed text leaves us and comes back unread and unchanged. Keys are derived from `SECRET_KEY`, one
for each purpose; `SECRET_KEY_FALLBACKS` go on opening what they closed. AES-256-GCM (NIST SP
800-38D) with random nonces: good for 2³² seals under one key.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import zlib
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.stack import home

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


# --- Where the keys come from: the environment, or the file of a local run ------------------------


KEYS_VARIABLE = "PARLEY_SECRET_KEY"


def secret_keys(stage: str) -> list[str]:
    """The keys of a stage, the newest first. The older ones still open what they sealed.

    Raises ImproperlyConfigured if a stage other than `local` has no key, or if the file of a local
    run cannot be made or read.
    """
    if given := os.environ.get(KEYS_VARIABLE):
        return given.split()
    if stage == "local":
        return [_of_local_run()]
    raise ImproperlyConfigured(f"{KEYS_VARIABLE} must hold the keys (50 characters or more each)")


def new_key() -> str:
    """A new random key."""
    return secrets.token_urlsafe(50)


def _of_local_run() -> str:
    path = home() / "secret-key"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(new_key())
            draft.replace(path)
        key = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"the state folder {path.parent} cannot be used: {error.strerror}"
        ) from error
    except UnicodeDecodeError:
        key = ""
    if not key:
        raise ImproperlyConfigured(f"{path} holds no key: remove it, and a new one is made")
    return key
