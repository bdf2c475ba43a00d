"""A sealed text opens for its purpose alone, in time, unchanged, and with older keys."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import KnownNetwork
from accounts.models.limits import Attempts
from config.crypto import InvalidSeal, fingerprint, fingerprints, seal, unseal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=3)
VALUES = {"learner": "ana", "session": "x" * 900}


def test_sealed_values_come_back_and_say_nothing_on_the_way() -> None:
    sealed = seal("test", VALUES, until=LATER)
    assert unseal("test", sealed, now=NOW) == VALUES
    data = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    assert b"ana" not in data
    assert len(sealed) < 900
    assert sealed != seal("test", VALUES, until=LATER)


def test_a_seal_is_for_one_purpose() -> None:
    with pytest.raises(InvalidSeal):
        unseal("another", seal("test", VALUES, until=LATER), now=NOW)


def test_a_seal_ends() -> None:
    sealed = seal("test", VALUES, until=LATER)
    assert unseal("test", sealed, now=LATER - timedelta(seconds=1)) == VALUES
    with pytest.raises(InvalidSeal):
        unseal("test", sealed, now=LATER)


def test_whom_a_limit_counts_is_nobodys_to_guess_and_known_networks_outlive_a_rotation(
    settings: Any, table: None
) -> None:
    maria, home = "maria@example.org", "203.0.113.7"
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the first key", []
    counters = Attempts.at("login", maria).pk
    guess = hashlib.sha256(maria.encode()).hexdigest()[:32]
    assert guess not in counters
    KnownNetwork.new(maria, home, now=NOW).put()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the second key", ["the first key"]
    assert Attempts.at("login", maria).pk != counters
    assert KnownNetwork.includes(maria, home, now=NOW)
    assert not KnownNetwork.includes(maria, "203.0.113.8", now=NOW)
    settings.SECRET_KEY_FALLBACKS = []
    assert not KnownNetwork.includes(maria, home, now=NOW)


def test_any_changed_character_breaks_it() -> None:
    sealed = seal("test", {"learner": "ana"}, until=LATER)
    for at in range(len(sealed) - 1):  # the last one may have bits that stand for nothing
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(InvalidSeal):
            unseal("test", changed, now=NOW)


@pytest.mark.parametrize("text", ["", "A", "AAAA", "é", "a b", "x" * 8192, "%%%%"])
def test_what_never_was_sealed_is_broken(text: str) -> None:
    with pytest.raises(InvalidSeal):
        unseal("test", text, now=NOW)


def test_older_keys_go_on_opening_and_knowing(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the first key", []
    sealed, known = seal("test", VALUES, until=LATER), fingerprint("test", "k4xqn-2mzt7")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the second key", ["the first key"]
    assert unseal("test", sealed, now=NOW) == VALUES
    assert known in fingerprints("test", "k4xqn-2mzt7")
    assert fingerprint("test", "k4xqn-2mzt7") != known
    settings.SECRET_KEY_FALLBACKS = []
    assert known not in fingerprints("test", "k4xqn-2mzt7")
    with pytest.raises(InvalidSeal):
        unseal("test", sealed, now=NOW)


def test_a_fingerprint_is_for_one_purpose() -> None:
    assert fingerprint("codes", "123456") == fingerprint("codes", "123456")
    assert fingerprint("codes", "123456") != fingerprint("other", "123456")
