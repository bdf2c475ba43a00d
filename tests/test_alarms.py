"""Each alarm reads a metric that AWS or our own log lines have, and goes off on its values."""

import json
import logging
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any, get_args

import pytest

from config import telemetry
from config.ops import cloudformation
from tests.test_infrastructure import read
from tests.test_metrics import lines

PUBLISHED = json.loads(cloudformation.TEMPLATE.with_name("metrics.json").read_text())["metrics"]
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
}
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Average": fmean,
    "p99": max,
}
# How bad it must be: the values that AWS would have in each bad one of the alarm's periods.
CONDITIONS: dict[str, list[float]] = {
    "Errors": [1, 1, 1],
    "Throttles": [1],
    "Latency": [120, 4000],
    "ServerErrors": [0] * 49 + [1],
    "LostEvents": [1],
    "UndoneWork": [1],
    "LateWork": [1801],
    "LatePromptWork": [301],
    "SweepLag": [121],
    "FailedMails": [1] * 5,
    "Disagreements": [1],
    "GivenUpReminders": [1],
    "TableReadThrottles": [4, 6],
    "TableWriteThrottles": [4, 6],
    "IndexReadThrottles": [4, 6],
    "IndexWriteThrottles": [4, 6],
    "Bounces": [0.031],
    "Complaints": [0.0009],
}
# Alarms of silent metrics: where nothing happens, AWS has no data, and nobody is woken.
QUIET = ("notBreaching", "ignore")


@dataclass(frozen=True)
class Metric:
    """CloudWatch tells metrics apart by all of their dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[str]


@cache
def alarms() -> dict[str, Any]:
    resources = read(cloudformation.WATCH_TEMPLATE)["Resources"]
    kind = "AWS::CloudWatch::Alarm"
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == kind}


EVERY_ALARM = pytest.mark.parametrize("name", CONDITIONS)


def metric_of(alarm: Any) -> Metric:
    dimensions = frozenset(one["Name"] for one in alarm.get("Dimensions", []))
    return Metric(alarm["Namespace"], alarm["MetricName"], dimensions)


@pytest.fixture
def known(caplog: pytest.LogCaptureFixture) -> dict[Metric, str]:
    """The metrics of AWS's lists and of our own lines, with their units."""
    found = {
        Metric(one["namespace"], one["name"], frozenset(dimensions)): one["unit"]
        for one in PUBLISHED
        for dimensions in one["dimensions"]
    }
    with caplog.at_level(logging.INFO, logger="parley.metrics"):
        for name in get_args(telemetry.Name):
            telemetry.emit(name)
    for line in lines(caplog):
        for block in line["_aws"]["CloudWatchMetrics"]:
            for dimensions in block["Dimensions"]:
                for one in block["Metrics"]:
                    found[Metric(block["Namespace"], one["Name"], frozenset(dimensions))] = ""
    return found


Periods = Sequence[Sequence[float]]  # the values of each period


def spans(alarm: Any) -> tuple[int, int]:
    """At how many periods CloudWatch looks, and how many of them must be bad."""
    periods = int(alarm["EvaluationPeriods"])
    return periods, int(alarm.get("DatapointsToAlarm", periods))


def goes_off(alarm: Any, stored: dict[Metric, Periods]) -> bool:
    """What CloudWatch decides from the stored values of the alarm's last periods."""
    periods, needed = spans(alarm)
    values = stored.get(metric_of(alarm), [[]] * periods)[-periods:]
    return sum(_is_bad(alarm, one) for one in values) >= needed


def _is_bad(alarm: Any, values: Sequence[float]) -> bool:
    if not values:
        return bool(alarm["TreatMissingData"] == "breaching")
    statistic = alarm.get("Statistic") or alarm["ExtendedStatistic"]
    return COMPARE[alarm["ComparisonOperator"]](STATISTICS[statistic](values), alarm["Threshold"])


def test_every_alarm_has_a_condition_here() -> None:
    assert alarms().keys() == CONDITIONS.keys()


