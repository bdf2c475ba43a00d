"""When events take place: RRULEs, time zones, exceptions."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given
from hypothesis import strategies as st

from reminders.recurrence import (
    MAX_STEPS,
    DurationInvalidError,
    ExceptionInvalidError,
    Move,
    Occurrence,
    Recurrence,
    RuleNeverOccursError,
    RuleTooCostlyError,
    StartInvalidError,
    ZoneUnknownError,
    known_keys,
    occurrence_named,
    overlapping,
    upcoming,
    validate,
    without_orphans,
)
from reminders.rrule import RecurrenceError, Rule, RuleSyntaxError, RuleUnsupportedError, parse_rule
from tests.examples import tried

HOUR = timedelta(hours=1)
wall = datetime.fromisoformat
ALWAYS = datetime(1, 1, 1, tzinfo=UTC)


def timed(starts: str, rule: str | None = None, zone: str = "UTC", **rest: object) -> Recurrence:
    rest.setdefault("duration", HOUR)
    return Recurrence(datetime.fromisoformat(starts), zone, rule=rule, **rest)


def all_day(starts: str, rule: str | None = None, zone: str = "UTC", days: int = 1) -> Recurrence:
    return Recurrence(date.fromisoformat(starts), zone, timedelta(days=days), rule)


def first(recurrence: Recurrence, limit: int = 3) -> list[Occurrence]:
    validate(recurrence)
    return list(islice(upcoming(recurrence, ALWAYS), limit))


def first_from(recurrence: Recurrence, instant: datetime) -> Occurrence | None:
    return next(upcoming(recurrence, instant), None)


def starts(recurrence: Recurrence, limit: int = 3) -> list[str]:
    """The first starts, on the clock of the zone, with offset."""
    zone = ZoneInfo(recurrence.zone)
    return [f"{o.starts_at.astimezone(zone):%Y-%m-%d %H:%M %z}" for o in first(recurrence, limit)]


def days(recurrence: Recurrence, limit: int = 4) -> list[str]:
    return [occurrence.key[:8] for occurrence in first(recurrence, limit)]


class TestClockChanges:
    def test_a_time_that_new_york_jumps_over_moves_forward_by_the_jump(self) -> None:
        daily = timed("2027-03-13T02:30", "FREQ=DAILY", "America/New_York")
        assert starts(daily) == [
            "2027-03-13 02:30 -0500",
            "2027-03-14 03:30 -0400",
            "2027-03-15 02:30 -0400",
        ]

    def test_a_time_that_new_york_shows_twice_means_the_first(self) -> None:
        daily = timed("2027-11-06T01:30", "FREQ=DAILY", "America/New_York")
        assert starts(daily) == [
            "2027-11-06 01:30 -0400",
            "2027-11-07 01:30 -0400",
            "2027-11-08 01:30 -0500",
        ]

    def test_a_single_event_inside_the_gap_moves_forward_too(self) -> None:
        assert starts(timed("2027-03-14T02:30", zone="America/New_York")) == [
            "2027-03-14 03:30 -0400"
        ]

    def test_lord_howe_changes_by_half_an_hour(self) -> None:
        into_summer = timed("2027-10-02T02:15", "FREQ=DAILY", "Australia/Lord_Howe")
        into_winter = timed("2027-04-03T01:45", "FREQ=DAILY", "Australia/Lord_Howe")
        assert starts(into_summer) == [
            "2027-10-02 02:15 +1030",
            "2027-10-03 02:45 +1100",
            "2027-10-04 02:15 +1100",
        ]
        assert starts(into_winter) == [
            "2027-04-03 01:45 +1100",
            "2027-04-04 01:45 +1100",
            "2027-04-05 01:45 +1030",
        ]

    def test_kathmandu_is_a_quarter_of_an_hour_off(self) -> None:
        assert [o.starts_at for o in first(timed("2027-01-01T06:00", zone="Asia/Kathmandu"))] == [
            datetime(2027, 1, 1, 0, 15, tzinfo=UTC)
        ]

    def test_casablanca_turns_back_for_ramadan_and_forward_after_it(self) -> None:
        into_ramadan = timed("2027-02-06T02:30", "FREQ=DAILY", "Africa/Casablanca")
        out_of_it = timed("2027-03-13T02:30", "FREQ=DAILY", "Africa/Casablanca")
        assert starts(into_ramadan) == [
            "2027-02-06 02:30 +0100",
            "2027-02-07 02:30 +0100",
            "2027-02-08 02:30 +0000",
        ]
        assert starts(out_of_it) == [
            "2027-03-13 02:30 +0000",
            "2027-03-14 03:30 +0100",
            "2027-03-15 02:30 +0100",
        ]

    def test_the_day_that_apia_left_out_has_no_occurrence_and_is_not_counted(self) -> None:
        daily = timed("2011-12-29T09:00", "FREQ=DAILY;COUNT=3", "Pacific/Apia")
        assert starts(daily, 9) == [
            "2011-12-29 09:00 -1000",
            "2011-12-31 09:00 +1400",
            "2012-01-01 09:00 +1400",
        ]
        whole_days = all_day("2011-12-29", "FREQ=DAILY;COUNT=3", "Pacific/Apia")
        assert days(whole_days) == ["20111229", "20111231", "20120101"]
        with pytest.raises(RuleNeverOccursError):
            validate(timed("2011-12-30T09:00", zone="Pacific/Apia"))

    def test_a_day_begins_at_one_where_the_change_is_at_midnight(self) -> None:
        # Beirut, 2027-03-28: 00:00 becomes 01:00.
        (day,) = first(all_day("2027-03-28", zone="Asia/Beirut"))
        assert day.starts_at == datetime(2027, 3, 27, 22, tzinfo=UTC)
        assert day.ends_at - day.starts_at == timedelta(hours=23)

    def test_an_all_day_event_lasts_local_days_of_23_to_25_hours(self) -> None:
        weekly = all_day("2027-03-07", "FREQ=WEEKLY", "America/New_York", days=2)
        lengths = [(o.ends_at - o.starts_at) / HOUR for o in first(weekly, 60)]
        assert sorted(set(lengths)) == [47, 48, 49]

    def test_a_timed_event_lasts_equally_long_on_the_night_of_the_change(self) -> None:
        nightly = timed("2027-03-12T23:00", "FREQ=DAILY", "America/New_York", duration=8 * HOUR)
        assert {o.ends_at - o.starts_at for o in first(nightly, 9)} == {8 * HOUR}
        assert first(nightly)[1].ends_at == datetime(2027, 3, 14, 12, tzinfo=UTC)  # 08:00 there

    def test_another_zone_moves_the_instants_but_not_the_keys(self) -> None:
        in_berlin = timed("2027-03-26T08:00", "FREQ=DAILY", "Europe/Berlin")
        in_tokyo = timed("2027-03-26T08:00", "FREQ=DAILY", "Asia/Tokyo")
        assert [o.key for o in first(in_berlin)] == [o.key for o in first(in_tokyo)]
        assert starts(in_tokyo)[0] == "2027-03-26 08:00 +0900"


class TestRules:
    @pytest.mark.parametrize(
        ("recurrence", "expected"),
        [
            (
                timed("2027-01-31T09:00", "FREQ=MONTHLY;BYMONTHDAY=31"),
                ["20270131", "20270331", "20270531", "20270731"],
            ),
            (
                timed("2027-01-31T09:00", "FREQ=MONTHLY"),
                ["20270131", "20270331", "20270531", "20270731"],
            ),
            (
                timed("2027-01-31T09:00", "FREQ=MONTHLY;BYMONTHDAY=-1"),
                ["20270131", "20270228", "20270331", "20270430"],
            ),
            (
                all_day("2096-02-29", "FREQ=YEARLY"),
                ["20960229", "21040229", "21080229", "21120229"],
            ),
            (
                timed("2027-01-01T09:00", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"),
                ["20440229", "20720229", "21120229", "21400229"],
            ),
            (
                timed("2027-01-04T09:00", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR"),
                ["20270104", "20270108", "20270118", "20270122"],
            ),
            (
                timed("1997-08-05T09:00", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO"),
                ["19970805", "19970810", "19970819", "19970824"],
            ),
            (
                timed("1997-08-05T09:00", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU"),
                ["19970805", "19970817", "19970819", "19970831"],
            ),
            (
                timed("1997-09-29T09:00", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2"),
                ["19970929", "19971030", "19971127", "19971230"],
            ),
            (
                timed("1997-05-12T09:00", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO"),
                ["19970512", "19980511", "19990517", "20000515"],
            ),
            (
                timed("1997-05-19T09:00", "FREQ=YEARLY;BYDAY=20MO"),
                ["19970519", "19980518", "19990517", "20000515"],
            ),
            (
                timed("1996-11-05T09:00", "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;"
                      "BYMONTHDAY=2,3,4,5,6,7,8"),
                ["19961105", "20001107", "20041102", "20081104"],
            ),
            (timed("2027-01-06T09:00", "FREQ=WEEKLY;BYDAY=MO;COUNT=2"), ["20270111", "20270118"]),
            (timed("2027-01-06T09:00"), ["20270106"]),
        ],
    )  # fmt: skip
    def test_rule_falls_on(self, recurrence: Recurrence, expected: list[str]) -> None:
        assert days(recurrence, len(expected) if len(expected) < 4 else 4) == expected

    def test_until_is_an_instant_in_utc_and_included(self) -> None:
        # 20:00 in New York is 01:00 UTC of the next day in winter.
        last = timed("2027-01-01T20:00", "FREQ=DAILY;UNTIL=20270104T010000Z", "America/New_York")
        short = timed("2027-01-01T20:00", "FREQ=DAILY;UNTIL=20270104T005959Z", "America/New_York")
        assert days(last, 9) == ["20270101", "20270102", "20270103"]
        assert days(short, 9) == ["20270101", "20270102"]

    def test_until_of_an_all_day_event_is_its_last_date(self) -> None:
        event = all_day("2027-01-01", "FREQ=DAILY;UNTIL=20270103", "Pacific/Auckland")
        assert days(event, 9) == ["20270101", "20270102", "20270103"]

    def test_count_counts_from_the_start_wherever_one_looks(self) -> None:
        event = timed("2027-01-01T09:00", "FREQ=WEEKLY;COUNT=3")
        assert len(first(event, 9)) == 3
        third = first_from(event, datetime(2027, 1, 9, tzinfo=UTC))
        assert third is not None
        assert third.key == "20270115T090000"
        assert first_from(event, third.starts_at + HOUR) is None

    def test_an_endless_rule_is_met_far_from_its_start(self) -> None:
        event = timed("1990-01-01T09:00", "FREQ=DAILY;INTERVAL=3", "Europe/Paris")
        found = first_from(event, datetime(2090, 1, 1, tzinfo=UTC))
        assert found is not None
        assert (datetime.fromisoformat(found.key).date() - date(1990, 1, 1)).days % 3 == 0
        assert found.starts_at - datetime(2090, 1, 1, tzinfo=UTC) < timedelta(days=3)

    def test_nothing_lies_beyond_the_last_year(self) -> None:
        assert len(days(timed("2398-06-01T09:00", "FREQ=YEARLY"), 99)) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        "rule",
        [
            "",
            "DAILY",
            "RRULE:FREQ=DAILY",
            "FREQ=DAILY;",
            "FREQ=DAILY ;INTERVAL=2",
            "FREQ=DAILY\nX=1",
            "INTERVAL=2",
            "FREQ=FORTNIGHTLY",
            "FREQ=DAILY;FREQ=WEEKLY",
            "FREQ=DAILY;INTERVAL=0",
            "FREQ=DAILY;INTERVAL=-1",
            "FREQ=DAILY;INTERVAL=１",
            "FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z",
            "FREQ=DAILY;COUNT=",
            "FREQ=DAILY;UNTIL=20270230T000000Z",
            "FREQ=DAILY;UNTIL=20270101T000000",
            "FREQ=DAILY;UNTIL=2027-01-01",
            "FREQ=DAILY;BYEASTER=1",
            "FREQ=DAILY;X-NAME=1",
            "FREQ=DAILY;BYMONTH=13",
            "FREQ=DAILY;BYMONTH=-1",
            "FREQ=DAILY;BYMONTHDAY=0",
            "FREQ=DAILY;BYMONTHDAY=1,,2",
            "FREQ=DAILY;BYYEARDAY=1",
            "FREQ=WEEKLY;BYMONTHDAY=1",
            "FREQ=WEEKLY;BYDAY=1MO",
            "FREQ=MONTHLY;BYDAY=0MO",
            "FREQ=MONTHLY;BYDAY=MON",
            "FREQ=MONTHLY;BYWEEKNO=1;BYDAY=MO",
            "FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO",
            "FREQ=MONTHLY;BYSETPOS=1",
            "FREQ=WEEKLY;WKST=XX",
        ],
    )
    def test_what_is_not_an_rrule_is_a_syntax_error(self, rule: str) -> None:
        with pytest.raises(RuleSyntaxError):
            validate(timed("2027-01-01T09:00", rule))

    @pytest.mark.parametrize(
        "rule",
        [
            "FREQ=HOURLY",
            "FREQ=SECONDLY;COUNT=5",
            "FREQ=DAILY;BYHOUR=9",
            "FREQ=DAILY;BYSECOND=0,30",
            "FREQ=DAILY;INTERVAL=1001",
            "FREQ=DAILY;INTERVAL=" + "9" * 400,
            "FREQ=DAILY;COUNT=3661",
            "FREQ=YEARLY;BYWEEKNO=20",
            "FREQ=DAILY;BYMONTH=" + ",".join(["1"] * 300),
        ],
    )
    def test_what_we_do_not_offer_is_unsupported(self, rule: str) -> None:
        with pytest.raises(RuleUnsupportedError):
            validate(timed("2027-01-01T09:00", rule))

    @pytest.mark.parametrize(
        "rule",
        [
            "FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2,4",
            "FREQ=DAILY;BYDAY=MO;BYSETPOS=2",
            "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=-3",
            "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=MONTHLY;BYDAY=6MO",
            "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
            "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO;BYMONTH=6",
            "FREQ=YEARLY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=DAILY;UNTIL=20261231T235959Z",
        ],
    )
    def test_an_impossible_rule_is_refused_after_a_bounded_walk(
        self, rule: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked_at: list[date] = []
        matches = Rule.matches

        def matches_counted(self: Rule, day: date) -> bool:
            looked_at.append(day)
            return matches(self, day)

        monkeypatch.setattr(Rule, "matches", matches_counted)
        with pytest.raises(RuleNeverOccursError) as refused:
            validate(timed("2027-01-01T09:00", rule))
        assert 0 <= refused.value.steps <= MAX_STEPS
        assert len(looked_at) <= MAX_STEPS + 366  # the last period is looked at as a whole

    def test_a_rule_that_ends_its_matches_is_walked_no_further_than_the_budget(self) -> None:
        event = timed("2380-01-01T09:00", "FREQ=DAILY;BYMONTHDAY=29;BYMONTH=2;BYDAY=SA")
        assert days(event, 99) == ["23920229"]

    def test_a_count_met_too_rarely_is_too_costly(self) -> None:
        with pytest.raises(RuleTooCostlyError):
            validate(timed("2027-01-01T09:00", "FREQ=DAILY;BYMONTHDAY=31;BYDAY=MO;COUNT=900"))

    def test_a_measured_rule_is_not_counted_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counted = timed("1915-01-01T09:00", "FREQ=DAILY;BYMONTH=1;COUNT=3660")
        event = validate(counted)
        assert (event.begins_on, event.ends_on) == (date(1915, 1, 1), date(2033, 1, 2))
        looked_at: list[date] = []
        matches = Rule.matches

        def matches_counted(self: Rule, day: date) -> bool:
            looked_at.append(day)
            return matches(self, day)

        monkeypatch.setattr(Rule, "matches", matches_counted)
        last = [o.key for o in upcoming(event, datetime(2033, 1, 1, tzinfo=UTC))]
        assert len(looked_at) < 100
        unmeasured = upcoming(counted, datetime(2033, 1, 1, tzinfo=UTC))
        assert last == [o.key for o in unmeasured] == ["20330101T090000", "20330102T090000"]

    def test_a_window_is_not_looked_beyond(self, monkeypatch: pytest.MonkeyPatch) -> None:
        event = validate(timed("2000-02-29T09:00", "FREQ=DAILY;BYMONTHDAY=29;BYMONTH=2;BYDAY=TU"))
        looked_at: list[date] = []
        matches = Rule.matches

        def matches_counted(self: Rule, day: date) -> bool:
            looked_at.append(day)
            return matches(self, day)

        monkeypatch.setattr(Rule, "matches", matches_counted)
        window = {
            "after": datetime(2027, 1, 1, tzinfo=UTC),
            "before": datetime(2027, 2, 1, tzinfo=UTC),
        }
        assert list(overlapping(event, **window)) == []
        assert len(looked_at) < 40

    @pytest.mark.parametrize(
        "zone",
        ["", "Mars/Olympus", "localtime", "right/Europe/Paris", "../etc/passwd", "posixrules"],
    )
    def test_an_unknown_zone_is_refused(self, zone: str) -> None:
        with pytest.raises(ZoneUnknownError):
            validate(timed("2027-01-01T09:00", zone=zone))

    @pytest.mark.parametrize(
        "start",
        ["2027-01-01T09:00Z", "2027-01-01T09:00:00.5", "1899-12-31T09:00", "9999-12-31T09:00"],
    )
    def test_a_start_is_a_wall_time_of_our_centuries(self, start: str) -> None:
        with pytest.raises(StartInvalidError):
            validate(timed(start))

    def test_durations_are_bounded_and_whole_days_for_all_day(self) -> None:
        for duration in (timedelta(seconds=-1), timedelta(days=367)):
            with pytest.raises(DurationInvalidError):
                validate(timed("2027-01-01T09:00", duration=duration))
        for duration in (timedelta(0), timedelta(hours=36)):
            with pytest.raises(DurationInvalidError):
                validate(Recurrence(date(2027, 1, 1), "UTC", duration))

    def test_until_is_of_the_same_kind_as_the_start(self) -> None:
        with pytest.raises(RuleSyntaxError):
            validate(timed("2027-01-01T09:00", "FREQ=DAILY;UNTIL=20270105"))
        with pytest.raises(RuleSyntaxError):
            validate(all_day("2027-01-01", "FREQ=DAILY;UNTIL=20270105T000000Z"))

    def test_every_refusal_is_a_value_error_with_code_and_field(self) -> None:
        for kind in RecurrenceError.__subclasses__():
            assert issubclass(kind, ValueError)
            assert kind.code != RecurrenceError.code
            assert kind.field in Recurrence.__slots__

    def test_a_rule_is_read_whatever_its_case_and_order(self) -> None:
        assert parse_rule("byday=-1fr,+2mo;freq=monthly").by_day == {(-1, 4), (2, 0)}


class TestExceptions:
    weekly = timed("2027-03-01T09:00", "FREQ=WEEKLY", "Europe/Berlin")

    def test_a_skipped_occurrence_does_not_take_place_and_stays_counted(self) -> None:
        event = timed(
            "2027-03-01T09:00", "FREQ=WEEKLY;COUNT=3", skipped=frozenset({"20270308T090000"})
        )
        assert days(event, 9) == ["20270301", "20270315"]

    def test_a_moved_occurrence_keeps_its_key_and_takes_its_place_in_order(self) -> None:
        move = Move("20270308T090000", wall("2027-03-16T18:00"), duration=2 * HOUR)
        event = timed("2027-03-01T09:00", "FREQ=WEEKLY", "Europe/Berlin", moved=(move,))
        assert days(event, 3) == ["20270301", "20270315", "20270308"]
        moved = first(event)[2]
        assert moved.starts_at == datetime(2027, 3, 16, 17, tzinfo=UTC)
        assert moved.ends_at - moved.starts_at == 2 * HOUR

    def test_an_occurrence_is_found_by_name_where_it_takes_place_now(self) -> None:
        event = timed(
            "2027-03-01T09:00",
            "FREQ=WEEKLY",
            skipped=frozenset({"20270308T090000"}),
            moved=(Move("20270315T090000", wall("2027-03-16T18:00")),),
        )
        names = ["20270301", "20270308", "20270315", "20270316"]
        found = [occurrence_named(event, f"{name}T090000") for name in names]
        assert [o.starts if o else None for o in found] == [
            wall("2027-03-01T09:00"),
            None,
            wall("2027-03-16T18:00"),
            None,
        ]

    def test_an_occurrence_moved_before_the_start_or_past_the_end_is_found(self) -> None:
        moves = (
            Move("20270301T090000", wall("2027-02-01T09:00")),
            Move("20270308T090000", wall("2028-02-01T09:00")),
        )
        event = timed("2027-03-01T09:00", "FREQ=WEEKLY;COUNT=2", moved=moves)
        assert days(event) == ["20270301", "20270308"]
        found = first_from(event, datetime(2027, 6, 1, tzinfo=UTC))
        assert found is not None
        assert found.key == "20270308T090000"

    @pytest.mark.parametrize("key", ["20270302T090000", "20270301", "20270301T091500", "x", ""])
    def test_only_an_occurrence_of_the_rule_can_be_skipped(self, key: str) -> None:
        event = timed("2027-03-01T09:00", "FREQ=WEEKLY", skipped=frozenset({key}))
        with pytest.raises(ExceptionInvalidError):
            validate(event)
        assert known_keys(event, {key, "20270308T090000"}) == {"20270308T090000"}

    def test_an_occurrence_is_either_skipped_or_moved_once(self) -> None:
        key = "20270308T090000"
        move = Move(key, wall("2027-03-09T09:00"))
        for skipped, moved in [({key}, (move,)), (set(), (move, move))]:
            with pytest.raises(ExceptionInvalidError):
                validate(timed("2027-03-01T09:00", "FREQ=WEEKLY", skipped=skipped, moved=moved))

    def test_a_timed_occurrence_is_not_moved_to_a_date(self) -> None:
        move = Move("20270308T090000", date(2027, 3, 9))
        with pytest.raises(ExceptionInvalidError):
            validate(timed("2027-03-01T09:00", "FREQ=WEEKLY", moved=(move,)))

    def test_exceptions_are_limited(self) -> None:
        many = frozenset(f"{date(2027, 1, 1) + timedelta(n):%Y%m%d}T090000" for n in range(101))
        with pytest.raises(ExceptionInvalidError):
            validate(timed("2027-01-01T09:00", "FREQ=DAILY", skipped=many))

    def test_an_edit_of_the_rule_drops_the_exceptions_it_orphans(self) -> None:
        edited = timed(
            "2027-03-01T09:00",
            "FREQ=WEEKLY;COUNT=2",
            skipped=frozenset({"20270308T090000", "20270315T090000"}),
            moved=(
                Move("20270301T090000", wall("2027-03-02T09:00")),
                Move("x", wall("2027-03-03")),
            ),
        )
        kept = without_orphans(edited)
        assert kept.skipped == {"20270308T090000"}
        assert [move.key for move in kept.moved] == ["20270301T090000"]
        validate(kept)


class TestWindows:
    daily = timed("2027-03-01T23:00", "FREQ=DAILY", duration=2 * HOUR)

    def keys(self, after: datetime, before: datetime) -> list[str]:
        return [o.key[:8] for o in overlapping(self.daily, after=after, before=before)]

    def test_a_window_excludes_its_last_instant(self) -> None:
        begins = datetime(2027, 3, 3, 1, tzinfo=UTC)
        assert self.keys(begins, datetime(2027, 3, 3, 23, tzinfo=UTC)) == []
        assert self.keys(begins, datetime(2027, 3, 3, 23, 0, 1, tzinfo=UTC)) == ["20270303"]

    def test_an_event_under_way_overlaps_the_window(self) -> None:
        midnight = datetime(2027, 3, 2, tzinfo=UTC)
        end = midnight + timedelta(days=1)
        assert self.keys(midnight, end) == ["20270301", "20270302"]
        assert self.keys(midnight + HOUR, end) == ["20270302"]

    def test_one_that_was_moved_and_lasts_as_long_as_the_others_overlaps_the_window(self) -> None:
        move = Move("20270302", date(2027, 3, 9))
        trip = Recurrence(date(2027, 3, 2), "UTC", timedelta(days=9), moved=(move,))
        on = datetime(2027, 3, 17, tzinfo=UTC)
        assert [o.key for o in overlapping(trip, after=on, before=on + HOUR)] == ["20270302"]


WEEKDAY = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])


def listed(values: st.SearchStrategy[object], most: int = 4) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=most, unique=True).map(
        lambda chosen: ",".join(map(str, chosen))
    )


@st.composite
def ordinary_rules(draw: st.DrawFn) -> str:
    """Rules that dateutil and RFC 5545 read alike.

    dateutil reads BYDAY=MO,1MO as both at once and cuts the first week's BYSETPOS at the start.
    """
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    day = st.integers(1, 31) | st.integers(-31, -1)
    options = {"BYMONTH": listed(st.integers(1, 12)), "BYDAY": listed(WEEKDAY)}
    if freq in ("MONTHLY", "YEARLY"):
        ordinal = st.builds("{}{}".format, st.integers(1, 5) | st.integers(-5, -1), WEEKDAY)
        options["BYDAY"] |= listed(ordinal)
    if freq != "WEEKLY":
        options["BYMONTHDAY"] = listed(day)
    if freq == "YEARLY":
        options["BYYEARDAY"] = listed(st.integers(1, 366) | st.integers(-366, -1))
        options["BYWEEKNO"] = listed(st.integers(1, 52))
    chosen = draw(st.sets(st.sampled_from(sorted(options)), max_size=2))
    parts = {"FREQ": freq, **{name: draw(options[name]) for name in sorted(chosen)}}
    if chosen and freq in ("MONTHLY", "YEARLY") and draw(st.booleans()):
        parts["BYSETPOS"] = draw(listed(st.sampled_from([1, 2, 3, -1, -2]), 2))
    parts["INTERVAL"] = str(draw(st.integers(1, 5)))
    parts["WKST"] = draw(WEEKDAY)
    return ";".join(f"{name}={value}" for name, value in parts.items())


def dense_event(starts: datetime, rule: str) -> Recurrence:
    """The event, if its rule is one we accept and dateutil can be trusted to get through."""
    event = Recurrence(starts, "UTC", HOUR, rule)
    try:
        validate(event)
    except RecurrenceError:
        assume(False)
    assume(len(first(event, 50)) == 50)
    return event


@tried(200)
@given(
    rule=ordinary_rules(),
    start=st.datetimes(wall("2024-01-01"), wall("2030-01-01")).map(
        lambda at: at.replace(minute=30, second=0, microsecond=0)
    ),
    end=st.sampled_from(["", ";COUNT=1", ";COUNT=7", ";COUNT=40", ";UNTIL=20340101T093000Z"]),
    nth=st.integers(0, 20),
)
def test_ordinary_rules_agree_with_dateutil(rule: str, start: datetime, end: str, nth: int) -> None:
    every = first(dense_event(start, rule), 50)
    after, before = every[nth].starts_at, every[nth + 25].starts_at
    assume(not end or every[0].starts_at < datetime(2034, 1, 1, tzinfo=UTC))
    theirs = rrulestr(rule + end, dtstart=start.replace(tzinfo=UTC))
    ours = Recurrence(start, "UTC", HOUR, rule + end)
    found = takewhile(lambda o: o.starts_at <= before, upcoming(ours, after))
    assert [o.starts_at for o in islice(found, 99)] == theirs.between(after, before, inc=True)


@tried(200)
@given(
    zone=st.sampled_from(
        ["America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu"]
    ),
    at=st.times().map(lambda t: t.replace(microsecond=0)),
    on=st.dates(date(2024, 1, 1), date(2036, 1, 1)),
    days_on=st.integers(0, 400),
)
def test_every_window_shows_what_the_walk_from_the_start_shows(
    zone: str, at: time, on: date, days_on: int
) -> None:
    event = Recurrence(datetime.combine(on, at), zone, HOUR, "FREQ=DAILY")
    everything = first(event, 410)
    instants = [o.starts_at for o in everything]
    assert instants == sorted(set(instants))
    assert first_from(event, instants[days_on]) == everything[days_on]
