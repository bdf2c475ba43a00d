"""One learner's claimed reminders: what each owes now, into which mails it goes, how that ended.

A mail is handed to SES in three steps. Its deliveries are recorded as `sending`, on condition that
none is settled, that our claims hold and that the day has room; SES is called; the deliveries are
recorded as `sent` and the reminders advanced. Who dies before the first step has done nothing. Who
dies between it and the last leaves a record that says so: the next sweeper sends again, once, what
would otherwise be missed, and never a digest, of which there will be another.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from ulid import ULID

from accounts.models import Account, Profile, learner_key
from config.aws import Throttled
from config.problems import ServiceUnavailable
from config.table import ConditionFailed, Item, Write, fetch, transact
from learning.days import possible_days
from learning.models.log import Day
from learning.services.settings import Study
from learning.services.study import due_queue
from reminders import emails, plan
from reminders.models import (
    DEAD,
    RETRYING,
    SENDING,
    SETTLED,
    SKIPPED,
    STUDY,
    UNCONFIRMED,
    Delivery,
    Event,
    MailDay,
    Reminder,
    Suppression,
)

log = logging.getLogger("parley.reminders")

LEASE = timedelta(seconds=120)
"""How long a sweeper may take over one learner's reminders: a few calls of at most 18 s each."""
MOST_IN_ONE = 40
"""Dues in one mail: they are recorded in one transaction, of at most 100 writes."""

Stored = Mapping[tuple[str, str], Item]


class Overloaded(Exception):
    """SES takes no more mails at present: what was claimed comes up again after its lease."""


class NoWord(Exception):
    """Whether SES has taken a mail is not known: its record is looked at after the lease."""


class DayFull(Exception):
    """The learner has had as many mails today as one day may bring."""


@dataclass(frozen=True)
class Reader:
    """The learner as a mail needs to know them.

    `barred` says why they may not be mailed, `needless` why not about study, each empty where
    they may; `due_cards` is how much there is to study.
    """

    account: Account
    profile: Profile
    barred: str = ""
    needless: str = ""
    due_cards: int = 0

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.profile.timezone)

    @property
    def preferences(self) -> plan.Preferences:
        starts, ends = self.profile.quiet_from, self.profile.quiet_until
        if not starts or not ends or starts == ends:
            return plan.Preferences()
        zone = self.profile.timezone
        return plan.Preferences(
            plan.QuietHours(time.fromisoformat(starts), time.fromisoformat(ends), zone)
        )

    def refusal(self, about: str) -> str:
        """Why a kind of reminder is not mailed now, or empty."""
        if about != STUDY:
            return self.barred or ("" if self.profile.event_mails else "unsubscribed")
        return self.barred or ("" if self.profile.study_mails else "unsubscribed") or self.needless


@dataclass
class Task:
    """A claimed reminder: what it still owes by now, and where it stands once that is settled.

    `stored` has what an interrupted sweeper has left, by the key of the due.
    """

    reminder: Reminder
    rule: plan.Reminder
    event: Event | None
    progress: plan.Progress
    left: list[plan.Due]
    stored: dict[str, Delivery] = field(default_factory=dict)


Owed = tuple[Task, plan.Due]


def mail_dues(claimed: Sequence[Reminder], *, now: datetime) -> Counter[str]:
    """Settles what one learner's claimed reminders owe; returns how their deliveries ended.

    A reminder that cannot be dealt with is tried again later, and in the end is dead. Raises
    Overloaded.
    """
    counts: Counter[str] = Counter()
    try:
        _settle(claimed, counts, now)
    except Overloaded:
        raise
    except ConditionFailed:
        log.info("overtaken: what is left comes up again after its lease")
    except NoWord:
        log.warning("no word of a mail: it is looked at again after its lease", exc_info=True)
    except Exception as error:  # what fails must not keep all others from being sent
        log.exception("a reminder failed")
        for reminder in claimed:
            counts[_failed(reminder, type(error).__name__, now)] += 1
    return counts


