"""/media: pictures and sounds, uploaded by a signed address and looked at before they are kept."""

import struct
import zlib
from base64 import b64decode
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import time_machine
from django.utils.timezone import now

from accounts.models import limits
from config import objects
from config.stack import Stack, stack
from learning import media_types
from learning.services import media
from learning.services.cards import create_card
from tests.callers import Caller
from tests.queues import MemoryQueues
from tests.test_flashcards import card_of, deck_of


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int = 2, height: int = 2, *more: bytes, colour: int = 7) -> bytes:
    """A picture of one colour; `more` are chunks before its end."""
    rows = (b"\0" + bytes([colour]) * width) * height if width * height < 10**6 else b""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pieces = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), *more, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def exif(orientation: int) -> bytes:
    """A segment of a JPEG with camera, place and orientation."""
    entries = struct.pack(">HHHIHH", 2, 0x0112, 3, 1, orientation, 0)
    entries += struct.pack(">HHII", 0x010F, 2, 10, 38) + b"\0\0\0\0" + b"Canon 7351\0"
    tiff = b"Exif\0\0MM\0*\0\0\0\x08" + entries
    return b"\xff\xe1" + struct.pack(">H", 2 + len(tiff)) + tiff


def jpeg(*segments: bytes, width: int = 9, height: int = 7, after: bytes = b"") -> bytes:
    frame = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x12\xff\x00\x34\xff\xd0\x56"
    return b"\xff\xd8" + b"".join(segments) + frame + scan + b"\xff\xd9" + after


def mp3(seed: int = 1) -> bytes:
    return b"\xff\xfb\x90\x64" + bytes([seed]) * 400


def as_declared(data: bytes, content_type: str, **more: Any) -> dict[str, Any]:
    digest = sha256(data).hexdigest()
    return {"contentType": content_type, "sizeBytes": len(data), "sha256": digest, **more}


@pytest.fixture(scope="module")
def s3(moto_stack: Stack) -> Any:
    client = boto3.client("s3", region_name=moto_stack.region)
    where = {"LocationConstraint": moto_stack.region}
    for name in (moto_stack.media_bucket, moto_stack.transfer_bucket):
        client.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return client


@pytest.fixture
def bucket(s3: Any, queues: MemoryQueues) -> Any:
    """The bucket of media, empty."""
    for entry in kept(s3):
        s3.delete_object(Bucket=stack().media_bucket, Key=entry)
    return s3


def kept(s3: Any) -> list[str]:
    """The keys of all that the bucket has."""
    listed = s3.list_objects_v2(Bucket=stack().media_bucket)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def offered(caller: Caller, data: bytes, content_type: str, **more: Any) -> Any:
    answer = caller.post("/media", as_declared(data, content_type, **more))
    assert answer.status_code == 201, answer.content
    return answer.json()


def sent(caller: Caller, s3: Any, data: bytes, content_type: str, **more: Any) -> Any:
    """The answer to completing an upload."""
    offer = offered(caller, data, content_type, **more)
    if offer["upload"]:
        put(s3, offer["upload"]["url"], data)
    return caller.post(f"/media/{offer['id']}/complete")


def put(s3: Any, url: str, data: bytes) -> None:
    key = urlsplit(url).path.lstrip("/").removeprefix(f"{stack().media_bucket}/")
    s3.put_object(Bucket=stack().media_bucket, Key=key, Body=data)


def uploaded(caller: Caller, s3: Any, data: bytes, content_type: str, **more: Any) -> Any:
    answer = sent(caller, s3, data, content_type, **more)
    assert answer.status_code == 200, answer.content
    return answer.json()


def bytes_at(s3: Any, url: str) -> bytes:
    parts = urlsplit(url)
    key = parts.path.lstrip("/").removeprefix(f"{stack().media_bucket}/")
    body: bytes = s3.get_object(Bucket=stack().media_bucket, Key=key)["Body"].read()
    return body


def test_a_picture_is_uploaded_looked_at_and_shown(maria: Caller, bucket: Any) -> None:
    data = png(3, 2)
    offer = offered(maria, data, "image/png", name="casa.png")
    assert (offer["state"], offer["url"]) == ("pending", None)
    headers = offer["upload"]["headers"]
    assert b64decode(headers["x-amz-checksum-sha256"]) == sha256(data).digest()
    signed = parse_qs(urlsplit(offer["upload"]["url"]).query)["X-Amz-SignedHeaders"][0]
    assert signed == "content-length;content-type;host;x-amz-checksum-sha256"
    put(bucket, offer["upload"]["url"], data)
    medium = maria.post(f"/media/{offer['id']}/complete").json()
    assert (medium["state"], medium["width"], medium["height"]) == ("ready", 3, 2)
    assert medium["names"] == ["casa.png"]
    assert bytes_at(bucket, medium["url"]) == data
    assert parse_qs(urlsplit(medium["url"]).query)["response-content-type"] == ["image/png"]
    assert [key.split("/")[0] for key in kept(bucket)] == ["media"]
    [listed] = maria.get("/media").json()["results"]
    assert listed["id"] == medium["id"]


