"""Media in the S3 of the embedded AWS: what a signed address takes, and what a departure leaves."""

from hashlib import sha256
from uuid import uuid4

import pytest
import requests
from django.utils.timezone import now

from config import objects
from learning.services import media
from tests.accounts_helpers import api, sign_up
from tests.test_media import as_declared, png
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("embedded_aws")]


def test_s3_itself_takes_exactly_the_bytes_that_were_promised() -> None:
    learner_id, data = str(uuid4()), png()
    fields = {"sha256": sha256(data).hexdigest(), "size_bytes": len(data)}
    offer = media.begin_upload(
        learner_id=learner_id, fields=fields | {"content_type": "image/png"}, now=now()
    )
    assert offer.upload is not None
    id, url, headers = offer.medium.id, offer.upload.url, offer.upload.headers
    other = png(colour=8)
    for body, sent_headers in (
        (other, headers),
        (data + b"x", headers),
        (data, headers | {"Content-Type": "text/html"}),
        (data, {}),
    ):
        answer = requests.put(url, data=body, headers=sent_headers, timeout=PATIENCE_S)
        assert answer.status_code in (400, 403), (len(body), sent_headers)
        with pytest.raises(media.NotUploaded):
            media.complete_upload(learner_id=learner_id, id=id, now=now())
    assert requests.put(url, data=data, headers=headers, timeout=PATIENCE_S).status_code == 200
    medium = media.complete_upload(learner_id=learner_id, id=id, now=now())
    found = requests.get(str(media.url_of(medium)), timeout=PATIENCE_S)
    assert (found.content, found.headers["Content-Type"]) == (data, "image/png")
    bare = str(media.url_of(medium)).partition("?")[0]
    assert requests.get(bare, timeout=PATIENCE_S).status_code == 403
    objects.delete_all_of(learner_id)
    assert list(objects.listed(objects.MEDIA, f"media/{learner_id}/")) == []


def test_who_leaves_takes_every_object_along() -> None:
    tomas = sign_up("tomas")
    offer = api.post("/media", as_declared(png(), "image/png"), token=tomas.token).json()
    upload = offer["upload"]
    requests.put(upload["url"], data=png(), headers=upload["headers"], timeout=PATIENCE_S)
    done = api.post(f"/media/{offer['id']}/complete", token=tomas.token)
    assert done.status_code == 200, done.content
    objects.put(f"speech/{tomas.id}/a", b"x", content_type="audio/mpeg")
    assert objects_of(tomas.id) == 2
    gone = api.delete("/profile", {"password": tomas.password}, token=tomas.token)
    assert gone.status_code in (202, 204), gone.content
    assert objects_of(tomas.id) == 0
    assert requests.get(done.json()["url"], timeout=PATIENCE_S).status_code == 404


def objects_of(learner_id: str) -> int:
    """How many objects a learner has in both buckets."""
    return sum(
        1
        for bucket_, words in objects.OF_LEARNERS.items()
        for word in words
        for _ in objects.listed(bucket_, f"{word}/{learner_id}/")
    )
