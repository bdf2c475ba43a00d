"""Anki packages with pictures and sounds, in by /imports and out by /exports, file by file."""

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard
from ulid import ULID

from config import work
from config.stack import stack
from learning.services import transfers
from learning.transfer import FileUnsafe, Media, MediaSource, Note, read
from learning.transfer.anki.writer import write_apkg
from tests.callers import Caller
from tests.queues import MemoryQueues
from tests.test_flashcards import deck_of
from tests.test_import import cards_of, report
from tests.test_media import bucket, chunk, jpeg, kept, mp3, png, s3, uploaded  # noqa: F401  (fixtures)

# One sound under two names, one name with a space and a letter of two forms.
FILES = {
    "casa.png": png(colour=1),
    "casa.mp3": mp3(1),
    "maison.mp3": mp3(1),
    "fe\u0301 1.jpg": jpeg(),
}
NOTES = [
    Note("g1", front="casa", back="house", deck="D", media=(
        Media("image", "casa.png"), Media("audio", "casa.mp3", "back"))),
    Note("g2", front="", back="maison", deck="D", media=(Media("audio", "maison.mp3"),)),
    Note("g3", front="fé", back="faith", deck="D", media=(
        Media("image", "fé 1.jpg", "example"), Media("image", "lost.png"))),
    Note("g4", front="nada", back="nothing", deck="D"),
]  # fmt: skip


def packed(notes: list[Note], files: dict[str, bytes], *, latest: bool = False) -> bytes:
    """A package with these files, in the legacy format or in that of today."""
    target = io.BytesIO()
    write_apkg(notes, target, exported_at=datetime(2026, 1, 1, tzinfo=UTC))
    with zipfile.ZipFile(target) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    compress = zstandard.ZstdCompressor().compress if latest else bytes
    if latest:
        collection = compress(members["collection.anki21"])
        members = {"meta": b"\x08\x03", "collection.anki21b": collection}
        members["media"] = compress(b"".join(map(entry, files, files.values())))
    else:
        members["media"] = json.dumps(dict(enumerate(files))).encode()
    members |= {str(place): compress(data) for place, data in enumerate(files.values())}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def entry(name: str, data: bytes) -> bytes:
    """An entry of `MediaEntries`: name, size, SHA-1."""
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    said = b"\x0a" + bytes([len(name.encode())]) + name.encode()
    said += b"\x10" + varint(len(data)) + b"\x1a\x14" + digest
    return b"\x0a" + varint(len(said)) + said


def varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 127 else bytes([number])


def files_in(package: bytes) -> dict[str, bytes]:
    """The files of a package of ours, by their names."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        names = json.loads(archive.read("media"))
        return {name: archive.read(member) for member, name in names.items()}


def imported(caller: Caller, s3: Any, queues: MemoryQueues, data: bytes) -> dict[str, Any]:  # noqa: F811
    key = str(ULID())
    where = {"Bucket": stack().transfer_bucket, "Key": f"uploads/{caller.id}/{key}"}
    s3.put_object(**where, Body=data)
    answer = caller.post("/imports", {"uploadKey": key, "filename": "a.apkg"})
    assert answer.status_code == 202, answer.content
    queues.run_on()
    done: dict[str, Any] = caller.get(f"/imports/{answer.json()['id']}").json()
    assert done["state"] == "done", done
    return done


def exported(caller: Caller, s3: Any, queues: MemoryQueues) -> bytes:  # noqa: F811
    answer = caller.post("/exports", {"format": "apkg"})
    assert answer.status_code == 202, answer.content
    queues.run_on()
    done = caller.get(f"/exports/{answer.json()['id']}").json()
    assert done["state"] == "done", done
    where = {"Bucket": stack().transfer_bucket, "Key": f"exports/{caller.id}/{done['id']}"}
    data: bytes = s3.get_object(**where)["Body"].read()
    return data


def remarks(caller: Caller, job: dict[str, Any]) -> list[tuple[int, str]]:
    rows = caller.get(f"/imports/{job['id']}/rows").json()["results"]
    return [(row["row"], row["code"]) for row in rows]


@pytest.fixture
def in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs stop at the first place they come to, so that each step is another run's."""
    monkeypatch.setattr(work, "WITHIN_S", 0)
    monkeypatch.setattr(transfers, "PART_FILES", 1)


