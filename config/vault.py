"""Secrets at rest, encrypted by the stack's KMS key."""

from config import aws
from config.stack import stack


def encrypt(text: str, *, owner: str) -> bytes:
    """The ciphertext of at most 4 KB of text, which opens for the same owner only."""
    answer = aws.call(
        "kms",
        "encrypt",
        KeyId=stack().key_id,
        Plaintext=text.encode(),
        EncryptionContext={"owner": owner},
    )
    ciphertext: bytes = answer["CiphertextBlob"]
    return ciphertext


def decrypt(ciphertext: bytes, *, owner: str) -> str:
    """The text again."""
    answer = aws.call(
        "kms",
        "decrypt",
        KeyId=stack().key_id,
        CiphertextBlob=ciphertext,
        EncryptionContext={"owner": owner},
    )
    plaintext: bytes = answer["Plaintext"]
    return plaintext.decode()
