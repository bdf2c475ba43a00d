"""Files on their way in and out: in our own answers, or by S3 where they are larger than those.

API Gateway and Lambda pass some 6 MB in each direction (AWS: "Lambda quotas"). Objects are in the
bucket for a day at most; their keys begin with their learner's id, so that nobody names another's.
"""

import shutil
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from botocore.exceptions import ClientError
from ulid import ULID

from config.aws import call, client, error_code
from config.problems import Conflict
from config.records import dataclass
from config.stack import stack
from learning.services.imports import LIMITS
from learning.transfer import FileTooLarge

# As JSON escapes text in Lambda's envelope, an answer may double.
ANSWER_BYTES = int(2.5 * 2**20)
URL_LIFE = timedelta(minutes=15)


class NoSuchUpload(Conflict):
    code, title = "UNKNOWN_UPLOAD", "You have not uploaded a file under this key"


@dataclass(frozen=True)
class Upload:
    """Where to PUT a file of exactly the size that was asked for, until when, and its key."""

    upload_key: str
    url: str
    expires_at: datetime


def presign_upload(*, learner_id: str, size_bytes: int, now: datetime) -> Upload:
    """A signed address that takes one file."""
    upload_key = str(ULID())
    url = client("s3").generate_presigned_url(
        "put_object",
        Params={
            "Bucket": stack().transfer_bucket,
            "Key": _upload(learner_id, upload_key),
            "ContentLength": size_bytes,
        },
        ExpiresIn=int(URL_LIFE.total_seconds()),
    )
    return Upload(upload_key, url, now + URL_LIFE)


def entity_tag(*, learner_id: str, upload_key: str) -> str:
    """What tells the upload from another one under its key. Raises NoSuchUpload."""
    answer = _ask_for(learner_id, upload_key)
    answer["Body"].close()
    return str(answer["ETag"])


def open_upload(*, learner_id: str, upload_key: str, etag: str | None = None) -> BinaryIO:
    """What the learner has uploaded, as a file that is gone when closed.

    Raises FileTooLarge, and NoSuchUpload, also for one with another `etag`.
    """
    answer = _ask_for(learner_id, upload_key, **{"IfMatch": etag} if etag else {})
    with answer["Body"] as body:
        if answer["ContentLength"] > LIMITS.file_bytes:
            raise FileTooLarge
        file = TemporaryFile()  # noqa: SIM115 - the caller's to close
        shutil.copyfileobj(body, file)
    file.seek(0)
    return file


def _ask_for(learner_id: str, upload_key: str, **condition: str) -> dict[str, Any]:
    key = _upload(learner_id, upload_key)
    try:
        return call("s3", "get_object", Bucket=stack().transfer_bucket, Key=key, **condition)
    except ClientError as error:
        # Without the right to list a bucket, what is not there is "denied".
        if error_code(error) in ("NoSuchKey", "AccessDenied", "PreconditionFailed"):
            raise NoSuchUpload from error
        raise


def presign_download(*, learner_id: str, file: BinaryIO, filename: str, media_type: str) -> str:
    """Keeps a file for a day; answers a signed address that gives it out under its name."""
    name = str(ULID())
    keep(learner_id=learner_id, name=name, file=file)
    return sign(learner_id=learner_id, name=name, filename=filename, media_type=media_type)


def keep(*, learner_id: str, name: str, file: BinaryIO) -> None:
    """Keeps a file of an export for a day."""
    file.seek(0)
    where = {"Bucket": stack().transfer_bucket, "Key": _export(learner_id, name)}
    call("s3", "put_object", **where, Body=file)


def kept(*, learner_id: str, name: str) -> bytes:
    """What was kept of an export."""
    where = {"Bucket": stack().transfer_bucket, "Key": _export(learner_id, name)}
    with call("s3", "get_object", **where)["Body"] as body:
        return bytes(body.read())


def sign(*, learner_id: str, name: str, filename: str, media_type: str) -> str:
    """A signed address that gives a kept file out under its name."""
    url: str = client("s3").generate_presigned_url(
        "get_object",
        Params={
            "Bucket": stack().transfer_bucket,
            "Key": _export(learner_id, name),
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
            "ResponseContentType": media_type,
        },
        ExpiresIn=int(URL_LIFE.total_seconds()),
    )
    return url


def _export(learner_id: str, name: str) -> str:
    return f"exports/{learner_id}/{name}"


def _upload(learner_id: str, upload_key: str) -> str:
    return f"uploads/{learner_id}/{upload_key}"
