"""The OpenAPI document, as those read it who generate a client from it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.callers import Caller
from tests.contract import as_stored, contract, made_contract
from tests.reminder_helpers import event_of, reminder_of
from tests.test_flashcards import card_of, deck_of
from tests.test_reviews import review
from tests.test_sessions import coffee, session

__all__ = ["coffee", "session"]  # fixtures

FORMATS = FormatChecker()


@FORMATS.checks("uri")
def is_address(value: object) -> bool:
    return not isinstance(value, str) or (value.isascii() and bool(urlsplit(value).scheme))


SUCCESS = {"200", "201", "202", "204", "302", "303", "304"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return made_contract()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in document["paths"].items():
        for verb, said in verbs.items():
            yield f"{verb.upper()} {path}", said


def followed(document: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in found:
        _, _, kind, name = found["$ref"].split("/")
        found = document["components"][kind][name]
    return found


def test_no_field_of_a_body_has_a_default_which_generators_take_for_always_there(
    document: dict[str, Any],
) -> None:
    shapes = document["components"]["schemas"]
    assert [
        (name, field)
        for name, shape in shapes.items()
        for field, said in shape.get("properties", {}).items()
        if "default" in said
    ] == []
    told = shapes["NewReviewRequest"]["properties"]["durationMs"]
    assert told["description"] == "How long it took, in milliseconds; by default `0`"


def test_nothing_is_required_of_a_patch(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]
    patches = {name: shape for name, shape in shapes.items() if name.startswith("Patched")}
    assert patches
    assert [name for name, shape in patches.items() if "required" in shape] == []


def test_every_example_is_what_its_field_takes(document: dict[str, Any]) -> None:
    registry: Registry[Any] = Registry().with_resource(
        "urn:parley", DRAFT202012.create_resource(document)
    )
    tried = 0
    for name, shape in document["components"]["schemas"].items():
        for field, said in shape.get("properties", {}).items():
            where = f"urn:parley#/components/schemas/{name}/properties/{field}"
            for example in said.get("examples", []):
                Draft202012Validator({"$ref": where}, registry=registry).validate(example)
                tried += 1
    assert tried > 100


def test_an_error_answer_has_exactly_the_codes_that_may_come(document: dict[str, Any]) -> None:
    for where, operation in operations(document):
        for status, answer in operation["responses"].items():
            said = followed(document, answer)
            if status in SUCCESS or "text/html" in said["content"]:
                continue
            schema = said["content"]["application/problem+json"]["schema"]
            for each in schema.get("oneOf", [schema]):
                code = followed(document, each)["properties"]["code"]["const"]
                assert f"`{code}`" in said["description"], where


def test_what_a_client_does_with_an_answer_is_in_its_headers(document: dict[str, Any]) -> None:
    responses = document["paths"]["/decks/{id}"]["patch"]["responses"]
    headers = {
        status: list(followed(document, answer).get("headers", {}))
        for status, answer in responses.items()
    }
    assert headers["200"] == ["ETag"]
    assert headers["401"] == ["WWW-Authenticate"]
    assert headers["429"] == headers["503"] == ["Retry-After"]
    assert list(document["paths"]["/flashcards/export"]["get"]["responses"]["303"]["headers"]) == [
        "Location"
    ]


def test_every_group_of_operations_is_told_and_none_is_empty(document: dict[str, Any]) -> None:
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    grouped = [tag for group in document["x-tagGroups"] for tag in group["tags"]]
    assert {tag["name"] for tag in document["tags"]} == set(grouped) == used
    assert len(grouped) == len(used)


def test_what_is_said_of_a_shape_is_its_own(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]
    assert [n for n, shape in shapes.items() if "every shape" in shape.get("description", "")] == []


def test_answers_of_a_login_can_be_told_apart(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]
    assert shapes["MfaRequired"]["properties"]["mfaRequired"]["const"] is True
    assert "mfaRequired" not in shapes["LoggedIn"]["properties"]
    assert "refreshToken" in shapes["LoggedIn"]["required"]
    assert "refreshToken" not in shapes["Tokens"]["required"]


def test_a_code_has_one_problem_document_for_all_operations(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]
    told = {name: shape for name, shape in shapes.items() if name.endswith("Problem")}
    codes = [shape["properties"]["code"].get("const") for shape in told.values()]
    assert sorted(filter(None, codes)) == sorted(set(filter(None, codes)))
    for where, operation in operations(document):
        for answer in operation["responses"].values():
            content = followed(document, answer).get("content", {})
            schema = content.get("application/problem+json", {}).get("schema", {"$ref": ""})
            for each in schema.get("oneOf", [schema]):
                assert set(each) == {"$ref"}, where


def test_every_operation_says_who_may_call_it(document: dict[str, Any]) -> None:
    for where, operation in operations(document):
        assert operation["description"], where
        assert "security" in operation, where  # empty for anyone, never left out
    assert document["info"]["contact"]


def test_every_json_body_has_an_example_that_its_shape_takes(document: dict[str, Any]) -> None:
    registry: Registry[Any] = Registry().with_resource(
        "urn:parley", DRAFT202012.create_resource(document)
    )
    for where, operation in operations(document):
        answers = operation["responses"]
        bodies = [followed(document, answers[status]) for status in answers if status in SUCCESS]
        for body in [operation.get("requestBody", {}), *bodies]:
            media_type = body.get("content", {}).get("application/json")
            if media_type is None or "$ref" not in media_type["schema"]:
                continue
            (example,) = media_type["examples"].values()
            shape = {"$ref": f"urn:parley{media_type['schema']['$ref']}"}
            value = followed(document, example)["value"]
            rules = Draft202012Validator(shape, registry=registry, format_checker=FORMATS)
            assert list(rules.iter_errors(value)) == [], where


def test_a_choice_among_parameters_has_no_rules_of_text_beside_it(
    document: dict[str, Any],
) -> None:
    for where, operation in operations(document):
        for each in operation.get("parameters", []):
            assert not {"enum", "minLength"} <= set(each["schema"]), where
            assert each["schema"].get("default") != "", where


def test_a_body_has_one_content_type(document: dict[str, Any]) -> None:
    bodies = [
        (where, list(operation["requestBody"]["content"]))
        for where, operation in operations(document)
        if "requestBody" in operation
    ]
    assert [(where, kinds) for where, kinds in bodies if len(kinds) > 1] == []


def test_an_entry_of_the_log_is_told_by_its_kind(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]
    mapping = shapes["NewEntryRequest"]["discriminator"]["mapping"]
    needed = {
        kind: set(shapes[ref.rpartition("/")[2]]["required"]) for kind, ref in mapping.items()
    }
    both = {"id", "cardId", "kind", "reviewedAt"}
    assert needed == {
        "review": both | {"rating"},
        "reschedule": both | {"dueAt"},
        "void": both | {"targetId"},
        "reset": both,
    }


def test_a_new_reminder_is_told_by_its_kind(document: dict[str, Any]) -> None:
    shapes = document["components"]["schemas"]
    mapping = shapes["NewReminderRequest"]["discriminator"]["mapping"]
    kinds = {kind: shapes[ref.rpartition("/")[2]] for kind, ref in mapping.items()}
    plan = {"kind", "weekdays", "localTime"}
    assert {kind: set(shape["required"]) for kind, shape in kinds.items()} == {
        "event": {"kind", "eventId", "offsetMinutes"},
        "once": {"kind", "at", "title"},
        **dict.fromkeys(("study", "report", "streak"), plan),
    }
    anyones = {"id", "kind", "title", "note", "paused"}
    assert kinds["once"]["properties"].keys() == anyones | {"at"}
    assert kinds["study"]["properties"].keys() == anyones | plan | {"deckId", "scenarioId"}
    assert kinds["once"]["properties"]["at"]["type"] == "string"


def test_each_change_is_what_the_document_says_of_its_kind(
    document: dict[str, Any], maria: Caller, session: str
) -> None:
    card_id = card_of(maria, deck_of(maria))
    review(maria, card_id)
    maria.patch("/scheduler", {"fuzz": False})
    maria.patch("/profile", {"firstName": "Ana"})
    event_of(maria)
    reminder_of(maria)
    maria.makes(f"{session}/turns", {"text": "Good morning! Can I have a coffee, please?"})
    maria.post(f"{session}/complete")
    maria.delete(f"/decks/{deck_of(maria)}")
    first = maria.get("/changes").json()
    later = maria.get(f"/changes?since={first['cursor']}").json()
    registry: Registry[Any] = Registry().with_resource(
        "urn:parley", DRAFT202012.create_resource(document)
    )
    shapes = document["components"]["schemas"]
    changes = [*first["results"], *later["results"]]
    told = {
        kind: f"urn:parley{ref}"
        for kind, ref in shapes["Change"]["discriminator"]["mapping"].items()
    }
    for change in changes:
        validator = Draft202012Validator({"$ref": told[change["kind"]]}, registry=registry)
        assert list(validator.iter_errors(change)) == []
        shape = followed(
            document, shapes["Change" + change["kind"].title()]["properties"]["data"]["oneOf"][0]
        )
        assert change["deleted"] or change["data"].keys() == shape["properties"].keys()
    assert {change["kind"] for change in changes} == told.keys()
    assert {change["deleted"] for change in changes} == {True, False}


def test_the_document_in_the_repository_is_that_of_the_code(document: dict[str, Any]) -> None:
    now = as_stored(document)
    assert contract() == now, "The contract has changed. If that is meant: make schema"
