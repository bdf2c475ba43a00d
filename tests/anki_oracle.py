"""Anki itself, asked to make packages and to read ours. Runs in Anki's own environment.

    python anki_oracle.py make FOLDER           packages in every format, with what is in them
    python anki_oracle.py read FOLDER PACKAGE…  imports one after the other, and what is then there
    python anki_oracle.py show FOLDER FILE      what is in a package or a collection of somebody's
    python anki_oracle.py pack FOLDER FILE OUT  the same; packs the whole collection
    python anki_oracle.py find FOLDER NOTES Q…  the fronts of notes (front, deck and tags as JSON)
                                                that searches find
    python anki_oracle.py mix FOLDER OUT SEED   packs notes of random note types
    python anki_oracle.py states FOLDER OUT FRONTS Q…
                                                packs a note for each front, in a state of its own;
                                                the fronts that searches find
    python anki_oracle.py csv FOLDER FILE…      the notes of text files: front, back and tags
    python anki_oracle.py cloze FOLDER TEXT…    the cards of cloze texts: ordinal, question, answer

Prints one JSON document. Nothing of Parley is imported here, and Anki nowhere else.
"""

import hashlib
import html
import json
import random
import re
import sys
import time
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from anki._backend import RustBackend
from anki.collection import (
    Collection,
    ExportAnkiPackageOptions,
    ImportAnkiPackageOptions,
    ImportAnkiPackageRequest,
    ImportCsvRequest,
)
from anki.notes import Note

DAY_S = 86_400
SOUND = b"\xff\xfb\x90\x64" + bytes(413)
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63600700000900082023c38c0000000049454e44ae426082"
)


def main(command: str, folder: str, *packages: str) -> dict[str, Any]:
    if command in ("show", "pack"):
        return shown_file(Path(folder), *map(Path, packages))
    collection = Collection(str(Path(folder, "collection.anki2")))
    try:
        if command == "find":
            return found(collection, json.loads(packages[0]), packages[1:])
        if command == "mix":
            return mixed(collection, Path(packages[0]), int(packages[1]))
        if command == "states":
            return in_states(collection, packages[0], json.loads(packages[1]), packages[2:])
        if command == "csv":
            return {Path(path).name: text_notes(collection, path) for path in packages}
        if command == "cloze":
            return {text: faces(collection, text) for text in packages}
        return make(collection, folder) if command == "make" else read(collection, *packages)
    finally:
        collection.close()


def make(collection: Collection, folder: str) -> dict[str, Any]:
    fill(collection)
    for name, legacy in (("second", True), ("latest", False)):
        collection.export_anki_package(
            out_path=str(Path(folder, f"{name}.apkg")),
            options=ExportAnkiPackageOptions(
                with_scheduling=True, with_deck_configs=False, with_media=True, legacy=legacy
            ),
            limit=None,
        )
    # the first format is the second under its older name, without the member that tells it
    with (
        zipfile.ZipFile(Path(folder, "second.apkg")) as second,
        zipfile.ZipFile(Path(folder, "first.apkg"), "w") as first,
    ):
        first.writestr("collection.anki2", second.read("collection.anki21"))
        for name in {"media", *second.namelist()} - {
            "meta",
            "collection.anki2",
            "collection.anki21",
        }:
            first.writestr(name, second.read(name))
    return {"notes": notes(collection), "media": media(collection)}


def shown_file(folder: Path, file: Path, out: Path | None = None) -> dict[str, Any]:
    """The notes of a file, as Anki has them once it is opened."""
    path = folder / "collection.anki2"
    if file.suffix == ".anki2":
        path.write_bytes(file.read_bytes())
    if file.suffix == ".colpkg":
        (folder / "media").mkdir()
        RustBackend().import_collection_package(
            col_path=str(path), backup_path=str(file),
            media_folder=str(folder / "media"), media_db=str(folder / "media.db"),
        )  # fmt: skip
    collection = Collection(str(path))
    try:
        if file.suffix == ".apkg":
            return read(collection, str(file))
        collection.fix_integrity()  # fills in last reviews, as Anki does now and then
        document = {"notes": notes(collection)}
        if out:
            collection.export_collection_package(str(out), include_media=False, legacy=False)
        return document
    finally:
        collection.close()