@pytest.mark.parametrize("latest", [False, True], ids=["legacy", "latest"])
def test_a_package_comes_in_and_goes_out_with_every_file_and_name(
    maria: Caller, bucket: Any, queues: MemoryQueues, in_steps: None, latest: bool  # noqa: F811
) -> None:  # fmt: skip
    job = imported(maria, bucket, queues, packed(NOTES, FILES, latest=latest))
    assert job["report"] == {"imported": 4, "updated": 0, "skipped": 0, "failed": 0}
    assert remarks(maria, job) == [(0, "media_found")]
    assert len(kept(bucket)) == 3  # of one sound there are two names
    cards = {card["front"].partition(" ")[0]: card for card in cards_of(maria)}
    assert cards["casa"]["front"].startswith("casa [media:")
    assert cards["fé"]["example"].startswith("[media:")
    out = exported(maria, bucket, queues)
    composed = {"fé 1.jpg" if "1.jpg" in name else name: data for name, data in FILES.items()}
    assert files_in(out) == composed
    found = {row.id: row for row in read(io.BytesIO(out)) if isinstance(row, Note)}
    for note in NOTES:
        assert set(found[note.id].media) == set(note.media)
        assert (found[note.id].front, found[note.id].back) == (note.front, note.back)
    again = imported(maria, bucket, queues, out)
    assert again["report"]["imported"] == 0
    assert len(kept(bucket)) == 3


def test_an_import_that_dies_anywhere_keeps_each_file_once(
    maria: Caller, bucket: Any, queues: MemoryQueues, in_steps: None  # noqa: F811
) -> None:  # fmt: skip
    notes = [
        Note(f"g{n}", front=f"f{n}", back="b", deck="D", media=(Media("image", f"{n}.png"),))
        for n in range(50)
    ]
    files = {f"{n}.png": png(colour=n) for n in range(50)}
    job = imported(maria, bucket, queues, packed(notes, files))
    assert job["report"]["imported"] == 50
    assert len(kept(bucket)) == 50
    assert files_in(exported(maria, bucket, queues)) == files


def test_two_media_of_one_name_go_out_as_two(
    maria: Caller, bucket: Any, queues: MemoryQueues  # noqa: F811
) -> None:  # fmt: skip
    for guid, colour in (("g1", 1), ("g2", 2)):
        note = Note(guid, front=guid, back="b", deck="D", media=(Media("image", "1.png"),))
        imported(maria, bucket, queues, packed([note], {"1.png": png(colour=colour)}))
    out = files_in(exported(maria, bucket, queues))
    assert sorted(out.values()) == sorted([png(colour=1), png(colour=2)])
    assert "1.png" in out


def test_media_of_the_learners_own_go_out_too(
    maria: Caller, bucket: Any, queues: MemoryQueues  # noqa: F811
) -> None:  # fmt: skip
    picture = uploaded(maria, bucket, png(), "image/png", name="eigenes.png")["id"]
    sound = uploaded(maria, bucket, mp3(), "audio/mpeg")["id"]
    body = {"deckId": deck_of(maria), "front": f"a [media:{sound}] b", "back": "c"}
    maria.makes("/flashcards", {**body, "imageId": picture})
    out = exported(maria, bucket, queues)
    own = f"parley-{sound[:8]}.mp3"
    assert files_in(out) == {"eigenes.png": png(), own: mp3()}
    [note] = [row for row in read(io.BytesIO(out)) if isinstance(row, Note)]
    assert {item.name for item in note.media} == {"eigenes.png", own}
    answer = maria.get("/flashcards/export?format=apkg")
    assert files_in(answer.content) == files_in(out)


