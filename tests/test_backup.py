"""A table copied to a file and back: nothing is lost, and an interrupted copy resumes."""

import gzip
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from accounts.models import Account, learner_key
from accounts.models.account import account_cache
from config.ops import backup, cloudformation
from config.stack import Stack
from config.store import connection
from config.store.items import delete_partition
from learning.services.check import Fault, repair
from tests.callers import Caller, make_learner
from tests.reminder_helpers import reminder_of
from tests.servers import using
from tests.template import table_definition
from tests.test_changes import Device, fresh, gone
from tests.test_flashcards import card_of, deck_of
from tests.test_reviews import review

pytestmark = pytest.mark.server

HEAD = {
    "pk": {"S": "LEARNER#maria"},
    "sk": {"S": "HEAD"},
    "kind": {"S": "head"},
    "n": {"N": "7"},
    "line": {"S": "line0"},
}
EVERY_KIND = {
    "pk": {"S": "LEARNER#maria"},
    "sk": {"S": "CARD#pão 🍞"},
    "number": {"N": "12345678901234567890.123456789012345678"},
    "bytes": {"B": bytes(range(256))},
    "truth": {"BOOL": False},
    "nothing": {"NULL": True},
    "list": {"L": [{"S": ""}, {"M": {"deep": {"B": b"\x00\xff"}}}, {"L": []}]},
    "words": {"SS": ["a", "ä"]},
    "numbers": {"NS": ["1", "2.5"]},
    "blobs": {"BS": [b"\x01", b"\x02"]},
}


def items(count: int) -> list[Any]:
    # Large enough that a page of a scan, a megabyte, does not hold them all.
    many = [
        {"pk": {"S": f"LEARNER#{n % 7}"}, "sk": {"S": f"CARD#{n:05}"}, "text": {"S": "ç" * 5000}}
        for n in range(count)
    ]
    return [EVERY_KIND, *many]


def told(_count: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def client(dynamodb_local: Stack) -> Any:
    assert dynamodb_local.endpoint_url
    return cloudformation.local_client("dynamodb", dynamodb_local.endpoint_url)


@pytest.fixture
def full(dynamodb_local: Stack, client: Any) -> str:
    for group in backup._groups(items(400)):
        backup._put(client, dynamodb_local.table_name, group)
    return dynamodb_local.table_name


@pytest.fixture
def empty(client: Any) -> Iterator[str]:
    client.create_table(TableName="restored", **table_definition())
    yield "restored"
    client.delete_table(TableName="restored")


def content(client: Any, table: str) -> dict[tuple[str, str], Any]:
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    found = [item for page in pages for item in page["Items"]]
    for item in found:
        for value in item.values():
            for kind in {"SS", "NS", "BS"} & value.keys():
                value[kind] = sorted(value[kind])  # sets have no order
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in found}


