"""Objects in the stack's two buckets: files in transit, and what learners keep.

Keys begin with the object's kind and its owner (`media/<learner>/…`), so that all objects of a
learner are found, and nobody can name another's.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from config.aws import call, client, error_code
from config.records import dataclass
from config.stack import stack
from config.telemetry import record_download

URL_LIFE = timedelta(minutes=15)
# The learners' own objects, by bucket: the words that their keys begin with.
TRANSFERS, MEDIA = "transfer_bucket", "media_bucket"
OF_LEARNERS = {TRANSFERS: ("uploads", "exports"), MEDIA: ("incoming", "media", "speech")}


class NoSuchObject(Exception):
    """There is no object under a key."""


@dataclass(frozen=True)
class SignedPut:
    """Where to PUT bytes of a known length and digest, until when, and the headers to send."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


def sign_put(
    key: str, *, size_bytes: int, content_type: str, sha256: str, now: datetime
) -> SignedPut:
    """An address that takes exactly these bytes into the bucket of media; `sha256` is base64."""
    arguments = {
        "Bucket": stack().media_bucket,
        "Key": key,
        "ContentLength": size_bytes,
        "ContentType": content_type,
        "ChecksumSHA256": sha256,
    }
    url = client("s3").generate_presigned_url(
        "put_object", Params=arguments, ExpiresIn=int(URL_LIFE.total_seconds())
    )
    headers = {"Content-Type": content_type, "x-amz-checksum-sha256": sha256}
    return SignedPut(url, headers, now + URL_LIFE)


def sign_get(key: str, *, content_type: str, size_bytes: int) -> str:
    """An address that serves an object of the bucket of media as this type, for 15 minutes.

    Its bytes count in the learner's day as if they were fetched once.
    """
    record_download(size_bytes)
    url: str = client("s3").generate_presigned_url(
        "get_object",
        Params={
            "Bucket": stack().media_bucket,
            "Key": key,
            "ResponseContentType": content_type,
            "ResponseCacheControl": "private, max-age=86400, immutable",
        },
        ExpiresIn=int(URL_LIFE.total_seconds()),
    )
    return url


def put(key: str, data: bytes, *, content_type: str) -> None:
    """Keeps bytes in the bucket of media."""
    where = {"Bucket": stack().media_bucket, "Key": key}
    call("s3", "put_object", **where, Body=data, ContentType=content_type)


def get(key: str, *, most_bytes: int) -> bytes:
    """The first bytes of an object of the bucket of media, one more than `most_bytes` at most.

    Raises NoSuchObject.
    """
    try:
        answer = call("s3", "get_object", Bucket=stack().media_bucket, Key=key)
    except ClientError as error:
        if error_code(error) in ("NoSuchKey", "AccessDenied"):
            raise NoSuchObject from error
        raise
    with answer["Body"] as body:
        return bytes(body.read(most_bytes + 1))


def size_of(key: str) -> int | None:
    """The bytes of an object of the bucket of media; None if there is none."""
    try:
        answer = call("s3", "head_object", Bucket=stack().media_bucket, Key=key)
    except ClientError as error:
        if error_code(error) in ("404", "403"):
            return None
        raise
    return int(answer["ContentLength"])


def delete(keys: list[str], *, bucket: str = MEDIA) -> None:
    """Removes objects, a thousand in a call; those that are not there are no failure."""
    name = getattr(stack(), bucket)
    for start in range(0, len(keys), 1000):
        objects = [{"Key": key} for key in keys[start : start + 1000]]
        answer = call("s3", "delete_objects", Bucket=name, Delete={"Objects": objects})
        if failed := answer.get("Errors"):
            raise ClientError({"Error": failed[0]}, "DeleteObjects")


def listed(bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Lists the objects whose keys have a prefix, as S3 describes them; 1,000 a call."""
    more = {"Bucket": getattr(stack(), bucket), "Prefix": prefix}
    while True:
        page = call("s3", "list_objects_v2", **more)
        yield from page.get("Contents", ())
        if not page.get("IsTruncated"):
            return
        more["ContinuationToken"] = page["NextContinuationToken"]


def delete_all_of(learner_id: str) -> None:
    """Removes every object of a learner from both buckets."""
    for bucket, words in OF_LEARNERS.items():
        for word in words:
            delete(
                [entry["Key"] for entry in listed(bucket, f"{word}/{learner_id}/")], bucket=bucket
            )