def found(
    collection: Collection, made: list[tuple[str, str, list[str]]], searches: tuple[str, ...]
) -> dict[str, list[str]]:
    """Makes notes and searches them."""
    for front, deck, tags in made:
        note = collection.new_note(collection.models.by_name("Basic"))
        note["Front"], note["Back"], note.tags = front, "x", tags
        collection.add_note(note, collection.decks.id(deck))
    return fronts_found(collection, searches)


def fronts_found(collection: Collection, searches: tuple[str, ...]) -> dict[str, list[str]]:
    return {
        text: sorted(collection.get_note(id)["Front"] for id in collection.find_notes(text))
        for text in searches
    }


def in_states(
    collection: Collection, out: str, fronts: list[str], searches: tuple[str, ...]
) -> dict[str, list[str]]:
    """Makes a card of each kind of state in turn, packs them, and searches them."""
    collection.set_config("fsrs", True)
    deck, chance = collection.decks.id("States"), random.Random(len(fronts))  # noqa: S311
    for number, front in enumerate(fronts):
        note = collection.new_note(collection.models.by_name("Basic"))
        note["Front"], note["Back"] = front, "x"
        collection.add_note(note, deck)
        kind, held, is_due = number % 4, number // 4 % 3, number // 12 % 2
        days, seconds = (-3, -7_200) if is_due else (5, 86_400 * 3)
        due = collection.sched.today + days if kind == 2 else int(time.time()) + seconds
        queue = (0, -1, -2)[held] or (0, 1, 2, 1)[kind]
        lapses, reps = (chance.randint(0, 4), chance.randint(5, 12)) if kind > 1 else (0, kind)
        memory = json.dumps({"s": chance.choice([2.5, 14.0, 90.0]), "d": 5.0}) if kind else "{}"
        collection.db.execute(
            "UPDATE cards SET type=?, queue=?, due=?, ivl=?, factor=?, reps=?, lapses=?, data=?"
            " WHERE id=?",
            kind, queue, due if kind else number, 9 * (kind > 1), 2500 * (kind > 1), reps, lapses,
            memory, note.cards()[0].id,
        )  # fmt: skip
    options = ExportAnkiPackageOptions(with_scheduling=True, with_media=False)
    collection.export_anki_package(out_path=out, options=options, limit=None)
    return fronts_found(collection, searches)


def mixed(collection: Collection, out: Path, seed: int) -> dict[str, Any]:
    """Packs notes of many note types, each with fields and templates of its own, some studied."""
    chance = random.Random(seed)  # noqa: S311 - the same packages each time
    for number in range(12):
        kind = collection.models.new(f"Kind {number}")
        names = [f"Field {n}" for n in range(chance.randint(2, 6))]
        for name in names:
            collection.models.add_field(kind, collection.models.new_field(name))
        for n in range(chance.randint(1, 4)):
            template = collection.models.new_template(f"Card {n}")
            asked, told = chance.sample(names, 2)
            shown = chance.choice(["{{%s}}", "{{#%s}}<b>{{%s}}</b>{{/%s}}"])
            template["qfmt"] = f"{n} " + shown.replace("%s", asked)
            template["afmt"] = f"{{{{FrontSide}}}}<hr id=answer>{{{{{told}}}}} n{n}"
            collection.models.add_template(kind, template)
        collection.models.add(kind)
        for n in range(5):
            note = collection.new_note(collection.models.by_name(f"Kind {number}"))
            for name in names:
                empty = name != names[0] and chance.random() < 0.3
                note[name] = "" if empty else f"{number}-{n} {name} {chance.choice('aß漢é')}"
            collection.add_note(note, collection.decks.id(f"Deck {chance.randint(0, 2)}"))
            for card in note.cards():
                if chance.random() < 0.5:
                    days = str(chance.randint(0, 400))
                    collection.sched.set_due_date([card.id], f"{days}!")
    options = ExportAnkiPackageOptions(with_scheduling=True, with_media=False)
    collection.export_anki_package(out_path=str(out), options=options, limit=None)
    return {"notes": notes(collection)}