def _settle(claimed: Sequence[Reminder], counts: Counter[str], now: datetime) -> None:
    reader, stored = _read(claimed, now)
    sendable: list[Owed] = []
    for reminder in claimed:
        task = _task(reminder, reader, stored, now) if reader else None
        if reader is None or task is None:
            _retire(reminder)
            continue
        held_until = plan.release_at(now, reader.preferences.quiet)
        if task.left and held_until > now:
            _hold(reminder, held_until)
            counts["held"] += 1
            continue
        if refusal := reader.refusal(reminder.about):
            for due in list(task.left):
                _record(task, due, SKIPPED, refusal, now)
                counts[SKIPPED] += 1
        if task.left:
            sendable += [(task, due) for due in task.left]
        else:
            transact(_advanced(task))
    if reader:
        for mail in _mails(sendable, reader):
            counts.update(_send(mail, reader, now))


def _read(claimed: Sequence[Reminder], now: datetime) -> tuple[Reader | None, Stored]:
    """All that the decisions need, in one round trip, and the study queue where it is told of.

    None where there is no such learner any more.
    """
    learner_id = claimed[0].learner_id
    pk = learner_key(learner_id)
    keys = [(pk, Account.SK), (pk, Profile.SK), (pk, Suppression.SK)]
    keys += [Event.key(learner_id, str(each.event_id)) for each in claimed if each.event_id]
    studies = any(each.about == STUDY for each in claimed)
    if studies:
        keys += Study.keys(learner_id)
        keys += [Day.key(learner_id, day) for day in possible_days(now)]
    stored = {**fetch(*keys[:100]), **(fetch(*keys[100:]) if keys[100:] else {})}
    account, profile = stored.get((pk, Account.SK)), stored.get((pk, Profile.SK))
    if not isinstance(account, Account) or not isinstance(profile, Profile):
        return None, stored
    barred = _bar(account, stored.get((pk, Suppression.SK)))
    if barred or not studies:
        return Reader(account, profile, barred), stored
    if _has_met_goal(profile, stored, now):
        return Reader(account, profile, barred, "goal_met"), stored
    queue = due_queue(learner_id=learner_id, deck_id=None, limit=0, now=now)
    due = min(queue.learning + queue.review + queue.new, emails.MANY)
    return Reader(account, profile, barred, "" if due else "nothing_due", due), stored


def _bar(account: Account, suppression: Item | None) -> str:
    """Why an account is not mailed at all, or empty."""
    if account.disabled:
        return "disabled"
    if not account.email_verified:
        return "unverified"
    same = isinstance(suppression, Suppression) and suppression.email == account.email
    return "suppressed" if same else ""


def _has_met_goal(profile: Profile, stored: Stored, now: datetime) -> bool:
    learner_id = profile.pk.partition("#")[2]
    today = Study.of(learner_id, stored).calendar.day(now)
    day = stored.get(Day.key(learner_id, today))
    return isinstance(day, Day) and day.counted("reviews") >= profile.daily_goal


def _task(reminder: Reminder, reader: Reader, stored: Stored, now: datetime) -> Task | None:
    """What a reminder owes; None where its event is no more."""
    event = stored.get(Event.key(reminder.learner_id, str(reminder.event_id)))
    event = event if isinstance(event, Event) else None
    rule = reminder.rule(zone=reader.profile.timezone, event=event)
    if rule is None:
        return None
    quiet = reader.preferences.quiet
    caught = plan.catch_up(rule, reminder.progress, quiet=quiet, now=now)
    task = Task(reminder, rule, event, caught.progress, list(caught.send))
    if reminder.was_interrupted:
        _look_back(task, [*caught.send, *(each.due for each in caught.dropped)], now)
    for dropped in caught.dropped:
        _record(task, dropped.due, SKIPPED, dropped.reason, now)
    return task


def _look_back(task: Task, dues: Sequence[plan.Due], now: datetime) -> None:
    """Takes off the list what an earlier sweeper has settled, or may have sent."""
    for first in range(0, len(dues), 100):
        keys = [Delivery.key_of(task.reminder, due.key) for due in dues[first : first + 100]]
        found = fetch(*keys).values()
        task.stored |= {each.key: each for each in found if isinstance(each, Delivery)}
    for due in list(task.left):
        delivery = task.stored.get(due.key)
        if delivery is None:
            continue
        if delivery.state in SETTLED:
            task.left.remove(due)
        elif delivery.state == SENDING and delivery.lease_until > now:
            raise ConditionFailed  # another sweeper is at it
        elif delivery.state == SENDING and (delivery.repeated or task.reminder.about == STUDY):
            _record(task, due, UNCONFIRMED, "no_word", now)


