"""The signing key of a local run, made once; every other stage must be given its own."""

import os
import secrets

from django.core.exceptions import ImproperlyConfigured

from config.stack import home


def local_secret(stage: str) -> str:
    """The key kept in the local state folder. Raises ImproperlyConfigured for other stages."""
    if stage != "local":
        raise ImproperlyConfigured("PARLEY_SECRET_KEY must be set (50 characters or more)")
    path = home() / "secret-key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        draft.replace(path)
    return path.read_text().strip()
