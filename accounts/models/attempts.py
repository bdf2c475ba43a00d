"""How often something was tried."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pynamodb.attributes import NumberAttribute
from pynamodb.exceptions import UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from config.problems import ServiceUnavailable
from config.store.connection import connection
from config.store.items import CONDITION_LOST, ConditionFailed, Item, Raw
from config.store.transactions import Delete, transact


class LimitReached(Exception):
    """The counter is full for another `wait_s` seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"full for {wait_s} s")
        self.wait_s = wait_s


class Attempts(Item, discriminator="attempts"):
    """Counters of tries: `ATTEMPTS#<what>#<hash of whom>` / `ATTEMPTS`.

    Each counter is an attribute of its own name. All lapse together at `expires_at`.
    """

    SK = "ATTEMPTS"

    @classmethod
    def at(cls, what: str, whom: str) -> Self:
        """The counters of a subject, who is not readable from the key."""
        return cls(f"ATTEMPTS#{what}#{cls.fingerprint(whom)}", cls.SK)

    @staticmethod
    def fingerprint(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def count_up(
        self, counters: Mapping[str, int], *, now: datetime, within_s: int, renew: bool
    ) -> dict[str, int]:
        """Adds one to every counter, if each is below its maximum; returns the new counts.

        `within_s` runs from the first of the tries, or with `renew` from the last. Raises
        LimitReached. One round trip, unless the limit is reached or lapsed counters lie about.
        """
        now_s = int(now.timestamp())
        until = Attempts.expires_at
        room: Condition = until > now_s
        for name, most in counters.items():
            counter = NumberAttribute(attr_name=name)
            room &= counter.does_not_exist() | (counter < most)
        expiry = now_s + within_s
        actions = [
            *(NumberAttribute(attr_name=name).add(1) for name in counters),
            until.set(expiry if renew else until | expiry),
            Attempts.kind.set(Attempts),
        ]
        for _ in range(5):
            raw = self._change(actions, Attempts.pk.does_not_exist() | room)
            if raw is not None:
                return {name: int(raw[name]["N"]) for name in counters}
            self._drop_expired(now_s)
        raise ServiceUnavailable

    def _drop_expired(self, now_s: int) -> None:
        """Removes lapsed counters. Raises LimitReached when these are not lapsed."""
        stored = self.get_or_none(self.pk, self.sk)
        if stored is None:
            return
        if stored.expires_at > now_s:
            raise LimitReached(int(stored.expires_at) - now_s)
        try:
            transact(Delete(self, Attempts.expires_at == stored.expires_at))
        except ConditionFailed:
            return

    def clear(self) -> None:
        """Forgets all tries."""
        transact(Delete(self))

    def refund(self, *counters: str, forget: str | None = None) -> None:
        """Takes one off each counter, and drops the counter `forget`."""
        actions: list[Action] = [NumberAttribute(attr_name=name).add(-1) for name in counters]
        if forget is not None:
            actions.append(NumberAttribute(attr_name=forget).remove())
        self._change(actions, Attempts.pk.exists())

    def _change(self, actions: Sequence[Action], condition: Condition) -> Raw | None:
        """The item after one conditional update; None when the condition did not hold."""
        try:
            answer: dict[str, Any] = connection().update_item(
                self.pk,
                range_key=self.sk,
                actions=list(actions),
                condition=condition,
                return_values="ALL_NEW",
            )
        except UpdateError as error:
            if error.cause_response_code == f"{CONDITION_LOST}Exception":
                return None
            raise
        counters: Raw = answer["Attributes"]
        return counters
