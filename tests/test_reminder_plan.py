"""The plan of a reminder: its next mail."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminders.recurrence import Move, Recurrence, ZoneUnknownError
from reminders.timing import (
    LOOK_BACK,
    MAX_ATTEMPTS,
    Due,
    EventReminder,
    OffsetsInvalidError,
    OneOff,
    Progress,
    QuietHours,
    Reminder,
    ReminderError,
    SnoozeInvalidError,
    StudyReminder,
    WeekdaysInvalidError,
    advance,
    batches,
    catch_up,
    next_due,
    release_at,
    retry_at,
    snooze,
    validate,
)
from tests.examples import tried

wall = datetime.fromisoformat
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EVERY_DAY = frozenset(range(7))
NIGHT = QuietHours(time(22), time(7), "Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lesson(*offsets: int, rule: str | None = "FREQ=DAILY", **rest: object) -> EventReminder:
    """A lesson at nine in Berlin (08:00 UTC), from Monday, 2027-03-01."""
    recurrence = Recurrence(wall("2027-03-01T09:00"), "Europe/Berlin", HOUR, rule)
    return EventReminder(replace(recurrence, **rest), offsets)


def evening(zone: str = "Europe/Berlin", weekdays: frozenset[int] = EVERY_DAY) -> StudyReminder:
    return StudyReminder(weekdays, time(20), zone)


def dues(reminder: Reminder, progress: Progress, limit: int) -> list[Due]:
    """The next mails, each settled before the next one."""
    found: list[Due] = []
    while len(found) < limit and (due := next_due(reminder, progress)):
        found.append(due)
        progress = advance(progress, due)
    return found


def instants(found: list[Due]) -> list[str]:
    return [f"{due.at:%m-%d %H:%M}" for due in found]


START = Progress(utc("2027-03-01T00:00"))


class TestEvents:
    def test_each_offset_comes_before_each_occurrence_in_order(self) -> None:
        found = dues(lesson(10, 60), START, 4)
        assert instants(found) == ["03-01 07:00", "03-01 07:50", "03-02 07:00", "03-02 07:50"]
        assert found[0].key == "20270301T090000-60"

    def test_two_that_fall_due_at_once_both_come(self) -> None:
        found = dues(lesson(0, 24 * 60), START, 5)
        assert instants(found) == ["03-01 08:00"] * 2 + ["03-02 08:00"] * 2 + ["03-03 08:00"]
        assert len({due.key for due in found}) == 5

    def test_the_hour_follows_the_clock_of_the_zone(self) -> None:
        found = dues(lesson(0), Progress(utc("2027-03-27T12:00") - DAY), 2)
        assert instants(found) == ["03-27 08:00", "03-28 07:00"]

    def test_skipped_and_moved_occurrences_are_followed(self) -> None:
        changed = lesson(
            15,
            rule="FREQ=DAILY;COUNT=3",
            skipped=frozenset({"20270301T090000"}),
            moved=(Move("20270302T090000", wall("2027-03-05T18:00")),),
        )
        found = dues(changed, START, 9)
        assert [due.occurrence for due in found] == ["20270303T090000", "20270302T090000"]
        assert instants(found) == ["03-03 07:45", "03-05 16:45"]

    def test_an_all_day_event_is_announced_from_nine_in_the_morning(self) -> None:
        holiday = Recurrence(date(2027, 3, 28), "Europe/Berlin", DAY)
        found = dues(EventReminder(holiday, (0, 24 * 60)), START, 9)
        # Nine is 08:00 UTC the day before, 07:00 after the change of that night, less 24 hours.
        assert instants(found) == ["03-27 07:00", "03-28 07:00"]

    def test_a_past_event_owes_nothing(self) -> None:
        assert next_due(lesson(10, rule=None), Progress(utc("2027-03-01T08:00"))) is None

    def test_a_corrected_zone_promises_the_one_last_done_at_its_right_time(self) -> None:
        reminder = lesson(0)
        (done,) = dues(reminder, START, 1)
        in_lima = replace(reminder, recurrence=replace(reminder.recurrence, zone="America/Lima"))
        found = dues(in_lima, advance(START, done), 2)
        assert instants(found) == ["03-01 14:00", "03-02 14:00"]


class TestStudy:
    def test_a_digest_comes_on_its_weekdays_at_the_local_time(self) -> None:
        found = dues(evening(weekdays=frozenset({0, 5})), Progress(utc("2027-03-22T19:00")), 4)
        assert instants(found) == ["03-22 19:00", "03-27 19:00", "03-29 18:00", "04-03 18:00"]
        assert found[0].key == "20270322"

    def test_a_learner_who_flies_west_gets_one_digest_for_the_date(self) -> None:
        (done,) = dues(evening("Pacific/Auckland"), START, 1)
        assert done.at == utc("2027-03-01T07:00")
        after = dues(evening("America/New_York"), advance(START, done), 1)
        assert done.key == "20270301"
        assert [(due.key, due.at) for due in after] == [("20270302", utc("2027-03-03T01:00"))]

    def test_a_learner_who_flies_east_gets_the_next_date_on_the_new_clock(self) -> None:
        (done,) = dues(evening("America/New_York"), START, 1)
        after = dues(evening("Pacific/Auckland"), advance(START, done), 1)
        assert done.key == "20270228"
        assert [(due.key, due.at) for due in after] == [("20270301", utc("2027-03-01T07:00"))]

    def test_a_digest_in_the_gap_of_spring_comes_an_hour_later(self) -> None:
        at_half_past_two = StudyReminder(EVERY_DAY, time(2, 30), "America/New_York")
        (due,) = dues(at_half_past_two, Progress(utc("2027-03-14T05:00")), 1)
        assert due.at == utc("2027-03-14T07:30")

    def test_no_digest_for_a_date_that_the_zone_leaves_out(self) -> None:
        found = dues(evening("Pacific/Apia"), Progress(utc("2011-12-30T00:00")), 2)
        assert [due.key for due in found] == ["20111229", "20111231"]


class TestOneOffs:
    def test_it_comes_once(self) -> None:
        call = OneOff(utc("2027-03-02T10:00"))
        assert instants(dues(call, START, 9)) == ["03-02 10:00"]

    def test_another_instant_is_another_mail(self) -> None:
        (done,) = dues(OneOff(utc("2027-03-02T10:00")), START, 1)
        later = OneOff(utc("2027-03-03T10:00"))
        assert instants(dues(later, advance(START, done), 9)) == ["03-03 10:00"]


class TestSnooze:
    def test_it_moves_the_next_one_and_no_other(self) -> None:
        reminder = lesson(10)
        first = next_due(reminder, START)
        assert first is not None
        progress = snooze(START, first, until=utc("2027-03-02T12:00"), now=START.done_at)
        found = dues(reminder, progress, 3)
        assert instants(found) == ["03-02 07:50", "03-02 12:00", "03-03 07:50"]
        assert [due.snoozed for due in found] == [False, True, False]
        assert found[1].occurrence == first.occurrence
        assert found[1].key not in {first.key, found[0].key}

    def test_one_that_was_sent_comes_again_and_may_be_snoozed_again(self) -> None:
        call = OneOff(utc("2027-03-02T10:00"))
        (sent,) = dues(call, START, 1)
        now = utc("2027-03-02T10:05")
        progress = snooze(advance(START, sent), sent, until=now + HOUR, now=now)
        (again,) = dues(call, progress, 9)
        progress = snooze(progress, again, until=now + 3 * HOUR, now=now + HOUR)
        assert instants(dues(call, progress, 9)) == ["03-02 13:05"]

    def test_other_offsets_of_the_occurrence_still_come(self) -> None:
        reminder = lesson(10, 60, rule=None)
        first = next_due(reminder, START)
        assert first is not None
        progress = snooze(START, first, until=utc("2027-03-01T07:30"), now=START.done_at)
        assert instants(dues(reminder, progress, 9)) == ["03-01 07:30", "03-01 07:50"]

    def test_it_ends_with_its_occurrence(self) -> None:
        reminder = lesson(10, rule=None)
        (due,) = dues(reminder, START, 9)
        progress = snooze(START, due, until=utc("2027-03-01T07:55"), now=START.done_at)
        gone = lesson(10, rule=None, skipped=frozenset({due.occurrence}))
        assert next_due(gone, progress) is None
        swept = catch_up(gone, progress, quiet=None, now=utc("2027-03-01T08:00"))
        assert (swept.send, swept.progress.snoozes) == ((), ())

    @pytest.mark.parametrize("until", [START.done_at, START.done_at + timedelta(days=31)])
    def test_it_goes_into_the_next_thirty_days(self, until: datetime) -> None:
        (due,) = dues(evening(), START, 1)
        with pytest.raises(SnoozeInvalidError):
            snooze(START, due, until=until, now=START.done_at)

    def test_their_number_is_limited(self) -> None:
        progress, now = START, START.done_at
        for due in dues(lesson(10), START, 20):
            progress = snooze(progress, due, until=now + 29 * DAY, now=now)
        (one_more,) = dues(lesson(10), Progress(utc("2027-04-01T00:00")), 1)
        with pytest.raises(SnoozeInvalidError):
            snooze(progress, one_more, until=now + 29 * DAY, now=now)


class TestQuietHours:
    @pytest.mark.parametrize(
        ("local", "released"),
        [
            ("2027-03-01T21:59", "2027-03-01T21:59"),
            ("2027-03-01T22:00", "2027-03-02T07:00"),
            ("2027-03-02T03:00", "2027-03-02T07:00"),
            ("2027-03-02T07:00", "2027-03-02T07:00"),
        ],
    )
    def test_over_midnight(self, local: str, released: str) -> None:
        assert release_at(utc(local) - HOUR, NIGHT) == utc(released) - HOUR

    @pytest.mark.parametrize(
        ("at", "released"), [("11:59", "11:59"), ("12:00", "14:00"), ("13:59", "14:00")]
    )
    def test_within_a_day(self, at: str, released: str) -> None:
        noon = QuietHours(time(12), time(14), "UTC")
        assert release_at(utc(f"2027-03-01T{at}"), noon) == utc(f"2027-03-01T{released}")

    def test_the_end_follows_the_clock_on_the_night_of_the_change(self) -> None:
        assert release_at(utc("2027-03-27T23:00"), NIGHT) == utc("2027-03-28T05:00")

    def test_an_end_that_the_clock_shows_twice_is_never_in_the_past(self) -> None:
        quiet = QuietHours(time(0), time(1, 30), "America/New_York")
        first, second = utc("2027-11-07T05:10"), utc("2027-11-07T06:10")  # both 01:10 there
        assert release_at(first, quiet) == utc("2027-11-07T05:30")
        assert release_at(second, quiet) == utc("2027-11-07T06:30")

    def test_what_they_hold_becomes_one_mail(self) -> None:
        at = [utc(f"2027-03-01T{clock}") for clock in ("20:00", "21:30", "22:15")]
        ones = [next_due(OneOff(instant), START) for instant in at]
        mails = batches([due for due in ones if due], NIGHT)
        assert [(mail.at, len(mail.dues)) for mail in mails] == [
            (utc("2027-03-01T20:00"), 1),
            (utc("2027-03-02T06:00"), 2),
        ]

    def test_outside_them_each_is_a_mail_of_its_own(self) -> None:
        due = Due(utc("2027-03-01T12:00"), "a", "a", utc("2027-03-01T13:00"))
        assert len(batches([due, replace(due, key="b")], NIGHT)) == 2

    @tried(200)
    @given(
        st.times(),
        st.times(),
        st.sampled_from(["America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]),
        st.integers(0, 366 * 24 * 60),
    )
    def test_release_is_never_earlier_nor_a_day_later(
        self, starts: time, ends: time, zone: str, minute: int
    ) -> None:
        instant = utc("2027-01-01T00:00") + timedelta(minutes=minute)
        quiet = QuietHours(starts.replace(fold=0), ends.replace(fold=0), zone)
        assert instant <= release_at(instant, quiet) <= instant + DAY + HOUR


class TestOutage:
    def test_in_an_ordinary_minute_the_one_due_is_sent(self) -> None:
        swept = catch_up(lesson(10), START, quiet=None, now=utc("2027-03-01T07:50:20"))
        assert instants(list(swept.send)) == ["03-01 07:50"]
        assert swept.dropped == ()
        assert instants(dues(lesson(10), swept.progress, 1)) == ["03-02 07:50"]

    def test_nothing_due_changes_nothing(self) -> None:
        swept = catch_up(lesson(10), START, quiet=None, now=utc("2027-03-01T07:49:59"))
        assert (swept.send, swept.dropped, swept.progress) == ((), (), START)

    def test_an_old_one_off_is_missed(self) -> None:
        call = OneOff(utc("2027-03-01T10:00"))
        for late, sent in [(6 * HOUR, 1), (6 * HOUR + timedelta(seconds=1), 0), (99 * DAY, 0)]:
            swept = catch_up(call, START, quiet=None, now=call.at + late)
            assert (len(swept.send), len(swept.dropped)) == (sent, 1 - sent)
            assert next_due(call, swept.progress) is None

    def test_one_off_held_overnight_is_not_missed(self) -> None:
        call = OneOff(utc("2027-03-01T21:00"))
        swept = catch_up(call, START, quiet=NIGHT, now=utc("2027-03-02T06:01"))
        assert len(swept.send) == 1

    def test_quiet_hours_that_end_with_the_grace_leave_time_to_send(self) -> None:
        call = OneOff(utc("2027-03-01T12:00"))
        quiet = QuietHours(time(12), time(18), "UTC")
        for now, sent in [("18:00:30", 1), ("19:00:00", 1), ("19:00:01", 0)]:
            swept = catch_up(call, START, quiet=quiet, now=utc(f"2027-03-01T{now}"))
            assert len(swept.send) == sent

    def test_digests_collapse_to_the_latest(self) -> None:
        swept = catch_up(evening(), START, quiet=None, now=utc("2027-03-05T10:00"))
        assert [due.key for due in swept.send] == ["20270304"]
        assert [(each.due.key, each.reason) for each in swept.dropped] == [
            ("20270301", "superseded"),
            ("20270302", "superseded"),
            ("20270303", "superseded"),
        ]
        assert [due.key for due in dues(evening(), swept.progress, 1)] == ["20270305"]

    def test_of_one_occurrence_the_latest_reminder_is_sent_while_it_is_of_use(self) -> None:
        reminder = lesson(24 * 60, 60, 10, rule=None)
        before = Progress(utc("2027-02-20T00:00"))
        swept = catch_up(reminder, before, quiet=None, now=utc("2027-03-01T07:55"))
        assert [due.key for due in swept.send] == ["20270301T090000-10"]
        assert [each.reason for each in swept.dropped] == ["superseded"] * 2

    def test_an_early_reminder_is_of_use_until_the_event_begins(self) -> None:
        reminder = lesson(24 * 60, rule=None)
        before = Progress(utc("2027-02-20T00:00"))
        for now, sent in [("2027-03-01T08:00", 1), ("2027-03-01T08:01", 0)]:
            assert len(catch_up(reminder, before, quiet=None, now=utc(now)).send) == sent

    def test_a_long_outage_is_settled_in_one_go_and_bounded(self) -> None:
        reminder = lesson(0, 1, 2, 3, 4)
        now = utc("2029-03-01T09:30")
        swept = catch_up(reminder, START, quiet=None, now=now)
        assert len(swept.dropped) <= 5 * (LOOK_BACK.days + 1)
        assert swept.dropped[0].due.at >= now - LOOK_BACK
        upcoming = next_due(reminder, swept.progress)
        assert upcoming is not None
        assert upcoming.at > now

    def test_what_fell_due_before_the_look_back_does_not_come_back(self) -> None:
        yearly = lesson(0, rule="FREQ=YEARLY")
        now = utc("2027-06-01T00:00")
        swept = catch_up(yearly, START, quiet=None, now=now)
        assert instants(dues(yearly, swept.progress, 1)) == ["03-01 08:00"]
        (due,) = dues(yearly, swept.progress, 1)
        assert due.at.year == 2028


class TestRetries:
    def test_the_waits_double_with_jitter_until_it_is_dead(self) -> None:
        now = utc("2027-03-01T12:00")
        for attempt in range(1, MAX_ATTEMPTS):
            again = retry_at(now, attempt=attempt, key="20270301")
            assert again is not None
            most = timedelta(minutes=2 ** (attempt - 1))
            assert most / 2 <= again - now <= most
        assert retry_at(now, attempt=MAX_ATTEMPTS, key="20270301") is None

    def test_the_jitter_differs_by_key_and_is_the_same_each_time(self) -> None:
        now = utc("2027-03-01T12:00")
        keys = [f"reminder-{n}" for n in range(50)]
        waits = [retry_at(now, attempt=3, key=key) for key in keys]
        assert len(set(waits)) == len(keys)
        assert waits == [retry_at(now, attempt=3, key=key) for key in keys]


class TestRefusals:
    @pytest.mark.parametrize("offsets", [(), (1, 2, 3, 4, 5, 6), (5, 5), (-1,), (40_321,)])
    def test_offsets_are_one_to_five_up_to_four_weeks(self, offsets: tuple[int, ...]) -> None:
        with pytest.raises(OffsetsInvalidError):
            validate(lesson(*offsets))

    @pytest.mark.parametrize("weekdays", [frozenset(), frozenset({7}), frozenset({-1, 0})])
    def test_weekdays_are_named(self, weekdays: frozenset[int]) -> None:
        with pytest.raises(WeekdaysInvalidError):
            validate(evening(weekdays=weekdays))

    def test_a_study_reminder_has_a_zone(self) -> None:
        with pytest.raises(ZoneUnknownError):
            validate(evening(zone="Berlin"))

    def test_what_is_right_is_accepted(self) -> None:
        for reminder in (lesson(0, 5, 10, 60, 40_320), evening(), OneOff(START.done_at)):
            validate(reminder)

    def test_every_refusal_is_a_value_error_with_a_code_of_its_own(self) -> None:
        kinds = ReminderError.__subclasses__()
        assert len({kind.code for kind in kinds} | {ReminderError.code}) == len(kinds) + 1
        assert issubclass(ReminderError, ValueError)


@tried(100)
@given(
    minutes=st.lists(st.integers(0, 3000), min_size=1, max_size=5, unique=True),
    steps=st.lists(st.integers(1, 2000), min_size=1, max_size=20),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_sweeps_settle_each_due_once_however_late_they_come(
    minutes: list[int], steps: list[int], zone: str
) -> None:
    recurrence = Recurrence(wall("2027-03-10T02:30"), zone, HOUR, "FREQ=DAILY")
    reminder, progress, now = EventReminder(recurrence, tuple(minutes)), START, START.done_at
    settled: list[str] = []
    for step in steps:
        now += timedelta(minutes=step)
        swept = catch_up(reminder, progress, quiet=None, now=now)
        progress = swept.progress
        settled += [due.key for due in swept.send] + [each.due.key for each in swept.dropped]
    everything = [due.key for due in dues(reminder, START, len(settled) + 1)]
    assert sorted(settled) == sorted(everything[:-1])
