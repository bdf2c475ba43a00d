"""/health: the service runs; /health/ready: it can work."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from config import aws, health
from config.problems import ServiceUnavailable


class Clock:
    now = 1000.0

    @classmethod
    def monotonic(cls) -> float:
        return cls.now


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The services that were asked. Every answer is good."""
    found: list[str] = []

    def call(service: str, operation: str, **_: Any) -> dict[str, Any]:
        found.append(service)
        return {}

    monkeypatch.setattr(aws, "call", call)
    monkeypatch.setattr(
        health, "stack", lambda: SimpleNamespace(table_name="table", user_pool_id="pool")
    )
    monkeypatch.setattr(health, "time", Clock)
    monkeypatch.setattr(health.ReadyView, "_asked_at", float("-inf"))
    yield found
    health.ReadyView._asked_at = float("-inf")


def test_whoever_asks_often_spends_no_quota_of_the_pool(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(100):
        assert Client().get("/health/ready").status_code == 200
    assert asked == ["dynamodb", "cognito-idp"]
    monkeypatch.setattr(Clock, "now", Clock.now + health.ReadyView.KEPT_S + 1)
    assert Client().get("/health/ready").status_code == 200
    assert len(asked) == 4


def test_a_failure_is_told_as_long_and_no_longer(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(service: str, *_: Any, **__: Any) -> Any:
        asked.append(service)
        raise ServiceUnavailable

    good = aws.call
    monkeypatch.setattr(aws, "call", refuse)
    for _ in range(2):
        answer = Client().get("/health/ready")
        assert (answer.status_code, answer.json()["detail"]) == (503, "The table does not answer")
    assert asked == ["dynamodb"]
    monkeypatch.setattr(aws, "call", good)
    monkeypatch.setattr(Clock, "now", Clock.now + health.ReadyView.KEPT_S + 1)
    assert Client().get("/health/ready").status_code == 200


def test_liveness_asks_nobody(asked: list[str]) -> None:
    assert Client().get("/health").json() == {"status": "ok"}
    assert asked == []
