"""The pages below /browse on which staff write scenarios, as a browser without script uses them."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.utils.timezone import now

from config.ops.model_stand_in import DRAFT, StandIn, tool_call
from learning.browse import script_form
from learning.models.budgets import Budget
from learning.practice import dialogue
from learning.practice.script import (
    Branch,
    Fallback,
    Goal,
    Mistake,
    Node,
    Part,
    Phrase,
    Role,
    Script,
    StandingAnswer,
)
from learning.services import scenarios
from learning.shapes import shape_of
from tests.browsers import Browser, FoundForm, ids_of, labelled, signed_in
from tests.callers import Caller, make_learner
from tests.model_helpers import text_answer
from tests.test_scenarios import COFFEE, PACK, of_pack

BAKERY = {
    "title": "At the bakery",
    "level": "A1",
    "language": "en",
    "context": "Food & drink",
    "description": "You are hungry. Buy some bread, ask the price and pay.",
    "notes": "Teach numbers first.",
    "roles.0.name": "Customer",
    "roles.0.brief": "You want fresh bread.",
    "roles.1.name": "Baker",
    "roles.1.brief": "You sell bread and cakes.",
    "parts.0.role": "0",
    "parts.0.opening": "Good morning! What would you like?",
    "parts.0.farewell": "Goodbye!",
    "parts.0.goals.0.text": "Buy some bread",
    "parts.0.goals.0.example": "A loaf of bread, please.",
    "parts.0.goals.0.phrases": "bread/loaf\r\nrolls",
    "parts.0.goals.0.answer": "Here you are.",
    "parts.0.goals.1.text": "Ask how much it is",
    "parts.0.goals.1.prompt": "Anything else?",
    "parts.0.goals.1.example": "No, thank you. How much is it?",
    "parts.0.goals.1.phrases": "how much",
    "parts.0.goals.1.answer": "Two euros.",
    "parts.0.goals.2.text": "Pay",
    "parts.0.goals.2.example": "Here is the money.",
    "parts.0.goals.2.answer": "Thank you!",
}


@pytest.fixture
def stefan(table: None) -> Caller:
    return make_learner("stefan", groups=("staff",))


@pytest.fixture
def browser(stefan: Caller) -> Browser:
    return signed_in(stefan)


def text(page: Any) -> str:
    return unescape(page.content.decode())


def edit(browser: Browser, path: str = "/browse/write") -> FoundForm:
    return browser.form(path, sends="title")


def press(browser: Browser, form: FoundForm, button: str, **values: str) -> Any:
    return browser.send(form, **values, _do=button)


def again(browser: Browser, form: FoundForm, button: str, **values: str) -> FoundForm:
    """The form that a button on a row shows."""
    page = press(browser, form, button, **values)
    assert page.status_code == 200
    return browser.form_of(page, sends="title")


def saved(browser: Browser, form: FoundForm, **values: str) -> str:
    """The id of the scenario that was saved."""
    answer = press(browser, form, "save", **values)
    assert answer.status_code == 303, re.findall(r'class="error"[^>]*>([^<]*)', text(answer))
    return str(answer.headers["Location"].removesuffix("#done").rpartition("/")[2])


def bakery(browser: Browser) -> str:
    return saved(browser, edit(browser), **BAKERY)


def error_at(page: Any, name: str) -> str:
    """What is said beside an input."""
    beside = text(page).partition(f'id="POST-{name.replace(".", "-")}-said"')[2]
    found = re.search(r'class="error">([^<]*)', beside.partition("</div>")[0])
    return found[1] if found else ""


@pytest.mark.parametrize("path", ["writing", "write", f"write/{COFFEE}", f"write/{COFFEE}/try"])
def test_a_page_loads_one_script_of_ours_and_labels_its_inputs(
    path: str, stefan: Caller, browser: Browser
) -> None:
    stefan.makes("/scenarios", of_pack(COFFEE))
    page = browser.get(f"/browse/{path}")
    assert re.findall(r"<script[^>]*>", text(page)) == [
        '<script src="/static/writing/writing.js" defer>'
    ]
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text(page))
    ids = ids_of(page)
    assert len(ids) == len(set(ids)), [each for each in ids if ids.count(each) > 1]
    assert labelled(page)


def test_saving_keeps_what_the_form_does_not_show(stefan: Caller, browser: Browser) -> None:
    stefan.makes("/scenarios", of_pack(COFFEE) | {"partners": ["scripted"]})
    saved(browser, edit(browser, f"/browse/write/{COFFEE}"), title="Coffee")
    script = stefan.get(f"/scenarios/{COFFEE}").json()["script"]
    assert (script["title"], script["partners"]) == ("Coffee", ["scripted"])


def test_a_form_without_its_token_writes_nothing(browser: Browser) -> None:
    form = edit(browser)
    form.values.pop("csrfmiddlewaretoken")
    assert press(browser, form, "save", **BAKERY).status_code == 403


def test_a_scenario_without_an_outline_is_played_goal_by_goal(
    stefan: Caller, browser: Browser
) -> None:
    found = stefan.get(f"/scenarios/{bakery(browser)}").json()
    script = found["script"]
    assert (found["status"], script["context"]) == ("draft", "food-drink")
    assert [role["id"] for role in script["roles"]] == ["customer", "baker"]
    goals = script["parts"][0]["goals"]
    assert goals[0]["phrases"] == ["bread/loaf", "rolls"]
    assert goals[2]["phrases"] == ["Here is the money"]
    played = dialogue.parse({**script, "id": "bakery"})
    assert dialogue.rehearsal(played, "customer") == [
        "A loaf of bread, please.",
        "No, thank you. How much is it?",
        "Here is the money.",
    ]
    _, state = dialogue.opening(played, "customer")
    answer = dialogue.reply(played, state, "Some bread. How much is it?")
    assert answer.line == "Two euros. Here you are. (Pay)"


def test_a_scenario_of_the_pack_comes_back_as_it_was() -> None:
    for path in PACK.glob("*.json"):
        script = of_pack(path.stem)
        script.pop("id"), script.pop("order")
        assert script_form.script_of(script_form.form_of(script)) == script, path.stem


def test_no_field_of_a_script_is_lost_in_the_form() -> None:
    """A field that scripts get one day stands in the form as well."""
    patterns = {"phrases": ["a"], "unless": ["b"]}
    node = {
        "id": "line-1",
        "line": "Hello?",
        "branches": [
            {"example": "a", "to": "line-2", "goal": "g", "also": ["c"], "say": "d", **patterns}
        ],
        "fallback": {"lines": ["e", "f"], "to": "line-2", "then": "g"},
        "hints": ["h"],
        "skip": "g",
    }
    answer = {"say": "i", "goal": "g", **patterns}
    part = {
        "role": "p",
        "start": "line-1",
        "farewell": "j",
        "goals": [{"id": "g", "text": "k", **patterns}],
        "answers": [answer],
        "nodes": [node, {"id": "line-2", "line": "l"}],
    }
    roles = [{"id": id, "name": id, "brief": id} for id in "pq"]
    phrase = {"text": "m", "meaning": "n", **patterns}
    mistake = {"right": "o", "why": "r", **patterns}
    texts = {
        "title": "s",
        "context": "t",
        "description": "u",
        "level": "A1",
        "language": "en",
        "notes": "v",
    }
    lists = {"roles": roles, "parts": [part], "phrases": [phrase], "mistakes": [mistake]}
    script = {**texts, **lists, "partners": ["model"]}
    for shape, example in (
        (Script, script | {"id": "", "order": 0}),
        (Role, roles[0]),
        (Part, part),
        (Goal, part["goals"][0] | {"example": "only where nothing is scripted"}),
        (StandingAnswer, answer),
        (Node, node),
        (Branch, node["branches"][0]),
        (Fallback, node["fallback"]),
        (Phrase, phrase),
        (Mistake, mistake),
    ):
        assert shape_of(shape).keys() == example.keys(), shape.__name__
    assert script_form.script_of(script_form.form_of(script)) == script


def test_a_scenario_for_a_model_alone_needs_no_script(stefan: Caller, browser: Browser) -> None:
    only_script = ("notes", "example", "answer", "phrases", "farewell", "prompt")
    fields = {
        name: "" if name.rpartition(".")[2] in only_script else text
        for name, text in BAKERY.items()
    }
    fields |= {"partners": "model", "parts.0.goals.1.prompt": "Anything else?"}
    name = saved(browser, edit(browser), **fields)
    script = stefan.get(f"/scenarios/{name}").json()["script"]
    [part] = script["parts"]
    assert [goal["text"] for goal in part["goals"]] == [
        *("Buy some bread", "Ask how much it is", "Pay"),
    ]
    assert [(node["line"], node.get("skip")) for node in part["nodes"]] == [
        ("Good morning! What would you like?", None),
        ("Anything else?", "goal-2"),
    ]
    assert not {"answers", "farewell"} & part.keys()
    refused = press(browser, edit(browser, f"/browse/write/{name}"), "save", partners="")
    assert refused.status_code == 400
    assert error_at(refused, "parts.0.farewell")


def test_what_a_scenario_for_a_model_alone_has_all_the_same_is_kept() -> None:
    part = {
        "role": "p",
        "start": "line-1",
        "goals": [
            {"id": "a", "text": "b", "phrases": ["c"], "unless": ["d"], "example": "e"},
            {"id": "f", "text": "g"},
            {"id": "h", "text": "i"},
        ],
        "answers": [{"goal": "f", "say": "j"}, {"phrases": ["k"], "say": "l"}],
        "nodes": [{"id": "line-1", "line": "m"}, {"id": "line-3", "line": "n", "skip": "f"}],
        "farewell": "o",
    }
    roles = [{"id": id, "name": id, "brief": id} for id in "pq"]
    texts = dict.fromkeys(("title", "context", "description"), "r")
    script = {**texts, "level": "A1", "language": "en", "roles": roles, "parts": [part]}
    script |= {"phrases": [], "mistakes": [], "partners": ["model"]}
    assert script_form.script_of(script_form.form_of(script)) == script


def test_saving_what_was_not_changed_changes_nothing(stefan: Caller, browser: Browser) -> None:
    stefan.makes("/scenarios", of_pack(COFFEE))
    stefan.post(f"/scenarios/{COFFEE}/publish")
    assert saved(browser, edit(browser, f"/browse/write/{COFFEE}")) == COFFEE
    found = stefan.get(f"/scenarios/{COFFEE}").json()
    assert found["hasUnpublishedChanges"] is False
    assert found["order"] == of_pack(COFFEE)["order"]


def test_everything_that_is_missing_is_named_at_its_row(browser: Browser) -> None:
    page = press(browser, edit(browser), "save", title="At the bakery")
    assert page.status_code == 400
    for name in ("description", "roles.1.brief", "parts.0.opening", "parts.0.goals.2.answer"):
        assert error_at(page, name) == "Write something here.", name
    assert error_at(page, "level") == "Choose one of these."
    assert '<a href="#POST-parts-0-goals-1-example">Goal 2 › A learner may say</a>' in text(page)
    assert edit(browser, "/browse/write").values["title"] == [""]
    assert browser.form_of(page, sends="title").values["title"] == ["At the bakery"]


def test_a_rule_that_is_broken_is_named_at_its_row_and_in_words(browser: Browser) -> None:
    form = edit(browser)
    broken = BAKERY | {"parts.0.goals.1.phrases": "what does it cost"}
    page = press(browser, form, "save", **broken)
    assert page.status_code == 400
    assert "nowhere" in error_at(page, "parts.0.goals.1.example")
    form = browser.form_of(page, sends="title")
    form = again(browser, form, "outline parts.0", **{"parts.0.goals.1.phrases": "how much"})
    form = again(browser, form, "add parts.0.nodes")
    form = again(browser, form, "remove parts.0.nodes.4.branches.0")
    page = press(browser, form, "save", **{"parts.0.nodes.4.line": "And the weather?"})
    row = text(page).partition('id="POST-parts-0-nodes-4"')[2]
    assert "nothing leads to “And the weather?”" in row.partition('<div class="fields">')[0]
    page = press(browser, form, "save", **{"parts.0.nodes.1.branches.0.to": "<nowhere>"})
    assert page.status_code == 400
    assert "a–z" in error_at(page, "parts.0.nodes.1.branches.0.to")


def test_rows_are_added_moved_and_removed_and_nothing_is_stored(
    stefan: Caller, browser: Browser
) -> None:
    form = again(browser, edit(browser), "down parts.0.goals.0", **BAKERY)
    assert form.values["parts.0.goals.1.text"] == ["Buy some bread"]
    assert form.values["parts.0.goals.1.id"] == ["goal-1"]
    form = again(browser, form, "up parts.0.goals.1")
    form = again(browser, form, "up parts.0.goals.0")
    assert form.values["parts.0.goals.0.text"] == ["Buy some bread"]
    form = again(browser, form, "add parts.0.goals")
    assert form.values["parts.0.goals.3.id"] == ["goal-4"]
    form = again(browser, form, "remove parts.0.goals.1")
    assert form.values["parts.0.goals.1.text"] == ["Pay"]
    assert form.values["parts.0.goals.2.id"] == ["goal-4"]
    form = again(browser, form, "remove parts.0.goals.1")
    assert form.values["parts.0.goals.1.text"] == ["Pay"]  # three there must be
    assert browser.get("/browse/writing?status=draft").content.count(b'class="rows') == 0


def test_rows_stand_in_the_order_in_which_a_script_has_put_them(
    stefan: Caller, browser: Browser
) -> None:
    form = edit(browser)
    form.values["parts.0.goals"] = ["1", "0", "2"]
    prompts = {"parts.0.goals.1.prompt": "", "parts.0.goals.0.prompt": "What do you want?"}
    script = stefan.get(f"/scenarios/{saved(browser, form, **BAKERY | prompts)}").json()["script"]
    texts = [goal["text"] for goal in script["parts"][0]["goals"]]
    assert texts == ["Ask how much it is", "Buy some bread", "Pay"]
    assert script["parts"][0]["nodes"][1]["line"] == "What do you want?"


def test_an_outline_begins_with_the_goals_and_may_go_other_ways(
    stefan: Caller, browser: Browser
) -> None:
    form = again(browser, edit(browser), "outline parts.0", **BAKERY)
    assert form.values["parts.0.nodes.0.line"] == ["Good morning! What would you like?"]
    assert form.values["parts.0.nodes.1.skip"] == ["goal-2"]
    form = again(browser, form, "add parts.0.nodes.0.branches")
    branch = {
        "parts.0.nodes.0.branches.1.example": "Do you have cakes?",
        "parts.0.nodes.0.branches.1.phrases": "cake*",
        "parts.0.nodes.0.branches.1.say": "Not today. Some bread?",
        "parts.0.nodes.0.branches.1.to": "line-1",
    }
    scenario_id = saved(browser, form, **branch)
    node = stefan.get(f"/scenarios/{scenario_id}").json()["script"]["parts"][0]["nodes"][0]
    assert node["branches"][1]["to"] == "line-1"
    assert node["fallback"] == {"lines": ["Good morning! What would you like?"], "to": "line-2"}
    form = edit(browser, f"/browse/write/{scenario_id}")
    assert form.values["parts.0.nodes.0.branches.1.example"] == ["Do you have cakes?"]
    form = again(browser, form, "no-outline parts.0")
    assert form.values["parts.0.goals.1.prompt"] == ["Anything else?"]
    assert "parts.0.nodes" not in form.values


def test_a_second_dialogue_is_for_the_other_role(stefan: Caller, browser: Browser) -> None:
    form = again(browser, edit(browser), "add parts", **BAKERY)
    assert 'value="add parts"' not in text(press(browser, form, "show"))
    page = press(browser, form, "save")
    assert error_at(page, "parts.1.goals.0.text") == "Write something here."
    second = {n.replace("parts.0", "parts.1"): v for n, v in BAKERY.items() if "parts" in n}
    scenario_id = saved(browser, form, **second | {"parts.1.role": "1"})
    roles = [
        part["role"] for part in stefan.get(f"/scenarios/{scenario_id}").json()["script"]["parts"]
    ]
    assert roles == ["customer", "baker"]


def test_more_rows_than_there_may_be_are_refused_at_their_list_and_kept(browser: Browser) -> None:
    form = edit(browser)
    for _ in range(3):
        form = again(browser, form, "add parts.0.goals", **BAKERY)
    assert form.values["parts.0.goals"] == ["0", "1", "2", "3", "4"]  # as many as there may be
    page = press(browser, form, "show")
    assert 'value="add parts.0.goals"' not in text(page)
    form.values["parts.0.goals"] = [str(n) for n in range(7)]
    more = {f"parts.0.goals.{n}.id": f"goal-{n}" for n in range(5, 7)}
    for name in ("text", "example", "answer"):
        more |= {f"parts.0.goals.{n}.{name}": f"Sing {n}" for n in range(3, 7)}
    page = press(browser, form, "save", **BAKERY | more)
    assert page.status_code == 400
    section = text(page).partition('id="POST-parts-0-goals"')[2].partition("<ol")[0]
    assert "no more than 5" in section
    assert browser.form_of(page, sends="title").values["parts.0.goals.6.text"] == ["Sing 6"]


def test_of_two_who_write_at_once_the_second_sees_what_the_first_has_saved(
    stefan: Caller, browser: Browser
) -> None:
    scenario_id = bakery(browser)
    mine, theirs = (edit(browser, f"/browse/write/{scenario_id}") for _ in range(2))
    saved(browser, theirs, title="The bakery of Olga")
    page = press(browser, mine, "save", title="The bakery of Stefan")
    assert page.status_code == 412
    assert "<del>Title: The bakery of Olga</del>" in text(page)
    assert "<ins>Title: The bakery of Stefan</ins>" in text(page)
    assert stefan.get(f"/scenarios/{scenario_id}").json()["title"] == "The bakery of Olga"
    mine = browser.form_of(page, sends="title")
    assert mine.values["title"] == ["The bakery of Stefan"]
    assert press(browser, mine, "save").status_code == 412  # still not by mistake
    assert press(browser, mine, f"save-over {'9' * 5000}").status_code == 412
    over = re.search(r'value="(save-over \d+)"', text(page))
    assert over
    assert press(browser, mine, over[1]).status_code == 303
    assert stefan.get(f"/scenarios/{scenario_id}").json()["title"] == "The bakery of Stefan"


def test_what_was_written_to_a_scenario_that_is_gone_can_be_saved_anew(
    stefan: Caller, browser: Browser
) -> None:
    scenario_id = bakery(browser)
    form = edit(browser, f"/browse/write/{scenario_id}")
    stefan.delete(f"/scenarios/{scenario_id}")
    page = press(browser, form, "save", title="In the bakery")
    assert page.status_code == 404
    form = browser.form_of(page, sends="title")
    assert (form.action, form.values["title"]) == ("/browse/write", ["In the bakery"])
    assert saved(browser, form) != scenario_id


@pytest.mark.parametrize("id", ["", "É" * 26, "A" * 26, "x" * 3000, "../../etc/passwd"])
def test_a_new_scenario_takes_no_id_but_one_of_ours(id: str, browser: Browser) -> None:
    form = edit(browser)
    form.values["_id"] = [id]
    assert re.fullmatch("[0-9a-z]{26}", saved(browser, form, **BAKERY))


def test_a_new_scenario_that_is_sent_twice_is_made_once(browser: Browser) -> None:
    form = edit(browser)
    assert saved(browser, form, **BAKERY) == saved(browser, form, **BAKERY)
    page = press(browser, form, "save", **BAKERY | {"title": "Another"})
    assert page.status_code == 409
    assert browser.form_of(page, sends="title").values["title"] == ["Another"]


@pytest.mark.parametrize(
    "button",
    [
        "",
        "add",
        "add ",
        "add title",
        "add parts.9.goals",
        "remove parts.0",
        "remove parts.0.goals.-1",
        "up parts.0.goals.²",
        "down parts.0.goals.99999999999999999999",
        "outline phrases.0",
        "no-outline parts.0",
        "remove roles.0",
        "add roles",
        "format disk",
    ],
)
def test_a_button_that_no_page_has_changes_nothing(button: str, browser: Browser) -> None:
    form = edit(browser)
    shown = again(browser, form, button)
    token = {"csrfmiddlewaretoken": form.values["csrfmiddlewaretoken"]}
    assert shown.values | token == form.values


@pytest.mark.parametrize(
    "values",
    [
        {"parts.0.goals.0.text": "<script>alert(1)</script>" * 3},
        {"title": "\x00\ud800"},
        {"parts.0.role": "7"},
        {"parts.0.role": "²"},
        {"parts.0.goals.0.phrases": "... ..."},
        {"parts.0.goals.1.id": ""},
        {"parts.0.goals.1.id": "goal-1"},
        {"parts.0.goals.0.answer": "x" * 300_000},
        {"roles.0.name": "…", "roles.1.name": "…"},
        {"mistakes": "a"},
        {"parts": "x"},
        {"_if_match": "no version"},
        {"language": "e\\n"},
    ],
)
def test_hostile_input_is_refused_and_shown_as_text(
    values: dict[str, str], stefan: Caller, browser: Browser
) -> None:
    path = f"/browse/write/{bakery(browser)}"
    sent: Any = {name: text.encode("utf-8", "surrogatepass") for name, text in values.items()}
    page = press(browser, edit(browser, path), "save", **sent)
    assert page.status_code in (303, 400)
    assert "<script>alert" not in page.content.decode()
    if page.status_code == 400:
        assert 'class="error"' in text(page) or "put these right" in text(page)


def test_rows_that_are_repeated_or_without_end_are_bounded(browser: Browser) -> None:
    form = edit(browser)
    form.values["parts"] = ["0"] * 3000
    form.values["parts.0.goals"] = ["0"] * 3000
    page = press(browser, form, "show")
    assert len(browser.form_of(page, sends="title").values["parts.0.goals"]) == 1
    form.values["parts"] = [str(n) for n in range(20_001)]
    assert press(browser, form, "show").status_code == 400


def drafts(browser: Browser, status: str = "draft") -> list[str]:
    page = text(browser.get(f"/browse/writing?status={status}"))
    return re.findall(r'<li id="([^"]+)"', page)


def desk(browser: Browser, button: str) -> Any:
    form = browser.form("/browse/writing", sends="/browse/writing")
    return browser.send(form, _do=button)


def test_buttons_publish_archive_and_delete(stefan: Caller, browser: Browser) -> None:
    scenario_id = bakery(browser)
    assert drafts(browser) == [scenario_id]
    button = re.search(
        r'value="(publish [^"]+)"', text(browser.get("/browse/writing?status=draft"))
    )
    assert button
    assert desk(browser, button[1]).headers["Location"] == f"/browse/write/{scenario_id}#done"
    assert drafts(browser, "published") == [scenario_id]
    assert desk(browser, button[1]).status_code == 412
    version = stefan.get(f"/scenarios/{scenario_id}").json()["version"]
    assert desk(browser, f"delete {scenario_id} {version}").status_code == 409
    assert desk(browser, f"archive {scenario_id} {version}").status_code == 303
    assert stefan.get(f"/scenarios/{scenario_id}").json()["status"] == "archived"
    other = bakery(browser)
    assert desk(browser, f"delete {other} 1").status_code == 303
    assert desk(browser, f"delete {other} 1").status_code == 404
    huge = ("up " + "x" * 5000, f"archive {other} {'9' * 5000}", "delete ² ²", "up É")
    for none in ("", "publish", f"publish {other} x", "burn down 1", "up nothing", *huge):
        assert desk(browser, none).status_code in (400, 404), none
    actions = [
        each["action"]
        for each in stefan.get(f"/scenarios/{scenario_id}/activity").json()["results"]
    ]
    assert actions == ["scenario_archived", "scenario_published", "scenario_created"]


def test_a_scenario_moves_by_one_place_within_its_level(stefan: Caller, browser: Browser) -> None:
    for name, order in (("a", 0), ("b", 0), ("c", 0), ("d", 5)):
        stefan.makes("/scenarios", {**of_pack(COFFEE), "id": name, "order": order})
    assert drafts(browser) == ["a", "b", "c", "d"]
    answer = desk(browser, "up c")
    assert answer.headers["Location"] == "/browse/writing?status=draft#c"
    assert drafts(browser) == ["a", "c", "b", "d"]
    assert desk(browser, "down b").status_code == 303
    assert drafts(browser) == ["a", "c", "d", "b"]
    versions = [stefan.get(f"/scenarios/{name}").json()["version"] for name in "ac"]
    desk(browser, "up b")
    assert [stefan.get(f"/scenarios/{name}").json()["version"] for name in "ac"] == versions
    desk(browser, "up a"), desk(browser, "down d")
    assert drafts(browser) == ["a", "c", "b", "d"]


def test_a_new_scenario_comes_last_in_its_level(stefan: Caller, browser: Browser) -> None:
    stefan.makes("/scenarios", of_pack(COFFEE))
    stefan.post(f"/scenarios/{COFFEE}/publish")
    found = stefan.get(f"/scenarios/{bakery(browser)}").json()
    assert found["order"] == of_pack(COFFEE)["order"] + 1


def test_saving_may_publish_at_once(stefan: Caller, browser: Browser) -> None:
    answer = press(browser, edit(browser), "publish", **BAKERY)
    scenario_id = answer.headers["Location"].removesuffix("#done").rpartition("/")[2]
    assert stefan.get(f"/scenarios/{scenario_id}").json()["revision"] == 1
    assert "Learners see revision 1" in text(browser.get(answer.headers["Location"]))


def test_changes_since_the_published_revision_are_shown_in_words(browser: Browser) -> None:
    scenario_id = bakery(browser)
    path = f"/browse/write/{scenario_id}/changes"
    assert "never published" in text(browser.get(path))
    press(browser, edit(browser, f"/browse/write/{scenario_id}"), "publish")
    assert "Nothing has changed" in text(browser.get(path))
    form = edit(browser, f"/browse/write/{scenario_id}")
    saved(browser, form, **{"notes": "Teach money first.", "parts.0.goals.1.prompt": "And now?"})
    page = text(browser.get(path))
    assert "<del>Notes for teachers: Teach numbers first.</del>" in page
    assert "<ins>Notes for teachers: Teach money first.</ins>" in page
    assert "<ins>The partner leads there with: And now?</ins>" in page
    assert "You want fresh bread." not in page


def say(browser: Browser, page: Any, text: str = "", button: str = "say") -> Any:
    return browser.send(browser.form_of(page, sends="role"), text=text, _do=button)


def test_a_draft_is_tried_before_anyone_sees_it(stefan: Caller, browser: Browser) -> None:
    answer = press(browser, edit(browser), "try", **BAKERY)
    page = browser.get(answer.headers["Location"])
    assert "Good morning! What would you like?" in text(page)
    page = say(browser, page, "<b>Some bread</b>, please")
    assert "✓ Buy some bread" in text(page)
    assert b"<b>Some" not in page.content
    page = say(browser, page, "What a lovely day it is today")
    assert "not understood" in text(page)
    page = say(browser, page, button="back")
    assert "not understood" not in text(page)
    page = say(browser, page, button="hint")
    assert "Hint: Ask how much it is" in text(page)
    page = say(browser, page, button="hint")
    assert "Hint: No, thank you. How much is it?" in text(page)
    page = say(browser, say(browser, page, "How much is it?"), "Here is the money.")
    assert "The dialogue has ended." in text(page)
    assert "Goals 100" in text(page)
    assert text(say(browser, page, "Hello again")).count("<dd") == 7
    assert text(say(browser, page, button="again")).count("<dd") == 1
    assert stefan.get("/sessions").json()["results"] == []


def test_either_role_can_be_tried(stefan: Caller, browser: Browser) -> None:
    stefan.makes("/scenarios", of_pack(COFFEE))
    page = browser.get(f"/browse/write/{COFFEE}/try?role=barista")
    assert "<strong>Barista</strong> is you" in text(page)
    assert "As Customer" in text(page)
    other = browser.get(f"/browse/write/{COFFEE}/try?role=nobody")
    assert "<strong>Customer</strong> is you" in text(other)
    for wrong in (" ", "x" * 1001):
        assert "at most 1000 characters" in text(say(browser, page, wrong))
    form = browser.form_of(page, sends="role")
    for hints in ("²", "-1", "9" * 5000):
        form.values |= {"said": ["hello there"] * 500, "hints": [hints]}
        page = browser.send(form, _do="hint")
        assert page.status_code == 200
    assert text(page).count('name="said"') <= dialogue.TURN_LIMIT


def tried_with_model(browser: Browser, **fields: str) -> Any:
    """The page of a trial with the model."""
    saved_at = press(browser, edit(browser), "try", **{**BAKERY, **fields}).headers["Location"]
    assert "With the model" in text(browser.get(saved_at)) or fields
    return browser.get(f"{saved_at}?partner=model")


def test_a_draft_is_tried_with_the_model_which_is_seen_to_answer(
    model: StandIn, stefan: Caller, browser: Browser
) -> None:
    page = tried_with_model(browser)
    assert "goes to the model" in text(page)
    page = say(browser, page, "A loaf of bread, please.")
    assert "✓ Buy some bread" in text(page)
    assert text(page).count("the model</span>") == 1
    page = say(browser, page, button="hint")
    assert "Hint: Ask how much it is" in text(page)
    assert len(model.requests) == 1, "what was answered is not asked again"
    page = say(browser, page, "No, thank you. How much is it?")
    model.player = lambda _: text_answer("I would rather not.")
    page = say(browser, page, "Here is the money.")
    assert "the script, for the model: invalid" in text(page)
    assert "The dialogue has ended." in text(page)
    assert "Goals 100" in text(page)
    told = [len(request["messages"]) for request in model.requests]
    assert told == [1, 3, 5, 7], "the last one asked once more"
    assert Budget.of_day(stefan.id, now()).used()["partner_turns"] == 4
    assert Budget.of_month(now()).used()["partner_turns"] == 4


def test_a_trial_says_when_the_budget_is_spent_and_keeps_what_was_said(
    model: StandIn, browser: Browser, settings: Any
) -> None:
    settings.BUDGETS = {"partner_turns": (0, 100), "partner_tokens": (10**6, 10**6)}
    page = say(browser, tried_with_model(browser), "A loaf of bread, please.")
    assert page.status_code == 429
    assert "are used up for today" in text(page)
    assert 'value="A loaf of bread, please."' in text(page)
    assert model.requests == []


def test_a_trial_that_no_page_of_ours_has_kept_begins_anew(
    model: StandIn, browser: Browser
) -> None:
    form = browser.form_of(tried_with_model(browser), sends="role")
    page = browser.send(form, played="eyJmb3JnZWQiOjF9:x:y", text="Some bread", _do="say")
    assert page.status_code == 200
    assert text(page).count("the model</span>") == 1
    assert len(model.requests[0]["messages"]) == 1


def test_a_scenario_for_a_model_alone_is_tried_with_it_or_not_at_all(
    model: StandIn, browser: Browser, settings: Any
) -> None:
    bare = {name: "" for name in BAKERY if name.rpartition(".")[2] in ("example", "answer")}
    page = tried_with_model(browser, partners="model", **bare)
    assert "With the script" not in text(page)
    page = say(browser, page, "Some bread, please.")
    assert text(page).count("the model</span>") == 1
    assert "✓ Buy some bread" in text(page)
    settings.PARTNER_MODEL = ""
    page = browser.get(page.request["PATH_INFO"])
    assert "there is none here" in text(page)
    assert 'name="text"' not in text(page)


def test_there_is_nothing_to_write_on_where_there_is_no_scenario(browser: Browser) -> None:
    for path in ("write/nothing", "write/nothing/try", "write/nothing/changes", "write/No_Such"):
        page = browser.get(f"/browse/{path}")
        assert page.status_code == 404
        assert "NOT_FOUND" in text(page)


def test_a_draft_is_checked_again_when_it_is_tried(
    stefan: Caller, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario_id = bakery(browser)
    monkeypatch.setattr(scenarios, "MAX_SCRIPT_BYTES", 10)
    assert browser.get(f"/browse/write/{scenario_id}/try").status_code == 400


TOLD = {"title": "At the kiosk", "level": "A1", "language": "en"}


def test_a_model_drafts_the_rest_which_nobody_has_stored(
    model: StandIn, stefan: Caller, browser: Browser
) -> None:
    page = press(browser, edit(browser), "draft", **TOLD)
    assert page.status_code == 200
    assert "A machine has drafted this" in text(page)
    form = browser.form_of(page, sends="title")
    assert form.values["title"] == ["At the kiosk"]
    assert form.values["parts.0.goals.1.prompt"] == ["Is that all?"]
    assert form.values["notes"][0].startswith("Drafted by a machine.")
    assert drafts(browser) == []
    [request] = model.requests
    assert json.loads(request["messages"][0]["content"][0]["text"]) == TOLD
    scenario_id = saved(browser, form)
    assert "A machine has drafted this" in text(browser.get(f"/browse/write/{scenario_id}"))
    kept = edit(browser, f"/browse/write/{scenario_id}")
    saved(browser, kept, notes="Practise numbers before.")
    assert "A machine" not in text(browser.get(f"/browse/write/{scenario_id}"))
    played = stefan.get(f"/scenarios/{scenario_id}").json()["script"]
    answers = dialogue.rehearsal(dialogue.parse({**played, "id": "kiosk"}), "customer")
    assert len(answers) == 3


def test_a_draft_that_cannot_be_played_is_asked_for_once_more(
    model: StandIn, browser: Browser
) -> None:
    goals = [{**goal, "phrases": ["never said"]} for goal in DRAFT["goals"]]
    proposals = [{**DRAFT, "goals": goals}, DRAFT]
    model.player = lambda request: tool_call(request, proposals[len(model.requests) - 1])
    page = press(browser, edit(browser), "draft", **TOLD)
    assert page.status_code == 200
    said = json.dumps(model.requests[1]["messages"])
    assert "parts.0.goals.0.example" in said
    assert browser.form_of(page, sends="title").values["parts.0.goals.0.phrases"] == ["would like"]


@pytest.mark.parametrize(
    "fields",
    [
        {**DRAFT, "goals": DRAFT["goals"][:1]},
        {**DRAFT, "learner": {"name": "", "brief": "x"}},
        {**DRAFT, "opening": "x" * 5000},
        {"title": "no scenario"},
        ["nonsense"],
    ],
)
def test_a_draft_that_is_none_leaves_what_was_written(
    fields: Any, model: StandIn, browser: Browser
) -> None:
    model.player = lambda request: tool_call(request, fields)
    page = press(browser, edit(browser), "draft", **TOLD, notes="Mine")
    assert (page.status_code, len(model.requests)) == (503, 2)
    assert "try again, or write it yourself" in text(page)
    form = browser.form_of(page, sends="title")
    assert (form.values["notes"], form.values["title"]) == (["Mine"], ["At the kiosk"])


def test_a_draft_needs_a_title_a_level_and_a_language(model: StandIn, browser: Browser) -> None:
    page = press(browser, edit(browser), "draft", title="At the kiosk")
    assert page.status_code == 400
    assert error_at(page, "level") == error_at(page, "language") == "Write something here."
    assert model.requests == []


def test_a_language_that_there_is_not_is_refused_before_a_model_is_asked(
    model: StandIn, browser: Browser
) -> None:
    for verb in ("draft", "save"):
        page = press(browser, edit(browser), verb, **BAKERY | {"language": "zz"})
        assert page.status_code == 400
        assert error_at(page, "language") == "There is no such language."
    assert model.requests == []


def test_drafts_are_counted_in_the_budget_of_who_asks(
    model: StandIn, browser: Browser, settings: Any
) -> None:
    settings.BUDGETS = settings.BUDGETS | {"partner_turns": (0, 0)}
    page = press(browser, edit(browser), "draft", **TOLD)
    assert page.status_code == 429
    assert browser.form_of(page, sends="title").values["title"] == ["At the kiosk"]


def test_without_a_model_none_is_offered(browser: Browser) -> None:
    form = edit(browser)
    assert 'value="draft"' not in text(browser.get("/browse/write"))
    assert again(browser, form, "draft", **TOLD).values["notes"] == [""]
