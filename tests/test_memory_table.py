"""The table in memory against DynamoDB itself: the same calls, the same answers."""

import re
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings

from config.stack import Stack, stack
from tests.memory_expressions import canonical
from tests.memory_table import MemoryTable
from tests.test_convergence import Submission, comes_to_the_sorted_state, deliveries
from tests.wire import table_client

pytestmark = pytest.mark.server

Call = tuple[str, dict[str, Any]]
APART = ("ConsumedCapacity", "ResponseMetadata")  # of the answers; see tests/test_round_trips.py
ANA = {"pk": {"S": "LEARNER#ana"}}


def text(value: str) -> dict[str, str]:
    return {"S": value}


def item(sk: str, **attributes: Any) -> dict[str, Any]:
    return {**ANA, "sk": text(sk), **attributes}


def put(sk: str, **attributes: Any) -> Call:
    return "put_item", {"Item": item(sk, **attributes), "ReturnValues": "ALL_OLD"}


def get(sk: str) -> Call:
    return "get_item", {"Key": item(sk), "ConsistentRead": True}


def given(*sources: str) -> dict[str, Any]:
    """The names and values that expressions are about."""
    used = {word for source in sources for word in re.findall(r"[#:]\w+", source)}
    names = {word: word[1:] for word in used if word[0] == "#"}
    values = {word: GIVEN[word[1:]] for word in used if word[0] == ":"}
    return ({"ExpressionAttributeNames": names} if names else {}) | (
        {"ExpressionAttributeValues": values} if values else {}
    )


EVERYTHING = item(
    "a",
    lsi1=text("2"),
    n={"N": "7"},
    s=text("casa"),
    b={"B": b"\x00\xff"},
    t={"BOOL": True},
    z={"NULL": True},
    l={"L": [text("x"), {"N": "1.0"}]},
    m={"M": {"k": {"N": "2.50"}}},
    ss={"SS": ["x", "y"]},
    ns={"NS": ["1", "2.0"]},
)
GIVEN = {
    "n": {"N": "7.0"},
    "less": {"N": "-8"},
    "more": {"N": "10"},
    "one": {"N": "1"},
    "half": {"N": "0.50"},
    "s": text("casa"),
    "ca": text("ca"),
    "z": text("z"),
    "x": text("x"),
    "empty": text(""),
    "b": {"B": b"\x00\xff"},
    "list": {"L": [text("x"), {"N": "1"}]},
    "set": {"SS": ["y", "x"]},
    "part": {"SS": ["x", "none"]},
    "numbers": {"NS": ["1", "3.50"]},
    "nothing": {"SS": []},
    "type": text("SS"),
    "pk": ANA["pk"],
    "others": text("LEARNER#rui"),
    "card": text("CARD#"),
    "deck": text("DECK#1"),
    "due": text("due"),
    "two": text("2"),
    "six": text("6"),
}
CONDITIONS = [
    "attribute_exists(#pk)",
    "attribute_exists(#no)",
    "attribute_not_exists(#no)",
    "NOT attribute_not_exists(#pk)",
    "#n = :n",
    "#n <> :n",
    "#no <> :n",
    "#no = :n",
    "#no < :n",
    "#n > :less",
    "#n < :more",
    "#n >= :n AND #n <= :n",
    "#s < :z",
    "#s < :n",
    "#s <> :n",
    "#b = :b",
    "#s BETWEEN :ca AND :z",
    "#n BETWEEN :less AND :one",
    "#no BETWEEN :less AND :more",
    "#s IN (:z, :s)",
    "#s IN (:z, :n)",
    "begins_with(#s, :ca)",
    "begins_with(#s, :z)",
    "begins_with(#no, :z)",
    "contains(#s, :ca)",
    "contains(#l, :x)",
    "contains(#l, :one)",
    "contains(#l, :ca)",
    "contains(#ss, :x)",
    "contains(#ns, :one)",
    "contains(#ss, :one)",
    "contains(#no, :one)",
    "#l = :list",
    "#ss = :set",
    "attribute_type(#ss, :type)",
    "attribute_type(#s, :type)",
    "size(#s) > :one",
    "size(#ss) = :one",
    "size(#no) = :one",
    "#n = :z OR #s = :s AND #no = :s",
    "(#n = :n OR #s = :s) AND #no = :s",
    "NOT #n = :z AND #s = :s",
    "NOT (#n = :n AND #s = :s)",
    "#n =",
    "#n = :n :n",
]
UPDATES = [
    "SET #n = :half",
    "SET #n = #n + :half",
    "SET #n = #n - :more",
    "SET #n = #no + :one",
    "SET #n = #no",
    "SET #n = #s, #s = #n",
    "SET #n = if_not_exists(#n, :one)",
    "SET #no = if_not_exists(#no, :one)",
    "SET #l = list_append(#l, :list)",
    "SET #l = list_append(:list, #l)",
    "SET #a = :half REMOVE #n, #no ADD #c :one",
    "SET #b = :b, #l = :list",
    "ADD #n :less",
    "ADD #s :one",
    "ADD #ss :part",
    "ADD #no :numbers",
    "ADD #ss :numbers",
    "ADD #no :x",
    "DELETE #ss :part",
    "DELETE #ss :set",
    "DELETE #no :part",
    "DELETE #s :part",
    "SET #sk = :x",
    "SET #lsi1 = :empty",
    "SET #s = :one, #s = :x",
    "SET #s = :nothing",
    "REMOVE #no",
    "REMOVE #n :one",
]


