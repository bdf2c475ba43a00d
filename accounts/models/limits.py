"""Limits on attempts and on what a learner's day may cost, counted in the table.

Attempts are counted before they are made. Every count is one conditional update, so requests at
the same moment cannot pass together. When the table does not answer, nothing is tried (fail
closed). The numbers are `settings.LIMITS`. The networks from which an account was entered have
their attempts counted apart. What a request costs is counted when it is over.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.utils import timezone
from pynamodb.attributes import NumberAttribute
from pynamodb.exceptions import UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from accounts.models.account import Account, account_cache
from config.client_info import ClientInfo
from config.crypto import fingerprint, fingerprints
from config.problems import Problem, ServiceUnavailable, TooManyRequests
from config.records import dataclass
from config.store.connection import connection
from config.store.items import CONDITION_LOST, ConditionFailed, Item, Raw
from config.store.transactions import Delete, transact
from config.telemetry import Call, calls

log = logging.getLogger("parley.accounts")

# --- Counters -------------------------------------------------------------------------------------

IN_FLIGHT = "_in_flight"
# Addresses and networks can be guessed: their hashes are keyed.
WHOM, SHORT = "whom a limit counts", 32


def _counter(name: str) -> NumberAttribute:
    return NumberAttribute(attr_name=name)


def _in_flight(name: str) -> NumberAttribute:
    return _counter(f"{name}{IN_FLIGHT}")


def _number(raw: Raw, name: str) -> int:
    return int(raw[name]["N"]) if name in raw else 0


class LimitReached(Exception):
    """A counter is full for another `wait_s` seconds.

    `in_flight`: it is full with attempts whose outcome is not known yet.
    """

    def __init__(self, wait_s: int, *, in_flight: bool = False) -> None:
        super().__init__(f"full for {wait_s} s")
        self.wait_s = wait_s
        self.in_flight = in_flight


class Attempts(Item, discriminator="attempts"):
    """Counters of attempts: `ATTEMPTS#<what>#<hash of whom>` / `ATTEMPTS`.

    Each counter is an attribute of its own name; those of attempts whose outcome decides whether
    they count have a second one, how many are in flight. All lapse together at `expires_at`.
    `begun_at` is the epoch second of the newest attempt in flight.
    """

    SK = "ATTEMPTS"
    IN_FLIGHT_S = 30  # no request lasts longer: an attempt that was cut off counts as a failure

    begun_at = NumberAttribute(null=True)

    @classmethod
    def at(cls, what: str, whom: str) -> Self:
        """The counters of a subject, whom nobody can read from the key."""
        return cls(f"ATTEMPTS#{what}#{cls.fingerprint(whom)}", cls.SK)

    @staticmethod
    def fingerprint(text: str) -> str:
        """The hash of a subject by our present key: limits begin anew when the keys are rotated."""
        return fingerprint(WHOM, text)[:SHORT]

    def count_up(
        self,
        counters: Mapping[str, int],
        *,
        now: datetime,
        within_s: int,
        renew: bool,
        in_flight: bool = False,
    ) -> dict[str, int]:
        """Adds one to every counter, if each is below its maximum; returns the new counts.

        `within_s` runs from the first of the attempts, or with `renew` from the last. Attempts
        `in_flight` are to be followed by `settle`. Raises LimitReached. One round trip, unless the
        limit is reached or lapsed counters lie about.
        """
        now_s = int(now.timestamp())
        until = Attempts.expires_at
        room: Condition = until > now_s
        for name, most in counters.items():
            counter = _counter(name)
            room &= counter.does_not_exist() | (counter < most)
        expiry = now_s + within_s
        actions: list[Action] = [
            *(_counter(name).add(1) for name in counters),
            until.set(expiry if renew else until | expiry),
            Attempts.kind.set(Attempts),
        ]
        if in_flight:
            actions += [_in_flight(name).add(1) for name in counters]
            actions.append(Attempts.begun_at.set(now_s))
        for _ in range(5):
            raw = self._change(actions, Attempts.pk.does_not_exist() | room)
            if raw is not None:
                return {name: _number(raw, name) for name in counters}
            self._drop_expired(counters, now_s)
        raise ServiceUnavailable

    def add(self, counter: str, amount: int, *, until: datetime) -> int:
        """Adds to a counter that has no maximum and lapses at an instant; returns the sum."""
        actions = [
            _counter(counter).add(amount),
            Attempts.expires_at.set(int(until.timestamp())),
            Attempts.kind.set(Attempts),
        ]
        raw = self._change(actions, None)
        return _number(raw or {}, counter)

    def _drop_expired(self, counters: Mapping[str, int], now_s: int) -> None:
        """Removes lapsed counters. Raises LimitReached when these are not lapsed."""
        stored = self.get_or_none(self.pk, self.sk)
        if stored is None:
            return
        if stored.expires_at > now_s:
            raise LimitReached(
                int(stored.expires_at) - now_s, in_flight=stored._is_in_flight(counters, now_s)
            )
        try:
            transact(Delete(self, Attempts.expires_at == stored.expires_at))
        except ConditionFailed:
            return

    def _is_in_flight(self, counters: Mapping[str, int], now_s: int) -> bool:
        """Whether the counters would have room without the attempts in flight."""
        return now_s - (self.begun_at or 0) <= self.IN_FLIGHT_S and all(
            _number(self.raw, name) - _number(self.raw, f"{name}{IN_FLIGHT}") < most
            for name, most in counters.items()
        )

    def clear(self) -> None:
        """Forgets all attempts."""
        transact(Delete(self))

    def refund(self, *counters: str, forget: str | None = None) -> None:
        """Takes one off each counter, and drops the counter `forget`."""
        actions: list[Action] = [_counter(name).add(-1) for name in counters]
        if forget is not None:
            actions.append(_counter(forget).remove())
        self._change(actions, Attempts.pk.exists())

    def settle(self, *counters: str, failed: bool, forget: str | None = None) -> None:
        """Ends an attempt in flight, which goes on to count if it has `failed`.

        Also takes the failures before it off the counter `forget`.
        """
        there: Condition = Attempts.pk.exists()
        actions: list[Action] = []
        for name in counters:
            there &= _in_flight(name) > 0
            actions.append(_in_flight(name).add(-1))
            if not failed:
                actions.append(_counter(name).add(-1))
        raw = self._change(actions, there)  # None: the counters were cleared meanwhile
        if raw is not None and forget is not None:
            self._forget(forget, raw)

    def _forget(self, name: str, raw: Raw) -> None:
        """Drops all but the attempts in flight from a counter, unless it has changed meanwhile."""
        counted, in_flight = _number(raw, name), _number(raw, f"{name}{IN_FLIGHT}")
        if counted > in_flight:
            unchanged = (_counter(name) == counted) & (_in_flight(name) == in_flight)
            self._change([_counter(name).set(in_flight)], unchanged)

    def _change(self, actions: Sequence[Action], condition: Condition | None) -> Raw | None:
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


class KnownNetwork(Item, discriminator="known_network"):
    """A network from which an account was entered: `KNOWN#<hash of address and network>` / `KNOWN`.

    Strangers cannot use up the attempts of its owner there. Kept for 90 days.
    """

    SK = "KNOWN"
    KEPT = timedelta(days=90)

    @classmethod
    def new(cls, email: str, network: str, *, now: datetime) -> Self:
        until = int((now + cls.KEPT).timestamp())
        return cls(next(cls._keys(email, network)), cls.SK, expires_at=until)

    @classmethod
    def includes(cls, email: str, network: str, *, now: datetime) -> bool:
        """Whether the account with this address was entered from there.

        One consistent read, and one more for each older key of ours.
        """
        known = (cls.get_or_none(key, cls.SK) for key in cls._keys(email, network))
        return any(item is not None and item.expires_at > now.timestamp() for item in known)

    @staticmethod
    def _keys(email: str, network: str) -> Iterator[str]:
        for whom in fingerprints(WHOM, f"{email} {network}"):
            yield f"KNOWN#{whom[:SHORT]}"


# --- Limits ---------------------------------------------------------------------------------------


ALL = "all"


@dataclass(frozen=True)
class Limit:
    """So many times within so many seconds."""

    times: int
    within_s: int


def limit(name: str) -> Limit:
    """The limit of this name in the settings."""
    return Limit(*settings.LIMITS[name])


def hit(name: str, subject: str, *, now: datetime) -> None:
    """Counts an attempt of `subject` against the limit `name`. Raises TooManyRequests."""
    allowed = limit(name)
    _hit_counters(
        Attempts.at(name, subject), {ALL: allowed.times}, allowed.within_s, now, renew=False
    )


def hit_address(name: str, email: str, source: ClientInfo, *, now: datetime) -> None:
    """Counts an attempt at what belongs to an address, such as the code that was mailed to it.

    There is a limit for each source (`<name>_here`) and one for all of them together, which does
    not bind the networks that the owner has signed in from: nobody can use up the owner's attempts
    there. Raises TooManyRequests.
    """
    here, anywhere = limit(f"{name}_here"), limit(name)
    attempts = Attempts.at(name, email)
    from_here = _from(source)
    try:
        _hit_counters(
            attempts,
            {from_here: here.times, ALL: anywhere.times},
            anywhere.within_s,
            now,
            renew=False,
        )
    except TooManyRequests:
        if not KnownNetwork.includes(email, source.network, now=now):
            raise
        _hit_counters(attempts, {from_here: here.times}, here.within_s, now, renew=False)


def forget_attempts(name: str, email: str) -> None:
    """Begins to count anew: another code was mailed, and the guesses were at the former one."""
    Attempts.at(name, email).clear()


def _from(source: ClientInfo) -> str:
    return f"from_{Attempts.fingerprint(source.network)}"


def hit_counters(attempts: Attempts, counters: Mapping[str, str], *, now: datetime) -> None:
    """Counts an attempt in each counter; `counters` maps them to limits. Raises TooManyRequests."""
    limits = {counter: limit(name) for counter, name in counters.items()}
    within_s = max(counter_limit.within_s for counter_limit in limits.values())
    most = {counter: counter_limit.times for counter, counter_limit in limits.items()}
    _hit_counters(attempts, most, within_s, now, renew=True)


def _hit_counters(
    attempts: Attempts, counters: Mapping[str, int], within_s: int, now: datetime, *, renew: bool
) -> dict[str, int]:
    try:
        return attempts.count_up(counters, now=now, within_s=within_s, renew=renew)
    except LimitReached as error:
        raise TooManyRequests(retry_after_s=error.wait_s) from error


WAITS, WAIT_S = 20, 0.1  # how long an attempt waits for those in flight before it


def _begin(
    attempts: Attempts, counters: Mapping[str, int], within_s: int, now: datetime, *, renew: bool
) -> dict[str, int]:
    """Counts an attempt in flight. Waits for those before it where only they leave no room."""
    for _ in range(WAITS):
        try:
            return attempts.count_up(
                counters, now=now, within_s=within_s, renew=renew, in_flight=True
            )
        except LimitReached as error:
            if not error.in_flight:
                raise TooManyRequests(retry_after_s=error.wait_s) from error
        time.sleep(WAIT_S)
    raise TooManyRequests(retry_after_s=1)


@dataclass(frozen=True)
class LoginAttempt:
    """One guess at a secret of an account, counted as a failure until its outcome is known.

    Three counters: the account from one source, the account from anywhere, the source over all
    accounts. The first two stand in one item, so that both are taken or none; they lapse after a
    quarter of an hour without a guess, so no such span can hold more guesses than the limit.
    Where the owner has signed in from before, the failures of others elsewhere do not count.
    `locks`: no guess is left after this one. `failures`: how many there were, with this one.
    """

    attempts: Attempts
    counted: tuple[str, ...]
    source: Attempts
    locks: bool
    failures: int

    @classmethod
    def begin(cls, account: str, source: ClientInfo, *, now: datetime) -> "LoginAttempt":
        """Counts the guess. Raises TooManyRequests, also for what would be the right guess.

        Guesses in flight may all be right. So a guess for which only they leave no room waits, and
        after two seconds is told to come again in one.
        """
        here, anywhere, spray = limit("login"), limit("login_account"), limit("login_source")
        attempts = Attempts.at("login", account)
        counters = {_from(source): here.times, ALL: anywhere.times}
        try:
            counted = _begin(attempts, counters, here.within_s, now, renew=True)
        except TooManyRequests:
            if not KnownNetwork.includes(account, source.network, now=now):
                raise
            del counters[ALL]
            counted = _begin(attempts, counters, here.within_s, now, renew=True)
        by_source = Attempts.at("login_source", source.network)
        try:
            _begin(by_source, {ALL: spray.times}, spray.within_s, now, renew=False)
        except TooManyRequests:
            attempts.settle(*counters, failed=False)
            raise
        locks = any(counted[name] == most for name, most in counters.items())
        return cls(attempts, tuple(counters), by_source, locks, max(counted.values()))

    def failed(self) -> None:
        """The guess was wrong."""
        self.attempts.settle(*self.counted, failed=True)
        self.source.settle(ALL, failed=True)

    def succeeded(self) -> None:
        """The guess was right: this source's failures are forgotten."""
        self.attempts.settle(*self.counted, failed=False, forget=self.counted[0])
        self.source.settle(ALL, failed=False)

    def undo(self) -> None:
        """Nobody knows whether the guess was right: it counts for nothing."""
        self.attempts.settle(*self.counted, failed=False)
        self.source.settle(ALL, failed=False)