def test_the_same_bytes_are_kept_once_under_every_name(maria: Caller, bucket: Any) -> None:
    first = uploaded(maria, bucket, png(), "image/png", name="casa.png")
    again = offered(maria, png(), "image/png", name="house.png")
    assert (again["id"], again["upload"], again["state"]) == (first["id"], None, "ready")
    assert again["names"] == ["casa.png", "house.png"]
    assert len(kept(bucket)) == 1


def test_the_same_bytes_of_two_learners_are_two_objects(
    maria: Caller, joao: Caller, bucket: Any
) -> None:
    uploaded(maria, bucket, png(), "image/png")
    assert offered(joao, png(), "image/png")["upload"] is not None
    uploaded(joao, bucket, png(), "image/png")
    assert sorted(key.split("/")[1] for key in kept(bucket)) == sorted([maria.id, joao.id])


def gif(frames: int = 1, width: int = 2, height: int = 2, *blocks: bytes) -> bytes:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x01\x00\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)
    return head + b"".join(blocks) + frame * frames + b"\x3b"


def riff(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) & 1)


def webp(frames: int = 0, size: int = 2, *chunks: bytes) -> bytes:
    three = (size - 1).to_bytes(3, "little")
    frame = riff(b"ANMF", bytes(6) + three + three + bytes(4))
    body = riff(b"VP8X", bytes(4) + three + three) + b"".join(chunks) + frame * frames
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def moving_png(frames: int, size: int) -> bytes:
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, size, size, 0, 0, 1, 10, 0, 0))
    return png(size, size, *[frame] * frames)


HOSTILE = {
    "wrong type": (png(), "image/jpeg", 400, "MEDIUM_DAMAGED"),
    "no picture": (b"MZ\x90\x00" * 99, "image/png", 400, "MEDIUM_UNSUPPORTED"),
    "SVG with a script": (
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "image/png",
        400,
        "MEDIUM_UNSUPPORTED",
    ),
    "HTML": (b"<!doctype html><script>alert(1)</script>", "image/gif", 400, "MEDIUM_UNSUPPORTED"),
    "300 megapixels": (png(20_000, 15_000), "image/png", 413, "MEDIUM_TOO_LARGE"),
    "300 megapixels in a JPEG": (
        jpeg(width=20_000, height=15_000),
        "image/jpeg",
        413,
        "MEDIUM_TOO_LARGE",
    ),
    "cut short": (png()[:-20], "image/png", 400, "MEDIUM_DAMAGED"),
    "a GIF of too many frames": (gif(20, 6_000, 6_000), "image/gif", 413, "MEDIUM_TOO_LARGE"),
    "a WebP of too many frames": (webp(20, 6_000), "image/webp", 413, "MEDIUM_TOO_LARGE"),
    "a PNG of too many frames": (moving_png(20, 6_000), "image/png", 413, "MEDIUM_TOO_LARGE"),
    "a JPEG without a picture": (jpeg()[:15] + b"\xff\xd9", "image/jpeg", 400, "MEDIUM_DAMAGED"),
    "a tag without a sound": (
        b"ID3\x04\x00\x00\x00\x00\x0f\x7f<html><script>alert(1)</script>",
        "audio/mpeg",
        400,
        "MEDIUM_DAMAGED",
    ),
    "a header alone": (b"\x89PNG\r\n\x1a\n", "image/png", 400, "MEDIUM_DAMAGED"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_of_it_is_kept(
    maria: Caller, bucket: Any, name: str
) -> None:
    data, content_type, status, code = HOSTILE[name]
    answer = sent(maria, bucket, data, content_type)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert kept(bucket) == []
    assert maria.get("/media").json()["results"] == []
    id = media.medium_id(sha256(data).hexdigest())
    assert maria.get(f"/media/{id}").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../../etc/passwd"),
        ("name", "a\\b.png"),
        ("name", ".."),
        ("contentType", "image/svg+xml"),
        ("contentType", "text/html"),
        ("sizeBytes", 10 * 2**20 + 1),
        ("sizeBytes", 0),
        ("sha256", "0" * 63),
    ],
)
def test_what_is_promised_wrongly_is_refused_by_its_field(
    maria: Caller, bucket: Any, field: str, value: Any
) -> None:
    answer = maria.post("/media", as_declared(png(), "image/png") | {field: value})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_other_bytes_than_promised_are_refused(maria: Caller, bucket: Any) -> None:
    """S3 refuses them by the signed digest; moto does not look."""
    offer = offered(maria, png(), "image/png")
    put(bucket, offer["upload"]["url"], png(colour=8))
    answer = maria.post(f"/media/{offer['id']}/complete")
    assert (answer.status_code, answer.json()["code"]) == (400, "MEDIUM_DAMAGED")
    assert kept(bucket) == []


