"""Time-based one-time passwords (RFC 6238) and the codes that stand in for them."""

import base64
import hashlib
import hmac
import secrets
import struct
from collections.abc import Iterator
from urllib.parse import quote, urlencode

STEP_S = 30
ISSUER = "Parley"
BACKUP_CODES = 10
# RFC 4648's base32 in lower case: no 0, 1 or 8 to take for O, I or B.
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def code_at(secret: str, epoch_s: float) -> str:
    """The six digits of the 30-second step of an instant; `secret` is base32."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=True)
    digest = hmac.new(key, struct.pack(">Q", int(epoch_s // STEP_S)), hashlib.sha1).digest()
    at = digest[-1] & 0x0F
    (number,) = struct.unpack(">I", digest[at : at + 4])
    return f"{(number & 0x7FFFFFFF) % 10**6:06d}"


def codes_around(secret: str, epoch_s: float) -> Iterator[str]:
    """The codes of this step, the one before and the one after: a verifier takes all three."""
    for step in (0, -1, 1):
        yield code_at(secret, epoch_s + step * STEP_S)


def otpauth_uri(secret: str, email: str) -> str:
    """What authenticator apps read (Google Authenticator: "Key URI format")."""
    query = urlencode({"secret": secret, "issuer": ISSUER})
    return f"otpauth://totp/{ISSUER}:{quote(email)}?{query}"


def new_backup_codes() -> list[str]:
    """Ten codes of fifty random bits, e.g. `k4xqn-2mzt7`."""
    return [
        "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(2))
        for _ in range(BACKUP_CODES)
    ]