# --- Mails --------------------------------------------------------------------------------------


def _mails(owed: Sequence[Owed], reader: Reader) -> list[list[Owed]]:
    """What goes into one mail: what quiet hours held until the same moment."""
    task_of = {id(due): task for task, due in owed}
    mails = []
    for batch in plan.batches([due for _, due in owed], reader.preferences.quiet):
        dues = [(task_of[id(due)], due) for due in batch.dues]
        mails += [dues[n : n + MOST_IN_ONE] for n in range(0, len(dues), MOST_IN_ONE)]
    return mails


def _send(mail: Sequence[Owed], reader: Reader, now: datetime) -> Counter[str]:
    """Sends one mail and settles its deliveries. Raises ConditionFailed, Overloaded, NoWord."""
    mail_id = str(ULID())
    entries = [_entry(task, due, reader) for task, due in mail]
    deliveries = [_begun(task, due, mail_id, now) for task, due in mail]
    try:
        _begin(mail, deliveries, reader, now)
    except DayFull:
        for task, due in mail:
            _record(task, due, SKIPPED, "capped", now)
        for task in _crossed_off(mail):
            transact(_advanced(task))
        return Counter({SKIPPED: len(mail)})
    try:
        message_id = emails.send(
            entries,
            to=reader.account.email,
            name=reader.profile.first_name,
            learner_id=reader.account.learner_id,
            mail_id=mail_id,
            now=now,
        )
    except Throttled as error:
        _give_back(mail, deliveries, now)
        raise Overloaded from error
    except ServiceUnavailable as error:
        if not emails.certainly_unsent(error):
            raise NoWord from error
        return _fail(mail, deliveries, error.code, now)
    _sent(mail, deliveries, message_id, now)
    return Counter(sent=len(mail), mails=1)


def _entry(task: Task, due: plan.Due, reader: Reader) -> emails.Entry:
    """What a mail says of one due."""
    if task.reminder.about == STUDY:
        return emails.study_entry(reader.due_cards)
    if task.event:
        return emails.event_entry(task.reminder, task.event, due.occurrence, zone=reader.zone)
    return emails.one_off_entry(task.reminder)


def _begun(task: Task, due: plan.Due, mail_id: str, now: datetime) -> Delivery:
    delivery = Delivery.of(task.reminder, due, SENDING, now=now)
    stored = task.stored.get(due.key)
    delivery.mail_id, delivery.lsi2 = mail_id, f"MAIL#{mail_id}"
    delivery.lease_until = now + LEASE
    delivery.repeated = stored is not None and stored.state == SENDING
    return delivery


def _begin(
    mail: Sequence[Owed], deliveries: Sequence[Delivery], reader: Reader, now: datetime
) -> None:
    """Records the deliveries as being sent. Raises DayFull; ConditionFailed when overtaken."""
    writes: list[Write] = [
        delivery.write_over(task.stored.get(due.key))
        for (task, due), delivery in zip(mail, deliveries, strict=True)
    ]
    reminders = {task.reminder.id: task.reminder for task, _ in mail}
    writes += [reminder.held() for reminder in reminders.values()]
    if all(due.key in task.stored for task, due in mail):
        transact(*writes)  # tried before, so the day has counted it
        return
    learner_id, on = reader.account.learner_id, now.astimezone(reader.zone).date()
    most = reader.preferences.daily_cap
    counted = MailDay.taken(learner_id, on, most=most, now=now)
    try:
        transact(*writes, counted)
    except ConditionFailed as error:
        if error.lost == (counted,):
            raise DayFull from error
        raise


def _sent(
    mail: Sequence[Owed], deliveries: Sequence[Delivery], message_id: str, now: datetime
) -> None:
    """Records SES's word, and advances the reminders that owe nothing more."""
    marks = [delivery.as_sent(message_id, now=now) for delivery in deliveries]
    try:
        transact(*marks, *(_advanced(task) for task in _crossed_off(mail)))
    except ConditionFailed:
        for mark in marks:  # a reminder was changed meanwhile; what was sent stays so
            try:
                transact(mark)
            except ConditionFailed:
                log.warning("a delivery was taken over while it was being sent")


