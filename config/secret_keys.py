"""The keys that sign cursors and seal tokens, from the environment or the file of a local run."""

import os
import secrets

from django.core.exceptions import ImproperlyConfigured

from config.stack import home

VARIABLE = "PARLEY_SECRET_KEY"


def secret_keys(stage: str) -> list[str]:
    """The keys of a stage, the newest first. The older ones still open what they sealed.

    Raises ImproperlyConfigured if a stage other than `local` has no key, or if the file of a local
    run cannot be made or read.
    """
    if given := os.environ.get(VARIABLE):
        return given.split()
    if stage == "local":
        return [_of_local_run()]
    raise ImproperlyConfigured(f"{VARIABLE} must hold the keys (50 characters or more each)")


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