def test_nothing_is_lost_there_and_back(client: Any, full: str, empty: str, tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl.gz"
    counts: list[int] = []
    assert backup.export_table(client, full, path, counts.append) == 401
    assert len(counts) > 2
    assert counts[-1] == 401
    assert backup.import_table(client, empty, path, told) == 401
    assert content(client, empty) == content(client, full)
    assert content(client, empty)["LEARNER#maria", "CARD#pão 🍞"]["bytes"] == EVERY_KIND["bytes"]


def test_a_head_that_is_put_back_begins_another_line(
    client: Any, full: str, empty: str, tmp_path: Path
) -> None:
    """Devices have seen changes that it does not know of: their cursors must be refused."""
    path = tmp_path / "table.jsonl.gz"
    backup._put(client, full, [HEAD])
    backup.export_table(client, full, path, told)
    backup.import_table(client, empty, path, told)
    there = content(client, empty)["LEARNER#maria", "HEAD"]
    assert there["line"] != HEAD["line"]
    assert there | {"line": HEAD["line"]} == HEAD


@pytest.fixture
def maria(dynamodb_local: Stack) -> Caller:
    account_cache.forget()
    return make_learner("maria", timezone="Europe/Lisbon")


def put_back(
    client: Any, where: Stack, path: Path, maria: Caller
) -> tuple[list[Fault], list[Fault]]:
    backup.put_back(client, where.table_name, path, told, maria.id)
    return repair(learner_id=maria.id, now=now(), new_line=True)


def test_a_learner_gets_back_what_is_gone_and_keeps_what_came_since(
    maria: Caller, client: Any, dynamodb_local: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "table.jsonl.gz"
    deck = deck_of(maria)
    casa, mesa = card_of(maria, deck, "casa"), card_of(maria, deck, "mesa")
    review(maria, casa, "easy")
    reminder = reminder_of(maria)
    device = Device(maria)
    device.sync()
    backup.export_table(client, dynamodb_local.table_name, path, told)
    review(maria, casa, "good")
    maria.delete(f"/decks/{deck}?cards=delete")
    since = card_of(maria, deck_of(maria), "since")
    maria.patch(f"/reminders/{reminder['id']}", {"title": "Ligar ao João"})
    email = maria.get("/profile").json()["email"]
    found, left = put_back(client, dynamodb_local, path, maria)
    assert found
    assert left == []
    assert maria.get(f"/flashcards/{casa}").json()["reps"] == 2  # the later review counts
    assert maria.get(f"/flashcards/{mesa}").json()["state"] == "new"
    assert maria.get(f"/flashcards/{since}").status_code == 200
    assert maria.get(f"/reminders/{reminder['id']}").json()["title"] == "Ligar ao João"
    assert maria.get("/profile").json()["email"] == email
    assert gone(device.ask())
    assert device.sync() == fresh(maria)


def test_of_a_learner_whose_things_are_all_lost_the_head_comes_back_too(
    maria: Caller, client: Any, dynamodb_local: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "table.jsonl.gz"
    card = card_of(maria, deck_of(maria))
    for n in range(12):
        review(maria, card, at=now() - timedelta(days=n))
    device = Device(maria)
    before = device.sync()
    backup.export_table(client, dynamodb_local.table_name, path, told)
    delete_partition(learner_key(maria.id), keep=[Account.SK], within_s=60)
    found, left = put_back(client, dynamodb_local, path, maria)
    assert (found, left) == ([], [])
    assert gone(device.ask())
    assert device.sync() == before


def test_nobody_comes_back_who_has_left(
    maria: Caller, client: Any, dynamodb_local: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "table.jsonl.gz"
    deck_of(maria)
    backup.export_table(client, dynamodb_local.table_name, path, told)
    Account.at(maria.id).mark_for_deletion(now())
    delete_partition(learner_key(maria.id), keep=[Account.SK], within_s=60)
    assert backup.put_back(client, dynamodb_local.table_name, path, told) == 0


def test_a_torn_copy_is_made_whole_when_it_is_put_into_a_table(
    maria: Caller, client: Any, dynamodb_local: Stack, empty: str, tmp_path: Path
) -> None:
    """A copy reads while others write: of a review it may have the row and not the card."""
    path = tmp_path / "table.jsonl.gz"
    card = card_of(maria, deck_of(maria))
    review(maria, card)
    device = Device(maria)
    device.sync()
    before = {
        sk: item for (_, sk), item in content(client, dynamodb_local.table_name).items()
        if sk == "HEAD" or sk.startswith("CARD#")
    }  # fmt: skip
    review(maria, card, "easy")
    backup._put(client, dynamodb_local.table_name, [*before.values()])
    backup.export_table(client, dynamodb_local.table_name, path, told)
    backup.import_table(client, empty, path, told)
    with using(replace(dynamodb_local, table_name=empty)):
        found, left = repair(learner_id=maria.id, now=now())
        assert any("entries is 1, must be 2" in str(fault) for fault in found)
        assert left == []
        assert maria.get(f"/flashcards/{card}").json()["reps"] == 2
        assert gone(device.ask())


def test_an_interrupted_copy_goes_on_where_it_was(
    client: Any, full: str, empty: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.jsonl.gz"
    seen: list[int] = []

    def stop(done: int) -> None:
        seen.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup.export_table(client, full, path, stop)
    with path.open("ab") as file:
        file.write(gzip.compress(b'{"half": {"S"')[:20])  # a page that was not noted
    with pytest.raises(backup.BackupError, match="not whole"):
        backup.import_table(client, empty, path, told)
    assert backup.export_table(client, full, path, told) == 401
    with pytest.raises(KeyboardInterrupt):
        backup.import_table(client, empty, path, stop)
    with mock.patch.object(client, "batch_write_item", wraps=client.batch_write_item) as put:
        assert backup.import_table(client, empty, path, told) == 401
    assert put.call_count == 16  # of 17 batches one was done already
    assert content(client, empty) == content(client, full)


def test_a_table_that_has_items_is_left_alone(client: Any, full: str, tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl.gz"
    backup.export_table(client, full, path, told)
    with pytest.raises(backup.BackupError, match="is not empty"):
        backup.import_table(client, full, path, told)


def test_a_file_of_something_else_is_not_written_over(
    client: Any, full: str, tmp_path: Path
) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Querida avó")
    with pytest.raises(backup.BackupError, match="no export"):
        backup.export_table(client, full, path, told)
    assert path.read_text() == "Querida avó"


def test_throttling_is_told_when_it_does_not_end(tmp_path: Path) -> None:
    busy = mock.Mock()
    busy.batch_write_item.side_effect = lambda **sent: {"UnprocessedItems": sent["RequestItems"]}
    with (
        mock.patch.object(connection, "WITHIN_S", 0),
        pytest.raises(backup.BackupError, match="throttled"),
    ):
        backup._put(busy, "table", [EVERY_KIND])


def test_the_commands_copy_the_table_of_a_local_run(embedded_aws: Stack, tmp_path: Path) -> None:
    path, said = tmp_path / "table.jsonl.gz", io.StringIO()
    call_command("export_table", str(path), stdout=said, stderr=io.StringIO())
    assert f"items of {embedded_aws.table_name}" in said.getvalue()
    again = io.StringIO()
    call_command("export_table", str(path), stdout=again, stderr=io.StringIO())
    assert again.getvalue() == said.getvalue()


def test_what_was_put_back_by_the_command_is_checked(embedded_aws: Stack, tmp_path: Path) -> None:
    path, said = tmp_path / "table.jsonl.gz", io.StringIO()
    account_cache.forget()
    maria = make_learner("maria", timezone="Europe/Lisbon")
    deck = deck_of(maria)
    device = Device(maria)
    device.sync()
    call_command("export_table", str(path), stdout=io.StringIO(), stderr=io.StringIO())
    maria.delete(f"/decks/{deck}")
    options = ["--over", "--learner", maria.id]
    call_command("import_table", str(path), *options, stdout=said, stderr=io.StringIO())
    assert said.getvalue().endswith("Checked: 1. Not as they must be: 0\n")
    assert maria.get(f"/decks/{deck}").status_code == 200
    assert gone(device.ask())


def test_the_import_command_tells_why_it_refuses(embedded_aws: Stack, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"is not (whole|empty)"):
        call_command("import_table", str(tmp_path / "none.gz"), stderr=io.StringIO())