def test_an_upload_that_never_came_is_409(maria: Caller, bucket: Any) -> None:
    offer = offered(maria, png(), "image/png")
    answer = maria.post(f"/media/{offer['id']}/complete")
    assert (answer.status_code, answer.json()["code"]) == (409, "MEDIUM_NOT_UPLOADED")


def test_a_picture_loses_what_it_tells_and_keeps_its_turn() -> None:
    plain = jpeg()
    told = jpeg(exif(6), b"\xff\xfe\x00\x07Porto", after=b"GPS of a phone")
    inspected = media_types.inspect(told)
    assert b"Canon" in told
    assert not any(word in inspected.data for word in (b"Canon", b"Porto", b"GPS"))
    assert (inspected.width, inspected.height) == (9, 7)
    again = media_types.inspect(inspected.data)
    assert again.data == inspected.data
    assert media_types._orientation(inspected.data[12:]) == 6
    assert media_types.inspect(plain).data == plain
    text = chunk(b"tEXt", b"Author\0Maria")
    assert media_types.inspect(png(2, 2, text)).data == png(2, 2)


def test_nothing_is_kept_that_no_player_shows() -> None:
    """A list of what tells something would be out of date with the next kind of provenance."""
    secret = b"made by Maria in Porto"
    told = {
        "PNG": (png(2, 2, chunk(b"caBX", secret), chunk(b"vpAg", secret)), png(2, 2)),
        "GIF": (gif(1, 2, 2, b"\x21\xff\x0bC2PA_GIF1.0\x16" + secret + b"\x00"), gif()),
        "WebP": (webp(1, 2, riff(b"C2PA", secret)), webp(1, 2)),
        "JPEG": (jpeg(b"\xff\xeb\x00\x18" + secret), jpeg()),
    }
    for name, (data, plain) in told.items():
        assert secret in data, name
        assert media_types.inspect(data).data == plain, name
    loop = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    for data in (gif(3, 2, 2, loop), webp(3, 2), moving_png(3, 2)):
        assert media_types.inspect(data).data == data, "and it goes on moving"


def test_a_jpeg_that_breaks_off_is_kept_as_far_as_browsers_show_it() -> None:
    assert media_types.inspect(jpeg()[:-4]).data == jpeg()[:-4]


def test_the_shelf_never_takes_more_than_its_room(
    maria: Caller, bucket: Any, settings: Any
) -> None:
    settings.MEDIA_FILES = 2
    for colour in (1, 2):
        uploaded(maria, bucket, png(colour=colour), "image/png")
    answer = maria.post("/media", as_declared(png(colour=3), "image/png"))
    assert (answer.status_code, answer.json()["code"]) == (409, "MEDIA_FULL")
    settings.MEDIA_FILES = 3
    offers = [offered(maria, png(colour=c), "image/png") for c in (3, 4, 5)]
    for colour, offer in zip((3, 4, 5), offers, strict=True):
        put(bucket, offer["upload"]["url"], png(colour=colour))
    answers = [maria.post(f"/media/{offer['id']}/complete") for offer in offers]
    assert [each.status_code for each in answers] == [200, 409, 409]
    assert len(kept(bucket)) == 3
    maria.delete(f"/media/{offers[0]['id']}")
    uploaded(maria, bucket, png(colour=6), "image/png")


