"""Limits on attempts and on what a learner's day may cost, counted in the table.

Attempts are counted before they are made. Every count is one conditional update, so requests at
the same moment cannot pass together. When the table does not answer, nothing is tried (fail
closed). The numbers are `settings.LIMITS`. What a request costs is counted when it is over.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.conf import settings

from accounts.models import Account, Attempts, KnownNetwork, LimitReached
from accounts.models.account import account_cache
from config.client_info import ClientInfo
from config.problems import Problem, TooManyRequests
from config.store.items import ConditionFailed
from config.telemetry import Call

log = logging.getLogger("parley.accounts")

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
    """Begins to count anew: another code was mailed, and the guesses were at the one before."""
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

        Guesses in flight may all be right: one that finds no room but for them waits, and after
        two seconds is told to come again in one.
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
    """What a request costs, in millionths of a dollar."""
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
