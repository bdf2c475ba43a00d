"""A stand-in for Polly, Translate and Transcribe, and the bucket that they write to."""

from collections.abc import Iterator
from typing import Any

import pytest

from config import aws
from config.ops import voice_stand_in
from config.ops.voice_stand_in import StandIn


@pytest.fixture(scope="module")
def voice_served() -> Iterator[StandIn]:
    with voice_stand_in.serving() as stand_in:
        yield stand_in


@pytest.fixture
def voice(
    voice_served: StandIn, bucket: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIn]:
    """The stage's voice; `requests` has what it was asked."""
    voice_served.requests.clear()
    voice_served.refuses = None
    monkeypatch.setenv("PARLEY_VOICE_URL", voice_served.url)
    settings.VOICE = True
    aws._client.cache_clear()
    yield voice_served
    aws._client.cache_clear()


def asked(stand_in: StandIn, operation: str) -> list[dict[str, Any]]:
    """The bodies of what a stand-in was asked."""
    return [body for name, body in stand_in.requests if name == operation]