# --- A learner's day ------------------------------------------------------------------------------

# What AWS charges, in millionths of a dollar: units of the table; a request by API Gateway, Lambda
# and its log line; a second of the function at 1 GB; a byte to the client (config/ops/prices.json).
READ_UNIT, WRITE_UNIT, REQUEST, SECOND, BYTE = 0.125, 0.625, 3.9, 13.3334, 0.00009


def cost_of(calls: Iterable[Call], took_s: float, sent_bytes: int) -> float:
    """What a request costs, in millionths of a dollar. A signed address is taken as used once."""
    for call in calls:
        sent_bytes += call.sent_bytes
    units = sum(call.units * (WRITE_UNIT if call.is_write else READ_UNIT) for call in calls)
    return REQUEST + units + SECOND * took_s + BYTE * sent_bytes


@dataclass
class DayMeter:
    """Bars a learner until midnight (UTC) once the day's requests have cost `settings.DAY_USD`.

    Each process keeps what it has counted of a learner until it is a tenth of a cent, and then
    adds it to the learner's counter in the table. So nearly all learners' days cost no write, and
    no day can cost more than the limit and, for each process, a tenth of a cent and one request.
    """

    step: float = 1_000
    most: int = 10_000
    _kept: dict[str, float] = field(default_factory=dict)

    def add(self, learner_id: str, cost: float, *, now: datetime) -> None:
        """Counts what a request has cost, in millionths of a dollar.

        A failure is only logged, since the request has been served.
        """
        kept = self._kept.pop(learner_id, 0.0) + cost
        if kept >= self.step and self._is_told(learner_id, round(kept), now):
            return
        if len(self._kept) >= self.most:
            self._kept.clear()
        self._kept[learner_id] = kept

    def _is_told(self, learner_id: str, cost: int, now: datetime) -> bool:
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
        counter = Attempts.at("day", f"{learner_id} {now.date()}")
        try:
            spent = counter.add("cost", cost, until=midnight)
        except Problem:
            log.exception("what a learner's requests have cost was not counted")
            return False
        if spent >= settings.DAY_USD * 1_000_000:
            with suppress(ConditionFailed, Problem):  # gone; else the next step bars
                Account.at(learner_id).bar_until(midnight)
                log.warning("a learner's day is used up")
            account_cache.forget(learner_id)
        return True


day_meter = DayMeter()


@contextmanager
def charged(learner_id: str) -> Iterator[None]:
    """Adds to a learner's day the cost of work that is done for them apart from a request."""
    made: list[Call] = []
    begun, token = time.monotonic(), calls.set(made)
    try:
        yield
    finally:
        calls.reset(token)
        day_meter.add(learner_id, cost_of(made, time.monotonic() - begun, 0), now=timezone.now())
