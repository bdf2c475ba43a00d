"""/scenarios: everyone reads them, and staff write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils.timezone import now

from config.stack import Stack
from learning.practice import dialogue
from learning.services import scenarios
from tests.callers import Caller, make_learner
from tests.memory_table import MemoryTable

PACK = Path(__file__).parent.parent / "learning" / "content" / "scenarios"
COFFEE, MARKET = "coffee-to-take-away", "el-mercado"


def of_pack(name: str) -> dict[str, Any]:
    scenario: dict[str, Any] = json.loads((PACK / f"{name}.json").read_text())
    return scenario


def anyone(path: str) -> Any:
    """A visitor without an account."""
    return Client().get(path)


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [each["id"] for each in answer.json()["results"]]


@pytest.fixture
def stefan(table: None) -> Caller:
    return make_learner("stefan", groups=("staff",))


@pytest.fixture
def coffee(stefan: Caller) -> dict[str, Any]:
    """A draft."""
    scenario: dict[str, Any] = stefan.makes("/scenarios", of_pack(COFFEE))
    return scenario


@pytest.fixture
def published(stefan: Caller, coffee: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = stefan.post(f"/scenarios/{COFFEE}/publish").json()
    return found


def test_a_draft_is_for_staff_until_it_is_published(stefan: Caller, coffee: Any) -> None:
    path = f"/scenarios/{COFFEE}"
    assert (coffee["status"], coffee["revision"]) == ("draft", 0)
    assert anyone(path).status_code == 404
    assert ids(anyone("/scenarios")) == []
    assert stefan.get(path).json() == coffee
    shown = stefan.post(f"{path}/publish").json()
    assert (shown["status"], shown["revision"]) == ("published", 1)
    assert ids(anyone("/scenarios")) == [COFFEE]
    found = anyone(path)
    assert (found.status_code, found.json()["title"]) == (200, "Coffee to take away")


def test_a_reader_learns_the_roles_and_goals_but_not_the_answers(published: Any) -> None:
    found = anyone(f"/scenarios/{COFFEE}").json()
    assert [role["id"] for role in found["roles"]] == ["customer", "barista"]
    assert found["roles"][0]["goals"][0] == {"id": "drink", "text": "Order a drink politely"}
    assert [goal["id"] for goal in found["roles"][1]["goals"]] == [
        "greet",
        "ask-size",
        "ask-milk",
        "say-price",
    ]
    assert found["phrases"][0].keys() == {"text", "meaning"}
    assert not found.keys() & {"script", "hasUnpublishedChanges"}
    assert found["sessions"] == 0


def test_what_staff_read_can_be_put_back_as_it_is(stefan: Caller, coffee: Any) -> None:
    put = stefan.put(f"/scenarios/{COFFEE}", coffee["script"])
    assert put.status_code == 200, put.content
    assert put.json()["script"] == coffee["script"] == put.json()["script"]
    assert {**put.json()["script"], "id": COFFEE} == of_pack(COFFEE)


def test_a_published_scenario_stays_as_it_is_until_the_next_publication(
    stefan: Caller, published: Any
) -> None:
    path = f"/scenarios/{COFFEE}"
    changed = stefan.patch(path, {"title": "Coffee to go", "level": "A2"}).json()
    assert (changed["title"], changed["level"]) == ("Coffee to take away", "A1")
    assert (changed["script"]["title"], changed["hasUnpublishedChanges"]) == ("Coffee to go", True)
    assert anyone(path).json()["title"] == "Coffee to take away"
    assert ids(anyone("/scenarios?level=A2")) == []
    again = stefan.post(f"{path}/publish").json()
    assert (again["title"], again["revision"]) == ("Coffee to go", 2)
    assert again["hasUnpublishedChanges"] is False
    assert ids(anyone("/scenarios?level=A2")) == [COFFEE]
    assert ids(anyone("/scenarios?level=A1")) == []


def test_a_change_of_a_draft_checks_its_script_once(
    stefan: Caller, coffee: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Any] = []
    parse = dialogue.parse
    monkeypatch.setattr(dialogue, "parse", lambda raw: checked.append(raw) or parse(raw))
    path = f"/scenarios/{COFFEE}"
    changed = stefan.patch(path, {"title": "Coffee to go"}).json()
    assert [script["title"] for script in checked] == ["Coffee to go"]
    assert changed == stefan.get(path).json()
    checked.clear()
    published = stefan.post(f"{path}/publish").json()
    assert len(checked) == 1
    assert published == stefan.get(path).json()
    checked.clear()
    archived = stefan.post(f"{path}/archive").json()
    assert archived == stefan.get(path).json()
    assert checked == []


def test_publishing_an_unchanged_draft_makes_no_revision(stefan: Caller, published: Any) -> None:
    again = stefan.post(f"/scenarios/{COFFEE}/publish").json()
    assert again == published


def test_an_archived_scenario_leaves_the_catalogue_and_comes_back(
    stefan: Caller, published: Any
) -> None:
    path = f"/scenarios/{COFFEE}"
    assert stefan.post(f"{path}/archive").json()["status"] == "archived"
    assert stefan.post(f"{path}/archive").status_code == 200
    assert anyone(path).status_code == 404
    assert ids(anyone("/scenarios")) == []
    assert ids(stefan.get("/scenarios?status=archived")) == [COFFEE]
    back = stefan.post(f"{path}/publish").json()
    assert (back["status"], back["revision"]) == ("published", 1)
    assert ids(anyone("/scenarios")) == [COFFEE]


@pytest.fixture(scope="module")
def pack() -> list[Any]:
    """The whole pack, in order of level, order and id."""
    found = [json.loads(path.read_text()) for path in PACK.glob("*.json")]
    return sorted(found, key=lambda each: (each["level"], each["order"], each["id"]))


@pytest.fixture(scope="module")
def restore(moto_stack: Stack, memory_table: MemoryTable, pack: list[Any]) -> Callable[[], None]:
    memory_table.clear()
    scenarios.load_scenarios(pack, now=now())
    return memory_table.remember()


@pytest.fixture
def catalogue(table: None, restore: Callable[[], None], pack: list[Any]) -> list[str]:
    """Loads the pack. Returns its ids in order."""
    restore()
    return [each["id"] for each in pack]


def test_the_catalogue_is_ordered_and_comes_in_pages(catalogue: list[str]) -> None:
    assert ids(anyone("/scenarios?limit=100")) == catalogue
    seen, path = [], "/scenarios?limit=7"
    while path:
        answer = anyone(path)
        seen += ids(answer)
        path = answer.json()["next"]
    assert seen == catalogue


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("level=A2", lambda each: each["level"] == "A2"),
        ("language=de", lambda each: each["language"] == "de"),
        ("context=food", lambda each: each["context"] == "food"),
        ("level=A1&language=es", lambda e: (e["level"], e["language"]) == ("A1", "es")),
        ("search=CAFÉ", lambda e: "café" in f"{e['title']} {e['description']}".lower()),
        ("search=cafe", lambda e: "café" in f"{e['title']} {e['description']}".lower()),
        ("search=nowhere%20at%20all", lambda e: False),
    ],
)
def test_the_catalogue_is_narrowed(catalogue: list[str], query: str, test: Any) -> None:
    expected = [name for name in catalogue if test(of_pack(name))]
    assert ids(anyone(f"/scenarios?limit=100&{query}")) == expected
    assert bool(expected) != ("nowhere" in query)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("level=D1", "level"),
        ("context=Food%20!", "context"),
        ("language=E1", "language"),
        ("language=zz", "language"),
        (f"search={'x' * 81}", "search"),
        ("status=hidden", "status"),
        ("limit=0", "limit"),
        ("cursor=forged", "cursor"),
        ("author=me", "author"),
    ],
)
def test_a_wrong_parameter_of_the_catalogue_is_named(table: None, query: str, field: str) -> None:
    answer = anyone(f"/scenarios?{query}")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_only_staff_list_what_is_not_published(maria: Caller, stefan: Caller, coffee: Any) -> None:
    assert ids(stefan.get("/scenarios?status=draft")) == [COFFEE]
    for answer in (maria.get("/scenarios?status=draft"), anyone("/scenarios?status=archived")):
        assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")


WRITES = [
    ("post", "/scenarios", {}),
    ("put", f"/scenarios/{COFFEE}", {}),
    ("patch", f"/scenarios/{COFFEE}", {}),
    ("delete", f"/scenarios/{COFFEE}", None),
    ("post", f"/scenarios/{COFFEE}/publish", None),
    ("post", f"/scenarios/{COFFEE}/archive", None),
    ("post", f"/scenarios/{COFFEE}/duplicate", {}),
    ("post", "/scenarios/reorder", {"ids": [COFFEE]}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_learner_writes_nothing(
    maria: Caller, coffee: Any, method: str, path: str, body: Any
) -> None:
    answer = maria.send(method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")
    visitor = Client().generic(method.upper(), path)
    assert (visitor.status_code, visitor.json()["code"]) == (401, "NOT_AUTHENTICATED")


def test_an_admin_writes_as_staff_do(table: None) -> None:
    admin = make_learner("anke", groups=("admin",))
    assert admin.post("/scenarios", of_pack(COFFEE)).status_code == 201


def broken(path: str, value: Any) -> dict[str, Any]:
    """The coffee script with one field changed, or left out."""
    script = of_pack(COFFEE)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = script
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return script


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("title", None, "title"),
        ("title", "x" * 81, "title"),
        ("level", "Z1", "level"),
        ("roles", [], "roles"),
        ("roles.1.id", "customer", "roles"),
        ("parts.0.start", "nowhere", "parts.0.start"),
        ("parts.0.nodes.0.branches.0.to", "nowhere", "parts.0.nodes.0.branches.0.to"),
        ("parts.0.nodes.0.branches.0.example", "Blah.", "parts.0.nodes.0.branches.0.example"),
        ("parts.0.nodes.2.line", 7, "parts.0.nodes.2.line"),
        ("parts.0.goals.0.phrases.0", "...", "parts.0.goals.0.phrases.0"),
        ("mistakes.0.right", "{9}", "mistakes.0.right"),
        ("order", -1, "order"),
        ("author", "me", "author"),
        ("id", "Not A Slug", "id"),
    ],
)
def test_a_script_that_breaks_a_rule_is_400_and_names_the_field(
    stefan: Caller, path: str, value: Any, field: str
) -> None:
    answer = stefan.post("/scenarios", broken(path, value))
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert ids(stefan.get("/scenarios?status=draft")) == []


def test_a_change_that_breaks_the_whole_script_is_refused(stefan: Caller, coffee: Any) -> None:
    parts = coffee["script"]["parts"]
    parts[0]["nodes"] = parts[0]["nodes"][1:]
    answer = stefan.patch(f"/scenarios/{COFFEE}", {"parts": parts})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["parts.0.start"]
    assert stefan.get(f"/scenarios/{COFFEE}").json()["version"] == coffee["version"]


def test_sent_again_it_is_the_same_draft_but_another_body_is_409(
    stefan: Caller, coffee: Any
) -> None:
    assert stefan.post("/scenarios", of_pack(COFFEE)).json() == coffee
    other = stefan.post("/scenarios", broken("title", "Tea"))
    assert (other.status_code, other.json()["code"]) == (409, "ID_TAKEN")


def test_a_scenario_without_an_id_gets_one(stefan: Caller) -> None:
    scenario = stefan.makes("/scenarios", broken("id", None))
    assert stefan.get(f"/scenarios/{scenario['id']}").json() == scenario


def test_a_lost_race_is_412(stefan: Caller, coffee: Any) -> None:
    path, seen = f"/scenarios/{COFFEE}", f'"{coffee["version"]}"'
    assert stefan.patch(path, {"title": "One"}, If_Match=seen).status_code == 200
    for answer in (
        stefan.patch(path, {"title": "Two"}, If_Match=seen),
        stefan.put(path, coffee["script"], If_Match=seen),
        stefan.post(f"{path}/publish", If_Match=seen),
        stefan.post(f"{path}/archive", If_Match=seen),
        stefan.delete(path, If_Match=seen),
    ):
        assert (answer.status_code, answer.json()["code"]) == (412, "PRECONDITION_FAILED")
    assert stefan.get(path).json()["title"] == "One"


def test_a_draft_is_deleted_and_a_published_scenario_is_not(stefan: Caller, coffee: Any) -> None:
    path = f"/scenarios/{COFFEE}"
    assert stefan.delete(path).status_code == 204
    assert stefan.get(path).status_code == 404
    assert stefan.delete(path).status_code == 404
    stefan.makes("/scenarios", of_pack(COFFEE))
    stefan.post(f"{path}/publish")
    stefan.post(f"{path}/archive")
    answer = stefan.delete(path)
    assert (answer.status_code, answer.json()["code"]) == (409, "SCENARIO_PUBLISHED")


def test_a_duplicate_is_a_draft_of_its_own(stefan: Caller, published: Any) -> None:
    path = f"/scenarios/{COFFEE}/duplicate"
    made = stefan.makes(path, {"id": "tea-to-take-away", "title": "Tea to take away"})
    assert (made["id"], made["title"], made["status"]) == (
        "tea-to-take-away",
        "Tea to take away",
        "draft",
    )
    assert made["script"] == published["script"] | {"title": "Tea to take away"}
    again = stefan.post(path, {"id": "tea-to-take-away", "title": "Tea to take away"})
    assert again.json() == made
    assert stefan.post(path, {"id": "tea-to-take-away"}).status_code == 409
    unnamed = stefan.makes(path, {})
    assert unnamed["title"] == "Coffee to take away (copy)"
    assert stefan.post("/scenarios/nowhere/duplicate", {}).status_code == 404


def test_reordered_scenarios_change_places_among_themselves(
    stefan: Caller, catalogue: list[str]
) -> None:
    first, second, third, *rest = catalogue
    answer = stefan.post("/scenarios/reorder", {"ids": [third, first]})
    assert ids(answer) == [third, first]
    assert ids(anyone("/scenarios?limit=100")) == [third, second, first, *rest]


def test_scenarios_of_one_place_are_told_apart_when_reordered(stefan: Caller) -> None:
    for name in ("ham", "eggs", "toast"):
        body = of_pack(COFFEE) | {"id": name, "order": 5}
        stefan.makes("/scenarios", body)
    assert ids(stefan.post("/scenarios/reorder", {"ids": ["toast", "ham", "eggs"]}))
    assert ids(stefan.get("/scenarios?status=draft")) == ["toast", "ham", "eggs"]


def trail(caller: Caller, path: str) -> list[tuple[str, str]]:
    lines = caller.get(path).json()["results"]
    return [(line["action"], line["target"]) for line in reversed(lines)]


def test_what_staff_do_is_in_their_own_trail_and_in_the_scenarios(
    stefan: Caller, coffee: Any
) -> None:
    path = f"/scenarios/{COFFEE}"
    with time_machine.travel(now(), tick=False) as moment:  # lines of one instant have no order
        for method, address, body in (
            ("patch", path, {"title": "Coffee"}),
            ("post", f"{path}/publish", None),
            ("post", f"{path}/publish", None),  # which changes nothing
            ("post", f"{path}/archive", None),
            ("post", f"{path}/duplicate", {"id": "copy"}),
            ("post", f"{path}/duplicate", {"id": "copy"}),
            ("post", "/scenarios/reorder", {"ids": ["copy", COFFEE]}),
            ("delete", "/scenarios/copy", None),
        ):
            moment.shift(1)
            assert stefan.send(method, address, body).status_code < 300
    assert trail(stefan, "/auth/activity") == [
        ("scenario_created", f"scenarios/{COFFEE}"),
        ("scenario_changed", f"scenarios/{COFFEE}"),
        ("scenario_published", f"scenarios/{COFFEE}"),
        ("scenario_archived", f"scenarios/{COFFEE}"),
        ("scenario_created", "scenarios/copy"),
        ("scenarios_reordered", "scenarios"),
        ("scenario_deleted", "scenarios/copy"),
    ]
    of_coffee = ["scenario_created", "scenario_changed", "scenario_published", "scenario_archived"]
    anke = make_learner("anke", groups=("staff",))
    assert trail(anke, f"{path}/activity") == [(action, "") for action in of_coffee]
    assert trail(anke, "/scenarios/copy/activity")[-1] == ("scenario_deleted", "")
    lines = anke.get(f"{path}/activity").json()["results"]
    assert {(line["actor"], line["ip"], line["byStaff"]) for line in lines} == {
        (stefan.id, "", True)
    }
    assert trail(anke, "/auth/activity") == []


def test_a_refused_change_leaves_no_line(stefan: Caller, published: Any) -> None:
    before = trail(stefan, "/auth/activity")
    path = f"/scenarios/{COFFEE}"
    assert stefan.patch(path, {"title": "Tea"}, If_Match='"99"').status_code == 412
    assert stefan.patch(path, {"parts": []}).status_code == 400
    assert stefan.delete(path).status_code == 409
    assert stefan.post("/scenarios", of_pack(COFFEE) | {"title": "Tea"}).status_code == 409
    assert trail(stefan, "/auth/activity") == before


@pytest.mark.parametrize(
    ("wanted", "code", "field"),
    [
        ([], "VALIDATION_ERROR", "ids"),
        ([COFFEE] * 99, "VALIDATION_ERROR", "ids"),
        ([COFFEE, COFFEE], "VALIDATION_ERROR", "ids"),
        ([COFFEE, "nowhere"], "UNKNOWN_SCENARIO", "ids.1"),
    ],
)
def test_an_order_of_other_than_known_scenarios_is_refused(
    stefan: Caller, coffee: Any, wanted: list[str], code: str, field: str
) -> None:
    answer = stefan.post("/scenarios/reorder", {"ids": wanted})
    assert answer.json()["code"] == code
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_method_that_scenarios_do_not_have_is_405(maria: Caller) -> None:
    for path in ("/scenarios", f"/scenarios/{COFFEE}/publish", "/starter-decks"):
        answer = maria.send("trace", path)
        assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("id", ["nowhere", "x" * 61, "x" * 4000, "Not-A-Slug", "a--b"])
def test_an_unknown_scenario_is_404(stefan: Caller, id: str) -> None:
    assert stefan.get(f"/scenarios/{id}").status_code == 404
    assert anyone(f"/scenarios/{id}").status_code == 404


def test_the_pack_is_loaded_once(catalogue: list[str]) -> None:
    pack = [of_pack(name) for name in catalogue]
    assert set(scenarios.load_scenarios(pack, now=now()).values()) == {"unchanged"}
    assert {anyone(f"/scenarios/{name}").json()["revision"] for name in catalogue[:3]} == {1}


def test_a_new_edition_of_the_pack_is_published_unless_staff_have_changed_it(
    stefan: Caller, catalogue: list[str]
) -> None:
    stefan.patch(f"/scenarios/{MARKET}", {"title": "Los tomates"})
    stefan.post(f"/scenarios/{catalogue[-1]}/archive")
    edition = [of_pack(n) | {"notes": "New."} for n in (COFFEE, MARKET, catalogue[-1])]
    outcomes = scenarios.load_scenarios(edition, now=now())
    assert outcomes == {COFFEE: "updated", MARKET: "kept", catalogue[-1]: "updated"}
    coffee, market = (stefan.get(f"/scenarios/{n}").json() for n in (COFFEE, MARKET))
    assert (coffee["revision"], coffee["notes"]) == (2, "New.")
    assert (market["revision"], market["script"]["title"]) == (1, "Los tomates")
    assert stefan.get(f"/scenarios/{catalogue[-1]}").json()["status"] == "archived"
