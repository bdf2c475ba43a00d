"""/imports and /exports: files of any size, worked off by jobs."""

import io
import json
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
import time_machine
from django.utils.timezone import now
from ulid import ULID

from accounts.models import learner_key
from config import work
from config.stack import Stack, stack
from config.store.jobs import Job
from learning import transfer
from learning.services import file_uploads, imports, transfers
from learning.transfer import Note
from tests.callers import Caller
from tests.memory_table import MemoryTable
from tests.queues import MemoryQueues
from tests.test_export import NOTES
from tests.test_flashcards import deck_of
from tests.test_import import WORDS, as_json, cards_of, report, studied
from tests.wire import Send, operation_of, sending, table_client


class Dead(BaseException):
    """The process was killed."""


@pytest.fixture(scope="module")
def s3(moto_stack: Stack) -> Any:
    client = boto3.client("s3", region_name=moto_stack.region)
    where = {"LocationConstraint": moto_stack.region}
    client.create_bucket(Bucket=moto_stack.transfer_bucket, CreateBucketConfiguration=where)
    return client


@pytest.fixture
def bucket(s3: Any, queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The transfer bucket, and runs that stop at the first place they come to."""
    monkeypatch.setattr(work, "WITHIN_S", 0)
    return s3


def uploaded(s3: Any, caller: Caller, data: bytes) -> str:
    key = str(ULID())
    s3.put_object(Bucket=stack().transfer_bucket, Key=f"uploads/{caller.id}/{key}", Body=data)
    return key


def started(caller: Caller, s3: Any, data: bytes, **fields: Any) -> Any:
    body = {"uploadKey": uploaded(s3, caller, data), **fields}
    answer = caller.post("/imports", body)
    assert answer.status_code == 202, answer.content
    assert answer["Location"].endswith(f"/imports/{answer.json()['id']}")
    return answer.json()


def first_notes(queues: MemoryQueues) -> None:
    """Lets the runs come to their second place: all is read, and the first notes have come in."""
    for _ in range(2):
        queues.deliver(queues.visible[0])


def read(caller: Caller, id: str) -> Any:
    answer = caller.get(f"/imports/{id}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def many(number: int) -> list[Note]:
    return [Note(f"g{n}", front=f"frente {n}", back="b", deck="D") for n in range(number)]


def test_a_file_is_sent_once_and_comes_in_by_itself(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    made = started(maria, bucket, as_json(*many(50)), filename="notas.json")
    assert (made["state"], made["done"], made["total"]) == ("queued", 0, None)
    first_notes(queues)
    found = read(maria, made["id"])
    assert (found["state"], found["done"], found["total"]) == ("queued", 20, 50)
    assert found["report"] == {"imported": 20, "updated": 0, "skipped": 0, "failed": 0}
    queues.run_on()
    found = read(maria, made["id"])
    assert (found["state"], found["done"], found["filename"]) == ("done", 50, "notas.json")
    assert found["report"]["imported"] == 50
    assert found["problem"] is None
    assert len(cards_of(maria)) == 50
    [listed] = maria.get("/imports").json()["results"]
    assert listed == found


def test_an_import_tells_of_every_row_page_by_page(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    rows = "".join(f"palavra {n};\n" for n in range(230))
    made = started(maria, bucket, f"front;back;deck\n{rows}a;b;D\n".encode())
    queues.run_on()
    found = read(maria, made["id"])
    assert found["report"] == {"imported": 1, "updated": 0, "skipped": 0, "failed": 230}
    told, path = [], f"/imports/{made['id']}/rows?limit=100"
    while path:
        page = maria.get(path).json()
        told += page["results"]
        path = page["next"]
    assert [row["row"] for row in told] == list(range(2, 232))
    assert {(row["field"], row["code"], row["fatal"]) for row in told} == {
        ("back", "required", True)
    }


def test_devices_are_told_of_the_notes_and_not_of_the_work(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    started(maria, bucket, b"front;back;deck\nsol;sun;D\nlua;;D\n")
    queues.run_on()
    told, path, more = [], "/changes", True
    while more:
        page = maria.get(path).json()
        told += [change["kind"] for change in page["results"]]
        path, more = f"/changes?since={page['cursor']}", page["more"]
    assert set(told) == {"card", "deck", "note", "profile"}


def killing(at: int) -> Any:
    writes = 0

    def through(send: Send) -> Send:
        def told(body: bytes, headers: Any) -> Any:
            nonlocal writes
            answer = send(body, headers)
            writes += operation_of(headers) not in ("GetItem", "BatchGetItem", "Query")
            if writes == at:
                writes += 1
                raise Dead
            return answer

        return told

    return through


def test_an_import_that_is_killed_at_any_write_comes_in_whole_and_counts_right(
    maria: Caller,
    bucket: Any,
    queues: MemoryQueues,
    memory_table: MemoryTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "CHUNK_NOTES", 2)
    monkeypatch.setattr(imports, "STEP_ROWS", 3)
    twice = Note("g0", front="frente 0", back="b", deck="D")
    notes = [
        *many(3),
        Note("g9", front="", back="b", deck="D"),
        Note("h", front="h", back="b", deck="E", cards=(studied(),)),
        twice,
    ]
    data = as_json(*notes)
    before = memory_table.remember()
    killed, died = 0, True
    while died:
        memory_table.clear()
        before()
        queues.clear()
        made = started(maria, bucket, data)
        died = False
        with sending(killing(killed + 1), table_client()):
            while queues.messages:
                with time_machine.travel(min(message.visible_at for message in queues.messages)):
                    try:
                        for message in queues.visible[:1]:
                            queues.deliver(message)
                    except Dead:
                        died = True
        found = read(maria, made["id"])
        assert found["state"] == "done", killed
        figures = {"imported": 4, "updated": 0, "skipped": 1, "failed": 1}
        assert found["report"] == figures, killed
        assert len(cards_of(maria)) == 4
        assert len(maria.get("/decks").json()["results"]) == 2
        assert len(maria.get(f"/imports/{made['id']}/rows").json()["results"]) == 1
        assert maria.get("/statistics").json()["totals"]["cards"] == 4
        assert queues.dead == []
        killed += died
    assert killed > 10


def test_a_throttled_partition_slows_an_import_down_and_ends_nothing(
    maria: Caller,
    bucket: Any,
    queues: MemoryQueues,
    memory_table: MemoryTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Local indexes keep a partition at 1,000 write units a second, for as long as it takes."""
    made = started(maria, bucket, as_json(*many(45)))
    first_notes(queues)
    monkeypatch.setattr("config.store.connection.WITHIN_S", 0)
    refused = 0

    def fault(operation: str) -> str | None:
        nonlocal refused
        if operation == "TransactWriteItems" and refused < 20:
            refused += 1
            return "ThrottlingException"
        return None

    memory_table.fault = fault
    queues.run()
    found = read(maria, made["id"])
    assert (found["state"], found["report"]["imported"]) == ("queued", 20)
    queues.run_on()
    found = read(maria, made["id"])
    assert (found["state"], found["report"]["imported"]) == ("done", 45)
    assert queues.dead == []


def test_an_import_that_is_cancelled_stops_and_keeps_what_has_come_in(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    made = started(maria, bucket, as_json(*many(50)))
    first_notes(queues)
    for _ in range(2):
        assert maria.post(f"/imports/{made['id']}/cancel").json()["state"] == "cancelled"
    queues.run_on()
    found = read(maria, made["id"])
    assert (found["state"], found["report"]["imported"]) == ("cancelled", 20)
    assert len(cards_of(maria)) == 20


@pytest.mark.parametrize("what", ["imports", "exports"])
def test_what_is_deleted_stops_and_is_forgotten(
    maria: Caller, bucket: Any, queues: MemoryQueues, what: str
) -> None:
    report(maria, as_json(*many(3)))
    body = {"format": "csv"}
    if what == "imports":
        body = {"uploadKey": uploaded(bucket, maria, as_json(*many(50)))}
    made = maria.post(f"/{what}", body).json()
    queues.deliver(queues.visible[0])
    assert maria.delete(f"/{what}/{made['id']}").status_code == 204
    assert maria.get(f"/{what}/{made['id']}").status_code == 404
    assert maria.delete(f"/{what}/{made['id']}").status_code == 404
    queues.run_on()
    assert (len(cards_of(maria)), queues.dead) == (3, [])
    assert maria.get(f"/{what}").json()["results"] == []


def test_an_import_of_what_cannot_be_read_says_so(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    made = started(maria, bucket, b"%PDF-1.7")
    queues.run_on()
    found = read(maria, made["id"])
    assert (found["state"], found["problem"]["code"]) == ("failed", "FILE_FORMAT_UNKNOWN")
    assert maria.get(f"/imports/{made['id']}/rows").json()["results"] == []


def test_a_file_that_was_replaced_meanwhile_is_not_read_on(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    key = uploaded(bucket, maria, as_json(*many(50)))
    made = maria.post("/imports", {"uploadKey": key}).json()
    first_notes(queues)
    bucket.put_object(
        Bucket=stack().transfer_bucket, Key=f"uploads/{maria.id}/{key}", Body=b"other"
    )
    queues.run_on()
    assert read(maria, made["id"])["problem"]["code"] == "UNKNOWN_UPLOAD"


def test_an_import_is_refused_at_once_where_something_is_missing(
    maria: Caller, joao: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    key = uploaded(bucket, maria, WORDS.encode())
    refused = joao.post("/imports", {"uploadKey": key})
    assert (refused.status_code, refused.json()["code"]) == (409, "UNKNOWN_UPLOAD")
    refused = maria.post("/imports", {"uploadKey": key, "deckId": str(uuid4())})
    assert (refused.status_code, refused.json()["code"]) == (409, "UNKNOWN_DECK")
    assert queues.messages == []


def test_an_import_sent_again_is_the_same_and_another_under_its_id_is_refused(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    deck = deck_of(maria)
    body = {"id": str(uuid4()), "uploadKey": uploaded(bucket, maria, b"a;b\n"), "deckId": deck}
    first = maria.post("/imports", body).json()
    queues.run_on()
    again = maria.post("/imports", body)
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (
        202,
        first["id"],
        "done",
    )
    other = maria.post("/imports", body | {"restoreDeleted": True})
    assert (other.status_code, other.json()["code"]) == (409, "ID_TAKEN")


def test_an_import_brings_back_deleted_notes_when_that_is_said(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    data = as_json(*many(3))
    for options, figures in (({}, 3), ({}, 0), ({"restoreDeleted": True}, 3)):
        made = started(maria, bucket, data, **options)
        queues.run_on()
        found = read(maria, made["id"])
        assert (found["state"], found["report"]["imported"]) == ("done", figures)
        assert len(cards_of(maria)) == figures
        for card in cards_of(maria):
            maria.delete(f"/flashcards/{card['id']}")


def test_three_imports_of_a_learner_may_be_at_work(
    maria: Caller, joao: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    made = [started(maria, bucket, WORDS.encode()) for _ in range(transfers.MOST_AT_ONCE)]
    body = {"uploadKey": uploaded(bucket, maria, WORDS.encode())}
    refused = maria.post("/imports", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "TOO_MANY_JOBS")
    started(joao, bucket, WORDS.encode())
    maria.post(f"/imports/{made[0]['id']}/cancel")
    assert maria.post("/imports", body).status_code == 202


def test_what_is_told_of_a_text_file_is_used(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    data = "maçã|apple|x|fruta\n".encode("cp1252")
    columns = "front,back,-,tags"
    options = {"separator": "pipe", "encoding": "cp1252", "header": False, "columns": columns}
    made = started(maria, bucket, data, deckId=deck_of(maria), **options)
    queues.run_on()
    assert read(maria, made["id"])["report"]["imported"] == 1
    [card] = cards_of(maria)
    assert (card["front"], card["back"], card["tags"]) == ("maçã", "apple", ["fruta"])


def test_imports_are_listed_latest_first_and_forgotten_after_two_weeks(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    ids = []
    for minutes in range(3):
        with time_machine.travel(now() + timedelta(minutes=minutes)):
            ids.append(started(maria, bucket, WORDS.encode())["id"])
            queues.run_on()
    page = maria.get("/imports?limit=2").json()
    rest = maria.get(page["next"]).json()
    assert [job["id"] for job in page["results"] + rest["results"]] == ids[::-1]
    [stored] = Job.newest(learner_key(maria.id), "import", limit=1, start=None).items
    assert stored.expires_at > (now() + timedelta(days=13)).timestamp()


# Exports


def exported(caller: Caller, queues: MemoryQueues, **fields: Any) -> Any:
    """An export that has come to its end."""
    answer = caller.post("/exports", fields)
    assert answer.status_code == 202, answer.content
    assert answer["Location"].endswith(f"/exports/{answer.json()['id']}")
    assert (answer.json()["state"], answer.json()["url"]) == ("queued", None)
    queues.run_on()
    return caller.get(f"/exports/{answer.json()['id']}").json()


def file_of(s3: Any, caller: Caller, export: Any) -> bytes:
    where = {"Bucket": stack().transfer_bucket, "Key": f"exports/{caller.id}/{export['id']}"}
    assert where["Key"] in export["url"]
    return bytes(s3.get_object(**where)["Body"].read())


@pytest.fixture
def collection(maria: Caller) -> Caller:
    notes = [*NOTES, *many(5), Note("h", front="h", back="b", deck="E", cards=(studied(),))]
    report(maria, as_json(*notes))
    return maria


@pytest.mark.parametrize("format", ["csv", "json", "apkg"])
def test_an_export_in_many_runs_is_the_file_of_one(
    collection: Caller,
    bucket: Any,
    queues: MemoryQueues,
    format: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfers, "PART_NOTES", 2)
    with time_machine.travel(now(), tick=False):
        at_once = collection.get(f"/flashcards/export?format={format}").content
        found = exported(collection, queues, format=format)
    assert (found["state"], found["done"], found["total"]) == ("done", 10, 10)
    file = file_of(bucket, collection, found)
    assert found["sizeBytes"] == len(file)
    assert rows_of(file, format) == rows_of(at_once, format)
    assert len(rows_of(file, format)) >= 10


def rows_of(data: bytes, format: Any) -> list[Any]:
    """A file's content, without the instant of its writing."""
    return [asdict(row) for row in transfer.read(io.BytesIO(data), format=format)]


def test_an_export_of_one_deck_has_its_notes_alone(
    collection: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    decks = {deck["name"]: deck["id"] for deck in collection.get("/decks").json()["results"]}
    found = exported(collection, queues, format="json", deckId=decks["E"])
    [note] = json.loads(file_of(bucket, collection, found))["notes"]
    assert note["front"] == "h"
    refused = collection.post("/exports", {"format": "json", "deckId": str(uuid4())})
    assert (refused.status_code, refused.json()["code"]) == (409, "UNKNOWN_DECK")


def test_an_export_whose_process_is_killed_goes_on_at_its_last_part(
    collection: Caller, bucket: Any, queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "PART_NOTES", 2)
    kept: list[str] = []
    keep = file_uploads.keep

    def dying(**arguments: Any) -> None:
        keep(**arguments)
        kept.append(arguments["name"].rpartition("/")[2])
        if len(kept) in (2, 5, 8):
            raise Dead

    monkeypatch.setattr(file_uploads, "keep", dying)
    made = collection.post("/exports", {"format": "json"}).json()
    while queues.messages:
        at = min(message.visible_at for message in queues.messages)
        with time_machine.travel(at), suppress(Dead):
            for message in queues.visible[:1]:
                queues.deliver(message)
    parts = [name[-1] for name in kept[:-2]]
    assert (parts, kept[-2:]) == (["0", "1", "1", "2", "3", "3", "4"], [made["id"]] * 2)
    found = collection.get(f"/exports/{made['id']}").json()
    assert found["state"] == "done"
    assert len(json.loads(file_of(bucket, collection, found))["notes"]) == 10


def test_an_export_is_cancelled_and_its_file_forgotten_after_a_day(
    collection: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    made = collection.post("/exports", {"format": "csv"}).json()
    assert collection.post(f"/exports/{made['id']}/cancel").json()["state"] == "cancelled"
    queues.run_on()
    assert collection.get(f"/exports/{made['id']}").json()["state"] == "cancelled"
    found = exported(collection, queues, format="csv")
    [job] = Job.newest(learner_key(collection.id), "export", limit=1, start=None).items
    assert transfers.export_url(job, now=now())
    assert transfers.export_url(job, now=now() + timedelta(days=1)) is None
    assert [each["id"] for each in collection.get("/exports").json()["results"]] == [
        found["id"],
        made["id"],
    ]