def test_more_media_than_a_request_can_pack_are_left_to_an_export(
    maria: Caller, bucket: Any, queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr("learning.services.exports.AT_ONCE_FILES", 1)
    imported(maria, bucket, queues, packed(NOTES, FILES))
    answer = maria.get("/flashcards/export?format=apkg")
    assert (answer.status_code, answer.json()["code"]) == (409, "EXPORT_TOO_LARGE")


HOSTILE = {
    "svg": (b"<svg onload='alert(1)'/>", "medium_unsupported"),
    "other": (b"MZ\x90" * 40, "medium_unsupported"),
    "pixels": (png(20_000, 15_000), "medium_too_large"),
    "bomb": (png(2, 2, chunk(b"zzZz", bytes(11 * 2**20))), "file_too_large"),
    "broken": (png()[:-9], "medium_damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_of_a_package_stays_behind_alone(
    maria: Caller, bucket: Any, name: str  # noqa: F811
) -> None:  # fmt: skip
    data, code = HOSTILE[name]
    files = {"casa.png": data, "casa.mp3": mp3()}
    told = report(maria, packed(NOTES[:1], files, latest=True), "a.apkg")
    assert [error["code"] for error in told["errors"]] == ["media_found", code]
    assert told["imported"] == 1
    assert len(kept(bucket)) == 1
    [card] = cards_of(maria)
    assert card["front"] == "casa"
    assert card["back"].startswith("house [media:")


@pytest.mark.parametrize("name", ["../casa.png", "a/b.png", "a\\b.png", "..", ""])
@pytest.mark.parametrize("latest", [False, True])
def test_a_path_in_a_name_refuses_the_package_before_its_first_note(
    maria: Caller, bucket: Any, name: str, latest: bool  # noqa: F811
) -> None:  # fmt: skip
    data = packed(NOTES[:1], {name: png()}, latest=latest)
    with pytest.raises(FileUnsafe):
        next(read(io.BytesIO(data)))
    assert kept(bucket) == []


def test_a_file_that_differs_from_its_sum_is_damaged() -> None:
    data = packed(NOTES[:1], {"casa.png": png()}, latest=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["0"] = zstandard.ZstdCompressor().compress(png(colour=5))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    rows = read(target)
    source = next(row for row in rows if isinstance(row, MediaSource))
    with pytest.raises(Exception, match="damaged"):
        source.read("casa.png")


def test_a_full_shelf_takes_the_notes_and_says_what_stayed_behind(
    maria: Caller, bucket: Any, settings: Any  # noqa: F811
) -> None:  # fmt: skip
    settings.MEDIA_FILES = 1
    told = report(maria, packed(NOTES[:1], FILES), "a.apkg")
    assert [error["code"] for error in told["errors"]] == ["media_found", "media_full"]
    assert (told["imported"], len(kept(bucket))) == (1, 1)


def test_a_file_that_came_without_media_brings_them_when_it_comes_again(
    maria: Caller, bucket: Any, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    note = Note(
        "g1",
        front="casa",
        back="b",
        deck="D",
        media=(Media("image", "casa.png"),),
        modified_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    report(maria, packed([note], {}), "a.apkg")
    told = report(maria, packed([note], {"casa.png": png()}), "a.apkg")
    assert told["updated"] == 1
    [card] = cards_of(maria)
    assert card["front"].startswith("casa [media:")


def test_a_document_shows_media_only_to_the_learner_who_has_them(
    maria: Caller, joao: Caller, bucket: Any  # noqa: F811
) -> None:  # fmt: skip
    picture = uploaded(maria, bucket, png(), "image/png", name="casa.png")["id"]
    body = {"deckId": deck_of(maria), "front": "casa", "back": f"[media:{picture}]"}
    card = maria.makes("/flashcards", {**body, "imageId": picture})
    document = maria.get("/flashcards/export?format=json").content
    assert report(joao, document, "notas.json")["imported"] == 1
    [theirs] = cards_of(joao)
    assert (theirs["front"], theirs["imageId"]) == ("casa", None)
    maria.delete(f"/flashcards/{card['id']}")
    told = report(maria, document, "notas.json", restoreDeleted="true")
    assert told["imported"] == 1
    [again] = cards_of(maria)
    assert (again["imageId"], again["back"]) == (picture, f"[media:{picture}]")
