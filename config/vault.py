"""Secrets at rest, encrypted by the stack's KMS key."""

import logging
from typing import Any

from botocore.exceptions import ClientError

from config import aws
from config.problems import UpstreamFailed
from config.stack import stack

log = logging.getLogger("parley.vault")


def encrypt(text: str, *, owner: str) -> bytes:
    """The ciphertext of at most 4 KB of text, which opens for the same owner only."""
    ciphertext: bytes = _call("encrypt", owner, Plaintext=text.encode())["CiphertextBlob"]
    return ciphertext


def decrypt(ciphertext: bytes, *, owner: str) -> str:
    """The text again."""
    plaintext: bytes = _call("decrypt", owner, CiphertextBlob=ciphertext)["Plaintext"]
    return plaintext.decode()


def _call(operation: str, owner: str, **arguments: Any) -> dict[str, Any]:
    """A key that is disabled, being deleted or not for us is no fault of the request: 502."""
    context = {"owner": owner}
    try:
        return aws.call(
            "kms", operation, KeyId=stack().key_id, EncryptionContext=context, **arguments
        )
    except ClientError as error:
        code = aws.error_code(error)
        log.error("refused", extra={"fields": {"operation": operation, "code": code}})
        raise UpstreamFailed from error