def conditions() -> list[Call]:
    calls: list[Call] = []
    for source in CONDITIONS:
        condition = {
            "ConditionExpression": source,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **given(source),
        }
        calls += [
            put("a"),
            ("put_item", {"Item": EVERYTHING}),
            ("update_item", {"Key": item("a"), **condition} | counting(source)),
            ("delete_item", {"Key": item("nobody"), **condition}),
            ("delete_item", {"Key": item("a"), **condition}),
        ]
    return calls


def counting(source: str) -> dict[str, Any]:
    return {"UpdateExpression": "ADD #count :one", **given(source, "#count :one")}


def updates() -> list[Call]:
    calls: list[Call] = []
    for source in UPDATES:
        for key, returned in (("a", "ALL_NEW"), ("fresh", "ALL_NEW"), ("a", "ALL_OLD")):
            update = {"Key": item(key), "UpdateExpression": source, "ReturnValues": returned}
            calls += [
                ("delete_item", {"Key": item("fresh"), "ReturnValues": "ALL_OLD"}),
                ("put_item", {"Item": EVERYTHING}),
                ("update_item", update | given(source)),
                get(key),
            ]
    return calls


def values() -> list[Call]:
    calls: list[Call] = []
    for n in ("0", "-0", "1.50", "100", "1e2", "1E-5", "-7.25", "0001", "1" * 38, "1" * 39):
        calls += [put("n", n={"N": n}), get("n")]
    for attributes in (
        {"lsi1": text("")},
        {"lsi1": {"N": "1"}},
        {"gsi1pk": text("")},
        {"s": text("")},
        {"s": {"SS": ["x", "x"]}},
        {"s": {"SS": []}},
        {"s": {"B": b""}},
        {"lsi1": text("x" * 1025)},
        {"gsi1pk": text("x" * 2048)},
        {"s": text("x" * 410_000)},
        {"s": text("x" * 400_000)},
        {"s": text("é" * 210_000)},
        {"s": text("é" * 200_000)},
    ):
        calls += [put("v", **attributes), get("v")]
    calls += [
        ("put_item", {"Item": ANA}),
        ("put_item", {"Item": {**ANA, "sk": {"N": "1"}}}),
        put(""),
        ("get_item", {"Key": ANA}),
        ("get_item", {"Key": item("v", s=text("x"))}),
        ("get_item", {"Key": item("v"), "TableName": "another"}),
    ]
    return calls