def _fail(
    mail: Sequence[Owed], deliveries: Sequence[Delivery], reason: str, now: datetime
) -> Counter[str]:
    """Has a mail tried again later, or gives it up. Raises ConditionFailed."""
    counts: Counter[str] = Counter()
    writes: list[Write] = []
    tasks = {task.reminder.id: task for task, _ in mail}
    again_at = {}
    for task in tasks.values():
        task.reminder.attempts += 1
        attempt = int(task.reminder.attempts)
        again_at[task.reminder.id] = plan.retry_at(now, attempt=attempt, key=task.reminder.id)
    for (task, due), delivery in zip(mail, deliveries, strict=True):
        state = RETRYING if again_at[task.reminder.id] else DEAD
        writes.append(_concluded(task, due, delivery, state, reason, now))
        counts[state] += 1
    for task in tasks.values():
        if at := again_at[task.reminder.id]:
            task.reminder.look_at(at)
            writes.append(task.reminder.write())
    given_up = [(task, due) for task, due in mail if not again_at[task.reminder.id]]
    transact(*writes, *(_advanced(task) for task in _crossed_off(given_up)))
    return counts


def _give_back(mail: Sequence[Owed], deliveries: Sequence[Delivery], now: datetime) -> None:
    """Takes back what SES had no room for: it counts as no attempt."""
    transact(
        *(
            _concluded(task, due, delivery, RETRYING, "throttled", now)
            for (task, due), delivery in zip(mail, deliveries, strict=True)
        )
    )


# --- Settling -----------------------------------------------------------------------------------


def _concluded(
    task: Task, due: plan.Due, stored: Delivery | None, state: str, reason: str, now: datetime
) -> Write:
    """The write that brings the record of a due to a state."""
    delivery = Delivery.of(task.reminder, due, state, now=now)
    delivery.conclude(state, reason=reason, now=now)
    return delivery.write_over(stored)


def _record(task: Task, due: plan.Due, state: str, reason: str, now: datetime) -> None:
    """Notes what became of a due that is not mailed, and takes it off the list."""
    stored = task.stored.get(due.key)
    if stored is None or stored.state not in SETTLED:
        try:
            transact(_concluded(task, due, stored, state, reason, now))
        except ConditionFailed:
            log.info("settled before")
    if due in task.left:
        task.left.remove(due)


def _crossed_off(mail: Iterable[Owed]) -> list[Task]:
    """The reminders that owe nothing more once these dues are settled."""
    done: dict[str, Task] = {}
    for task, due in mail:
        if due in task.left:
            task.left.remove(due)
        if not task.left:
            done[task.reminder.id] = task
    return list(done.values())


def _advanced(task: Task) -> Write:
    """The write that puts a reminder where it is due next."""
    task.reminder.advance(task.progress, task.rule)
    return task.reminder.write()


def _hold(reminder: Reminder, until: datetime) -> None:
    reminder.interrupted = False
    reminder.look_at(until)
    transact(reminder.write())


def _retire(reminder: Reminder) -> None:
    """Stops looking at a reminder whose event or owner is no more."""
    reminder.next_at = None
    reminder.look_at(None)
    transact(reminder.write())


def _failed(seen: Reminder, reason: str, now: datetime) -> str:
    """Has a reminder that could not be dealt with tried again, or puts it among the dead."""
    reminder = Reminder.of(seen.learner_id, seen.id)
    if reminder is None or not reminder.interrupted:
        return "settled"
    attempt = int(reminder.attempts) + 1
    again_at = plan.retry_at(now, attempt=attempt, key=reminder.id)
    reminder.attempts, reminder.dead = attempt, again_at is None
    reminder.look_at(again_at)
    writes: list[Write] = [reminder.write()]
    if again_at is None:
        due = plan.Due(reminder.next_at or now, f"{now:%Y%m%dT%H%M%SZ}", "", now)
        delivery = Delivery.of(reminder, due, DEAD, now=now)
        delivery.conclude(DEAD, reason=reason, now=now)
        writes.append(delivery.write_over(None))
    try:
        transact(*writes)
    except ConditionFailed:
        log.info("changed meanwhile")
    return DEAD if again_at is None else RETRYING
