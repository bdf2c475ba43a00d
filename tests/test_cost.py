"""The cost of a month: DynamoDB counts the same units, and the docs have the same tables."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from config import aws
from config.ops import cloudformation
from config.ops.management.commands import estimate_cost as costs
from config.stack import BASE_DIR
from tests.callers import Caller
from tests.reminder_helpers import Mailbox, reminder_of, sweep_at, verified
from tests.ruler import counted
from tests.test_flashcards import card_of, deck_of
from tests.test_infrastructure import read
from tests.test_round_trips import ana, body  # noqa: F401  (a fixture among them)

BY_NAME = {operation.name: operation for operation in costs.OPERATIONS}


@pytest.mark.server
def test_what_a_learner_does_most_uses_no_more_units_than_assumed(
    ana: Caller,  # noqa: F811
) -> None:
    deck_id = deck_of(ana)
    card_id = card_of(ana, deck_id)
    for name, act in (
        ("POST /flashcards", lambda: card_of(ana, deck_id)),
        (
            "POST /flashcards/{id}/reviews",
            lambda: ana.post(f"/flashcards/{card_id}/reviews", body()),
        ),
        ("GET /flashcards/due", lambda: ana.get("/flashcards/due")),
        ("GET /profile", lambda: ana.get("/profile")),
    ):
        with counted() as spent:
            act()
        assert 0 < spent.units <= BY_NAME[name].reads + BY_NAME[name].writes, name
        assert len(spent.calls) <= BY_NAME[name].round_trips, name


@pytest.mark.server
def test_a_mail_and_a_sweep_use_no_more_units_than_assumed(
    ana: Caller,  # noqa: F811
) -> None:
    verified(ana)
    card_of(ana, deck_of(ana))
    reminder_of(ana, kind="study", weekdays=list(range(7)), localTime="18:00")
    box = Mailbox()
    events = aws.client("sesv2").meta.events
    events.register("before-call.sesv2.SendEmail", box.take)
    try:
        with counted() as spent:
            sweep_at(datetime.now(UTC) + timedelta(days=1))
    finally:
        events.unregister("before-call.sesv2.SendEmail", box.take)
    assert len(box.letters) == 1
    with counted() as idle:
        sweep_at(datetime.now(UTC) - timedelta(days=1))
    # AWS counts half a unit for a query that finds nothing, this engine none.
    assert len(idle.calls) / 2 <= costs.SWEEP_READS
    mail = costs.MAIL
    assert 0 < spent.units <= mail.reads + mail.writes, spent
    assert len(spent.calls) - len(idle.calls) <= mail.round_trips


def test_every_price_has_its_source_and_date() -> None:
    found = json.loads(costs.PRICES.read_text())
    assert found["region"]
    for name, price in found["prices"].items():
        assert price["usd"] > 0, name
        assert price["source"], name
        assert price["dated"], name


def test_a_bill_is_units_times_prices() -> None:
    at = dict.fromkeys(costs.prices(), 0.0) | {"write_unit": 1.0, "read_unit": 0.5}
    operation = costs.Operation("POST /things", a_month=1, reads=4, writes=3, round_trips=1)
    assert costs.price_of(costs.units_of(operation), at) == 5.0


def test_a_million_learners_cost_no_more_each_than_a_hundred() -> None:
    few, many = (sum(costs.month(count, costs.prices()).values()) / count for count in (100, 10**6))
    assert many < few


def test_the_docs_count_the_alarms_as_they_are_now() -> None:
    resources = read(cloudformation.WATCH_TEMPLATE)["Resources"].values()
    count = sum(one["Type"] == "AWS::CloudWatch::Alarm" for one in resources)
    words = {16: "sixteen", 17: "seventeen", 18: "eighteen", 19: "nineteen", 20: "twenty"}
    assert f"a stage has {words[count]})" in (BASE_DIR / "docs" / "cost.md").read_text()


def test_the_bill_is_of_the_stage_that_the_templates_make() -> None:
    alarms = read(cloudformation.WATCH_TEMPLATE)["Resources"].values()
    key = read(cloudformation.TEMPLATE)["Resources"]["Key"]["Properties"]
    assert sum(one["Type"] == "AWS::CloudWatch::Alarm" for one in alarms) == costs.ALARMS
    assert (key["EnableKeyRotation"], key["RotationPeriodInDays"]) == (True, costs.ROTATION_DAYS)


def test_a_stage_that_nobody_uses_costs_two_dollars_in_each_of_three_years() -> None:
    at = costs.prices()
    assert max(costs.beyond_free(0, at, year) for year in (1, 2, 3)) <= 2
    assert [costs.key_versions(year, rotation_days=365) for year in (1, 2, 3, 4)] == [1, 2, 3, 3]


def test_what_aws_asks_for_is_within_the_goals_of_both_years() -> None:
    at = costs.prices()
    for year, most in ((1, 0.030), (3, 0.032)):
        bill = list(costs.down_to_the_bill(at, year).values())
        assert bill == sorted(bill, reverse=True)
        assert bill[-1] <= most


def test_cards_and_log_make_a_learner_dearer_each_year() -> None:
    first, third = (sum(costs.month(10_000, costs.prices(), year).values()) for year in (1, 3))
    assert first < third < 1.15 * first


def test_the_docs_have_the_tables_as_they_are_now() -> None:
    output = io.StringIO()
    call_command("estimate_cost", stdout=output)
    assert output.getvalue().strip() in (BASE_DIR / "docs" / "cost.md").read_text()