def queries() -> list[Call]:
    calls = [
        put(f"CARD#{n}", lsi1=text(f"{n % 3}{n}"), gsi1pk=text("due"), gsi1sk=text(f"{9 - n}"))
        for n in range(6)
    ]
    calls += [put("CARD#9"), put("DECK#1", lsi2=text("x")), put("É"), put("Z"), put("a")]
    calls += [("put_item", {"Item": {"pk": text("LEARNER#rui"), "sk": text("CARD#1")}})]
    for how in (
        {},
        {"Limit": 3},
        {"Limit": 5, "ScanIndexForward": False},
        {"Limit": 11},
        {"Select": "COUNT", "Limit": 4},
        {"ProjectionExpression": "#sk, #lsi1"},
        {"FilterExpression": "contains(#lsi1, :two)"},
        {"FilterExpression": "attribute_exists(#lsi1)", "Limit": 4},
        {"KeyConditionExpression": "#pk = :pk AND begins_with(#sk, :card)"},
        {"KeyConditionExpression": "#pk = :pk AND #sk BETWEEN :card AND :deck"},
        {"KeyConditionExpression": "#pk = :pk AND #sk > :deck"},
        {"KeyConditionExpression": "#pk = :pk AND #sk <= :deck"},
        {"KeyConditionExpression": "#pk = :pk AND #sk = :deck"},
        {"KeyConditionExpression": "#pk = :others"},
        {"KeyConditionExpression": "#pk = :x"},
        {"IndexName": "lsi1"},
        {"IndexName": "lsi1", "KeyConditionExpression": "#pk = :pk AND begins_with(#lsi1, :two)"},
        {"IndexName": "lsi2", "ScanIndexForward": False},
        {"IndexName": "lsi3"},
        {"IndexName": "lsi9"},
        {"IndexName": "gsi1", "KeyConditionExpression": "#gsi1pk = :due"},
        {"IndexName": "gsi1", "KeyConditionExpression": "#gsi1pk = :due AND #gsi1sk < :six"},
        {"IndexName": "gsi1", "KeyConditionExpression": "#gsi1pk = :due", "Limit": 2},
        {
            "IndexName": "gsi1",
            "KeyConditionExpression": "#gsi1pk = :due",
            "ConsistentRead": True,
        },
        {"ExclusiveStartKey": item("CARD#3")},
        {"ExclusiveStartKey": item("CARD#35"), "ScanIndexForward": False},
        {
            "IndexName": "lsi2",
            "ExclusiveStartKey": item("DECK#1", lsi2=text("x")),
        },
        {"TableName": "another"},
    ):
        query = {"KeyConditionExpression": "#pk = :pk", **how}
        sources = [value for name, value in query.items() if name.endswith("Expression")]
        calls.append(("query", query | given(*sources)))
    long = [put(f"LONG#{n}", s=text("x" * 350_000)) for n in range(4)]
    return [*calls, *long, ("query", {"KeyConditionExpression": "#pk = :pk", **given("#pk :pk")})]


def transactions() -> list[Call]:
    held = {"ConditionExpression": "attribute_exists(#pk)", **given("#pk")}
    free = {"ConditionExpression": "attribute_not_exists(#pk)", **given("#pk")}
    shown = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    add = {"UpdateExpression": "ADD #n :one"}
    named = {"TableName": "TABLE"}

    def of(*writes: dict[str, Any]) -> Call:
        return "transact_write_items", {
            "TransactItems": [
                {verb: named | body} for write in writes for verb, body in write.items()
            ]
        }

    return [
        of({"Put": {"Item": item("a", n={"N": "1"})}}, {"Put": {"Item": item("b"), **free}}),
        of({"Put": {"Item": item("a"), **free, **shown}}, {"Put": {"Item": item("c")}}),
        of({"Put": {"Item": item("a"), **free}}, {"Delete": {"Key": item("b"), **free, **shown}}),
        get("c"),
        of(
            {"Update": {"Key": item("a"), **add, **given("#n :one")}},
            {"Update": {"Key": item("new"), **add, **given("#n :one")}},
            {"ConditionCheck": {"Key": item("b"), **held}},
        ),
        get("a"),
        get("b"),
        get("new"),
        of({"ConditionCheck": {"Key": item("none"), **held}}, {"Delete": {"Key": item("a")}}),
        of({"Delete": {"Key": item("a")}}, {"Delete": {"Key": item("none")}}),
        get("a"),
        of({"Put": {"Item": item("x")}}, {"Delete": {"Key": item("x")}}),
        of(*({"Put": {"Item": item(f"{n}")}} for n in range(101))),
        of({"Put": {"Item": item("x", s=text("x" * 410_000))}}),
        of({"Put": {"Item": item("x", lsi1=text(""))}}, {"Put": {"Item": item("y")}}),
        get("y"),
    ]