def text_notes(collection: Collection, path: str) -> list[list[Any]]:
    """The notes that a text file adds, in its order."""
    metadata = collection.get_csv_metadata(path=path, delimiter=None)
    basic = collection.models.by_name("Basic")
    assert basic
    metadata.global_notetype.id = basic["id"]
    before = set(collection.find_notes(""))
    collection.import_csv(ImportCsvRequest(path=path, metadata=metadata))
    added = [collection.get_note(id) for id in collection.find_notes("") if id not in before]
    return [[*map(shown, note.fields), note.tags] for note in sorted(added, key=lambda n: n.id)]


def faces(collection: Collection, text: str) -> list[tuple[int, str, str]]:
    """What each card of a cloze text asks and answers, without markup."""
    note = collection.new_note(collection.models.by_name("Cloze"))
    note["Text"] = text
    collection.add_note(note, collection.decks.id("Clozes"))
    return [
        (card.ord, shown(card.question()), shown(card.answer()).rstrip("\n"))
        for card in note.cards()
    ]


def shown(markup: str) -> str:
    """The text of some HTML."""
    plain = re.sub("<style>.*?</style>", "", markup, flags=re.DOTALL).replace("<br>", "\n")
    return html.unescape(re.sub("<[^>]*>", "", plain))


def fill(collection: Collection) -> None:
    """Two decks, three note types, and cards in every state that a card may be in."""
    collection.set_config("fsrs", True)
    spanish = collection.decks.id("Spanish::Verbs")
    french = collection.decks.id("French")
    sound = collection.media.write_data("ir.mp3", SOUND)
    again = collection.media.write_data("ire\u0301 2.mp3", SOUND)
    picture = collection.media.write_data("maison.png", PICTURE)

    def add(kind: str, deck: int, *fields: str, tags: str = "") -> Note:
        note = collection.new_note(collection.models.by_name(kind))
        for name, value in zip(note.keys(), fields, strict=False):
            note[name] = value
        note.tags = tags.split()
        collection.add_note(note, deck)
        return note

    go = add(
        "Basic (and reversed card)", spanish, f"<b>ir</b> [sound:{sound}]", "to go<br>(irregular)",
        tags="verb::irregular a1",
    )  # fmt: skip
    capital = add("Cloze", spanish, "{{c1::Madrid}} &amp; {{c3::Lima::city}}", "capitals")
    house = add(
        "Basic", french, f'la maison <img src="{picture}">', f"the [sound:{again}] house", tags="a1"
    )
    cat, dog, bird, fish, horse, cow = (
        add("Basic", french, word, meaning)
        for word, meaning in [
            ("le chat", "the cat"), ("le chien", "the dog"), ("l'oiseau", "the bird"),
            ("le poisson", "the fish"), ("le cheval", "the horse"), ("la vache", "the cow"),
        ]
    )  # fmt: skip
    add("Basic (type in the answer)", french, "le pain", "bread")

    answer(collection, spanish, 3, 1)
    collection.sched.set_due_date([house.cards()[0].id], "5!")
    ripen(
        collection,
        cat,
        30,
        2100,
        '{"s":41.5,"d":6.25,"dr":0.9,"decay":0.5,"lrt":1750000000,"pos":4}',
    )
    collection.set_user_flag_for_cards(3, [cat.cards()[0].id])
    ripen(collection, dog, 12, 1900, "{}")
    collection.sched.suspend_cards([bird.cards()[0].id, capital.cards()[1].id])
    ripen(collection, fish, 3, 2500, "{}")
    collection.sched.bury_cards([fish.cards()[0].id])
    ripen(collection, horse, 8, 2300, "{}")
    collection.sched.schedule_cards_as_new([cow.cards()[0].id])
    cram = collection.sched.get_or_create_filtered_deck(0)
    cram.name = "Cram"
    cram.config.search_terms[0].search = "cheval"
    collection.sched.add_or_update_filtered_deck(cram)
    assert horse.cards()[0].odid
    assert len(go.cards()) == 2
    collection.fix_integrity()  # fills in last reviews, as Anki does now and then


def answer(collection: Collection, deck: int, *buttons: int) -> None:
    collection.decks.set_current(deck)
    for button in buttons:
        card = collection.sched.getCard()
        card.start_timer()
        collection.sched.answerCard(card, button)


