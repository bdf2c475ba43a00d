"""The keys that sign cursors and seal tokens, from a local file or a secret parameter."""

import os
import secrets

from django.core.exceptions import ImproperlyConfigured

from config.stack import home

PARAMETER = "PARLEY_SECRET_KEY_PARAMETER"


def secret_keys(stage: str) -> list[str]:
    """The keys of a stage, the newest first. The older ones still open what they sealed.

    Raises ImproperlyConfigured if a stage other than `local` has no key, or if the file of a local
    run cannot be made or read.
    """
    if given := os.environ.get("PARLEY_SECRET_KEY"):
        return given.split()
    if name := os.environ.get(PARAMETER):
        return _parameter(name).split()
    if stage == "local":
        return [_of_local_run()]
    raise ImproperlyConfigured(f"{PARAMETER} must name the keys (50 characters or more each)")


def new_key() -> str:
    """A new random key."""
    return secrets.token_urlsafe(50)


def _parameter(name: str) -> str:
    from config import aws  # local runs and commands need no AWS client for their key

    answer = aws.call("ssm", "get_parameter", Name=name, WithDecryption=True)
    return str(answer["Parameter"]["Value"])


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