def test_a_card_shows_media_by_id_in_fields_and_texts(maria: Caller, bucket: Any) -> None:
    picture = uploaded(maria, bucket, png(), "image/png")["id"]
    sound = uploaded(maria, bucket, mp3(), "audio/mpeg")["id"]
    deck = deck_of(maria)
    card = maria.makes(
        "/flashcards",
        {"deckId": deck, "front": f"[media:{sound}]", "back": "house", "imageId": picture},
    )
    assert (card["imageId"], card["audioId"]) == (picture, None)
    unknown = "11111111-2222-4333-8444-555555555555"
    for body, field in (
        ({"front": f"casa [media:{unknown}]", "back": "b"}, "front"),
        ({"front": "casa", "back": "b", "audioId": unknown}, "audioId"),
    ):
        answer = maria.post("/flashcards", {"deckId": deck, **body})
        assert (answer.status_code, answer.json()["code"]) == (409, "UNKNOWN_MEDIUM")
        assert answer.json()["errors"][0]["field"] == field
    cards = [
        {"deckId": deck, "front": "a", "back": "b", "imageId": id} for id in (picture, unknown)
    ]
    results = maria.post("/flashcards/bulk", {"cards": cards}).json()["results"]
    assert [each["status"] for each in results] == ["created", "rejected"]


def test_a_sound_is_no_picture_of_a_card_nor_a_picture_its_sound(
    maria: Caller, bucket: Any
) -> None:
    picture = uploaded(maria, bucket, png(), "image/png")["id"]
    sound = uploaded(maria, bucket, mp3(), "audio/mpeg")["id"]
    card = {"deckId": deck_of(maria), "front": "casa", "back": "house"}
    for field, medium in (("imageId", sound), ("audioId", picture)):
        answer = maria.post("/flashcards", card | {field: medium})
        [error] = answer.json()["errors"]
        assert (answer.status_code, answer.json()["code"]) == (409, "UNKNOWN_MEDIUM")
        assert (error["field"], error["code"]) == (field, "wrong_kind")
    made = maria.makes("/flashcards", card | {"imageId": picture, "audioId": sound})
    changed = maria.patch(f"/flashcards/{made['id']}", {"front": f"casa [media:{sound}]"})
    assert changed.status_code == 200


@pytest.mark.parametrize("field", ["audioId", "imageId"])
def test_what_a_card_shows_elsewhere_is_not_let_into_a_field_of_the_other_kind(
    maria: Caller, bucket: Any, field: str
) -> None:
    media = {
        "imageId": uploaded(maria, bucket, png(), "image/png")["id"],
        "audioId": uploaded(maria, bucket, mp3(), "audio/mpeg")["id"],
    }
    [other] = media.keys() - {field}
    wrong = {field: media[other]}
    card = {"deckId": deck_of(maria), "front": "casa", "back": "house"}
    in_text = card | {"front": f"casa [media:{media[other]}]"}
    stored = [maria.makes("/flashcards", body) for body in (in_text, card | {other: media[other]})]
    answers = [
        maria.post("/flashcards", in_text | wrong),
        maria.post("/flashcards", card | {other: media[other]} | wrong),
        *(maria.patch(f"/flashcards/{each['id']}", wrong) for each in stored),
        *(maria.patch(f"/notes/{each['noteId']}", wrong) for each in stored),
    ]
    for answer in answers:
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["field"], error["code"]) == (409, field, "wrong_kind")
    right = maria.patch(f"/flashcards/{stored[0]['id']}", {other: media[other]})
    assert (right.status_code, right.json()[other]) == (200, media[other])


def test_a_medium_that_was_deleted_is_on_its_cards_again_once_it_is_uploaded_again(
    maria: Caller, bucket: Any
) -> None:
    picture = uploaded(maria, bucket, png(), "image/png")["id"]
    deck = deck_of(maria)
    body = {"deckId": deck, "front": f"casa [media:{picture}]", "back": "house"}
    card = maria.makes("/flashcards", body | {"imageId": picture})
    assert maria.delete(f"/media/{picture}").status_code == 204
    path = f"/flashcards/{card['id']}"
    assert maria.get(path).json()["imageId"] == picture
    assert maria.get(f"/media/{picture}").json()["code"] == "NOT_FOUND"
    assert maria.patch(path, {"back": "a house"}).status_code == 200, "a card can still be changed"
    assert maria.post("/flashcards", body).json()["code"] == "UNKNOWN_MEDIUM"
    assert uploaded(maria, bucket, png(), "image/png")["id"] == picture
    assert maria.get(f"/media/{picture}").json()["url"]


def test_a_medium_of_another_learner_is_unknown(maria: Caller, joao: Caller, bucket: Any) -> None:
    hers = uploaded(maria, bucket, png(), "image/png")["id"]
    deck = deck_of(joao)
    body = {"deckId": deck, "front": "casa", "back": "b", "imageId": hers}
    assert joao.post("/flashcards", body).json()["code"] == "UNKNOWN_MEDIUM"