def ripen(collection: Collection, note: Note, interval: int, factor: int, data: str) -> None:
    """Make a card look as if it had been studied for long, with a log to show for it."""
    card = note.cards()[0]
    collection.db.execute(
        "UPDATE cards SET type=2, queue=2, due=?, ivl=?, factor=?, reps=4, lapses=1, data=?"
        " WHERE id=?",
        collection.sched.today + interval - 2, interval, factor, data, card.id,
    )  # fmt: skip
    first = 1_740_000_000_000 + card.id % 1_000_000
    for row in [
        (first, 3, -600, -60, 0, 5100, 0), (first + 600_500, 3, 1, -600, 2500, 3000, 0),
        (first + 90_000_000, 1, -600, 1, 2300, 9000, 1),
        (first + 90_600_000, 4, 4, -600, 2300, 80, 2),
        (first + 500_000_000, 2, interval, 4, factor, 60_000, 1),
        (first + 600_000_000, 0, interval, 4, factor, 0, 4),
        (first + 700_000_000, 3, interval, interval, 0, 700, 3),
    ]:  # fmt: skip
        collection.db.execute(
            "INSERT INTO revlog VALUES (?, ?, -1, ?, ?, ?, ?, ?, ?)", row[0], card.id, *row[1:]
        )


def read(collection: Collection, *packages: str) -> dict[str, Any]:
    options = ImportAnkiPackageOptions(merge_notetypes=True, with_scheduling=True)
    imports = []
    for package in packages:
        request = ImportAnkiPackageRequest(package_path=package, options=options)
        log = collection.import_anki_package(request).log
        counts = {name: len(getattr(log, name)) for name in ("new", "updated", "duplicate")}
        imports.append(counts | {"conflicting": len(log.conflicting)})
    problems, fine = collection.fix_integrity()
    return {
        "imports": imports,
        "notes": notes(collection),
        "media": media(collection),
        "fine": fine,
        "problems": problems,
    }


def media(collection: Collection) -> dict[str, str]:
    """The media files of a collection, each with its SHA-256."""
    files = Path(collection.media.dir()).iterdir()
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def notes(collection: Collection) -> list[dict[str, Any]]:
    return [
        {
            "guid": note.guid,
            "kind": note.note_type()["name"],
            "fields": dict(note.items()),
            "tags": sorted(note.tags),
            "cards": [card(collection, row.id) for row in note.cards()],
        }
        for note in map(collection.get_note, collection.find_notes(""))
    ]


def card(collection: Collection, id_: int) -> dict[str, Any]:
    names = (
        "ord",
        "type",
        "queue",
        "due",
        "ivl",
        "factor",
        "reps",
        "lapses",
        "odue",
        "odid",
        "did",
        "flags",
    )
    values = collection.db.first(f"SELECT {', '.join(names)}, data FROM cards WHERE id = {id_}")  # noqa: S608
    row = dict(zip(names, values, strict=False))
    due, home = (
        (row["odue"] or row["due"]) if row["odid"] else row["due"],
        row["odid"] or row["did"],
    )
    due_on = None
    today = collection.sched.day_cutoff - DAY_S
    if row["type"] != 0 and due < 1_000_000_000:  # a day: when Anki begins it
        due = today + (due - collection.sched.today) * DAY_S
    if row["type"] != 0:
        days = (due - today) // DAY_S
        due_on = str(datetime.fromtimestamp(today).date() + timedelta(days=days))  # noqa: DTZ006
    data = json.loads(values[-1] or "{}")
    log = "SELECT id, ease, ivl, lastIvl, factor, time, type FROM revlog WHERE cid = ? ORDER BY id"
    return {
        "deck": collection.decks.name(home),
        "due": due,
        "due_on": due_on,
        "suspended": row["queue"] == -1,
        "buried": row["queue"] < -1,
        "memory": {key: data.get(key) for key in ("s", "d", "dr", "decay", "lrt", "pos", "cd")},
        "flag": row["flags"] & 7,
        "log": collection.db.all(log, id_),
        **{name: row[name] for name in ("ord", "type", "ivl", "factor", "reps", "lapses")},
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