@EVERY_ALARM
def test_an_alarm_reads_a_metric_that_is_there(name: str, known: dict[Metric, str]) -> None:
    assert metric_of(alarms()[name]) in known


@EVERY_ALARM
def test_an_alarm_goes_off_when_its_condition_happens(name: str, known: dict[Metric, str]) -> None:
    """The data lie under AWS's own names."""
    alarm = alarms()[name]
    [here] = [one for one in known if one == metric_of(alarm)]
    periods, needed = spans(alarm)
    assert 1 <= needed <= periods
    for bad in range(periods + 1):
        stored: Periods = [[0.0]] * (periods - bad) + [CONDITIONS[name]] * bad
        assert goes_off(alarm, {here: stored}) is (bad >= needed)
    before: Periods = [CONDITIONS[name]] * periods + [[0.0]] * periods
    assert not goes_off(alarm, {here: before})


@EVERY_ALARM
def test_nobody_is_woken_where_nothing_happens(name: str) -> None:
    """But for the sweep, which tells of itself each minute: its silence is the alarm."""
    assert goes_off(alarms()[name], {}) is (name == "SweepLag")
    assert (alarms()[name]["TreatMissingData"] in QUIET) is (name != "SweepLag")


@EVERY_ALARM
def test_an_alarm_reads_values_of_any_unit(name: str) -> None:
    """With a unit that is not the metric's own it would find none."""
    assert "Unit" not in alarms()[name]


def test_an_alarm_for_throttled_requests_of_the_table_would_never_go_off(
    known: dict[Metric, str],
) -> None:
    """AWS has this metric for each operation alone."""
    assert Metric("AWS/DynamoDB", "ThrottledRequests", frozenset({"TableName"})) not in known


def test_every_global_index_has_its_alarms() -> None:
    table = read(cloudformation.TEMPLATE)["Resources"]["Table"]["Properties"]
    indexes = {index["IndexName"] for index in table["GlobalSecondaryIndexes"]}
    watched = {
        (alarm["MetricName"], one["Value"])
        for alarm in alarms().values()
        for one in alarm.get("Dimensions", [])
        if one["Name"] == "GlobalSecondaryIndexName"
    }
    names = ("ReadThrottleEvents", "WriteThrottleEvents")
    assert watched == {(name, index) for name in names for index in indexes}


def test_a_metric_of_awss_list_has_its_source() -> None:
    for one in PUBLISHED:
        assert one["source"].startswith("https://docs.aws.amazon.com/"), one["name"]
        assert one["dimensions"], one["name"]


def test_the_board_reads_metrics_that_are_there(known: dict[Metric, str]) -> None:
    board = read(cloudformation.WATCH_TEMPLATE)["Resources"]["Board"]["Properties"]
    names = {(one.namespace, one.name) for one in known}
    for widget in json.loads(board["DashboardBody"]["Fn::Sub"])["widgets"]:
        before: list[Any] = []
        for row in widget["properties"].get("metrics", []):
            cells = [cell for cell in row if isinstance(cell, str)]
            if cells[0] == "...":
                cells = before
            cells = [before[i] if cell == "." else cell for i, cell in enumerate(cells)]
            assert (cells[0], cells[1]) in names, cells
            assert frozenset(cells[2::2]) in {
                one.dimensions for one in known if (one.namespace, one.name) == tuple(cells[:2])
            }
            before = cells


def test_the_budget_counts_the_account_until_its_tag_is_activated() -> None:
    """AWS counts nothing for a tag that nobody has activated."""
    template = read(cloudformation.WATCH_TEMPLATE)
    assert template["Parameters"]["BudgetOfStage"]["Default"] == "false"
    filters = template["Resources"]["Budget"]["Properties"]["Budget"]["CostFilters"]
    assert filters["Fn::If"][0] == "IsBudgetOfStage"
    assert filters["Fn::If"][2] == {"Ref": "AWS::NoValue"}