def batches() -> list[Call]:
    def read(*keys: str) -> Call:
        return "batch_get_item", {
            "RequestItems": {"TABLE": {"Keys": [item(key) for key in keys], "ConsistentRead": True}}
        }

    def write(*requests: dict[str, Any]) -> Call:
        return "batch_write_item", {"RequestItems": {"TABLE": list(requests)}}

    def putting(*keys: str) -> list[dict[str, Any]]:
        return [{"PutRequest": {"Item": item(key)}} for key in keys]

    return [
        write(*putting("a", "b", "c")),
        read("a", "b", "nobody"),
        read("nobody"),
        read("a", "a"),
        read(*(f"{n}" for n in range(101))),
        write({"DeleteRequest": {"Key": item("a")}}, {"DeleteRequest": {"Key": item("nobody")}}),
        read("a", "b"),
        write(*putting("b", "b")),
        write(*putting(*(f"{n}" for n in range(26)))),
        write(*putting("d", "")),
        read("d", "b"),
    ]


def outcome(client: Any, call: Call) -> Any:
    """What a call came to, in a form that can be compared."""
    operation, arguments = call
    arguments = _named(arguments)
    if not operation.startswith(("batch", "transact")):
        arguments = {"TableName": stack().table_name} | arguments
    try:
        answer = client.call(operation.title().replace("_", ""), arguments)
    except ClientError as error:
        answer = {key: error.response.get(key) for key in ("Item", "CancellationReasons")}
        for reason in answer["CancellationReasons"] or []:
            reason.pop("Message", None)
        return _sorted(answer | {"Code": error.response["Error"]["Code"]})
    return _sorted({k: v for k, v in answer.items() if k not in APART})


def _named(value: Any) -> Any:
    """The request with the table's name."""
    if isinstance(value, dict):
        return {_named(name): _named(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_named(each) for each in value]
    return stack().table_name if value == "TABLE" else value


def _sorted(value: Any) -> Any:
    """The answer with what has no order in one: sets, and the items of a batch.

    Numbers in one form: AWS trims zeros, DynamoDB Local not always.
    """
    if isinstance(value, dict):
        if "N" in value:
            return {"N": canonical(value["N"])}
        if "NS" in value:
            return {"NS": sorted(canonical(each) for each in value["NS"])}
        return {
            name: sorted(each, key=str)
            if name in ("SS", "BS", stack().table_name)
            else _sorted(each)
            for name, each in value.items()
        }
    return [_sorted(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("calls", [conditions, updates, values, queries, transactions, batches])
def test_every_call_has_the_answer_that_dynamodb_gives(
    dynamodb_local: Stack, calls: Callable[[], list[Call]]
) -> None:
    client = table_client()
    wanted = [outcome(client, call) for call in calls()]
    with MemoryTable(dynamodb_local.table_name).answering(client):
        found = [outcome(client, call) for call in calls()]
    differing = [
        (call, one, other)
        for call, one, other in zip(calls(), found, wanted, strict=True)
        if one != other
    ]
    assert differing == []


def test_pages_follow_one_another_as_in_dynamodb(dynamodb_local: Stack) -> None:
    client = table_client()

    def pages() -> list[Any]:
        for call in queries()[:12]:
            outcome(client, call)
        found, start = [], {}
        while True:
            query = {"KeyConditionExpression": "#pk = :pk", "Limit": 2, **given("#pk :pk"), **start}
            found.append(outcome(client, ("query", {"IndexName": "lsi1", **query})))
            if "LastEvaluatedKey" not in found[-1]:
                return found
            start = {"ExclusiveStartKey": found[-1]["LastEvaluatedKey"]}

    wanted = pages()
    with MemoryTable(dynamodb_local.table_name).answering(client):
        assert pages() == wanted


@settings(
    max_examples=8,
    suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture],
)
@hypothesis.given(delivery=deliveries())
def test_devices_converge_in_dynamodb_too(
    dynamodb_local: Stack, delivery: tuple[list[Submission], list[list[Submission]]]
) -> None:
    comes_to_the_sorted_state(delivery)