def test_a_medium_goes_with_the_last_card_that_shows_it(
    maria: Caller, bucket: Any, queues: MemoryQueues
) -> None:
    picture = uploaded(maria, bucket, png(), "image/png")["id"]
    other = uploaded(maria, bucket, png(colour=9), "image/png")["id"]
    deck = deck_of(maria)
    body = {"deckId": deck, "front": "casa", "back": "b"}
    first = maria.makes("/flashcards", {**body, "imageId": picture})["id"]
    second = maria.makes("/flashcards", {**body, "example": f"[media:{picture}]"})["id"]
    maria.delete(f"/flashcards/{first}")
    with time_machine.travel(now() + timedelta(minutes=16)):
        queues.run_on()
    assert maria.get(f"/media/{picture}").status_code == 200
    maria.patch(f"/flashcards/{second}", {"example": None})
    with time_machine.travel(now() + timedelta(minutes=16)):
        queues.run_on()
    assert maria.get(f"/media/{picture}").status_code == 404
    assert maria.get(f"/media/{other}").status_code == 200  # nobody has used it yet
    assert len(kept(bucket)) == 1


def test_a_deck_takes_its_media_along(maria: Caller, bucket: Any, queues: MemoryQueues) -> None:
    picture = uploaded(maria, bucket, png(), "image/png")["id"]
    deck = deck_of(maria)
    body = {"deckId": deck, "front": "casa", "back": "b", "imageId": picture}
    maria.makes("/flashcards", body)
    assert maria.delete(f"/decks/{deck}?cards=delete").status_code == 204
    with time_machine.travel(now() + timedelta(minutes=16)):
        queues.run_on()
    assert kept(bucket) == []


def test_a_card_that_is_made_during_a_sweep_keeps_its_medium(
    maria: Caller, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = uploaded(maria, bucket, png(), "image/png")["id"]
    deck = deck_of(maria)
    shown = media._shown

    def late(learner_id: str) -> set[str]:
        found = shown(learner_id)
        fields = {"deck_id": deck, "front": "casa", "back": "b", "image_id": picture}
        create_card(learner_id=learner_id, fields=fields, now=now())
        return found

    monkeypatch.setattr(media, "_shown", late)
    with time_machine.travel(now() + timedelta(days=2), tick=False):
        media.sweep(learner_id=maria.id, now=now())
    assert maria.get(f"/media/{picture}").status_code == 200
    assert len(kept(bucket)) == 1


def test_a_sweep_removes_what_a_crash_has_left(maria: Caller, bucket: Any) -> None:
    uploaded(maria, bucket, png(), "image/png")
    objects.put(f"media/{maria.id}/lost/1", b"x", content_type="image/png")
    media.sweep(learner_id=maria.id, now=now())
    assert len(kept(bucket)) == 2  # it may be of an upload at this moment
    media.sweep(learner_id=maria.id, now=now() + timedelta(hours=25))
    assert not any("lost" in key for key in kept(bucket))


def test_an_account_leaves_no_object_behind(maria: Caller, joao: Caller, bucket: Any) -> None:
    uploaded(maria, bucket, png(), "image/png")
    offer = offered(maria, mp3(), "audio/mpeg")
    put(bucket, offer["upload"]["url"], mp3())
    objects.put(f"speech/{maria.id}/x", b"x", content_type="audio/mpeg")
    uploaded(joao, bucket, png(), "image/png")
    for word in ("uploads", "exports"):
        bucket.put_object(Bucket=stack().transfer_bucket, Key=f"{word}/{maria.id}/a", Body=b"x")
    objects.delete_all_of(maria.id)
    assert [key.split("/")[1] for key in kept(bucket)] == [joao.id]
    assert "Contents" not in bucket.list_objects_v2(Bucket=stack().transfer_bucket)


def test_an_address_counts_as_one_download_in_the_learners_day(
    maria: Caller, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = uploaded(maria, bucket, png(), "image/png")["id"]
    counted = list[float]()
    monkeypatch.setattr(limits.day_meter, "add", lambda _, cost, **__: counted.append(cost))
    monkeypatch.setattr(limits, "BYTE", 1.0)
    for path in (f"/media/{picture}", "/media"):
        answer = maria.get(path)
        assert counted[-1] >= len(answer.content) + len(png())
        assert counted[-1] < len(answer.content) + len(png()) + 50


def test_a_card_without_media_reads_nothing_more(maria: Caller, bucket: Any) -> None:
    from tests.wire import Send, operation_of, sending

    deck, told = deck_of(maria), list[str]()

    def through(send: Send) -> Send:
        def watched(body: bytes, headers: Any) -> Any:
            told.append(operation_of(headers))
            return send(body, headers)

        return watched

    with sending(through):
        card_of(maria, deck)
    assert told.count("BatchGetItem") == 1
