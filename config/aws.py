"""AWS clients: made when first used, shared by all threads, with explicit limits on waiting.

A client of our own (`config.aws_json`) makes most calls; `PARLEY_AWS_CLIENT=botocore` returns to
botocore for all of them, and `own` forgoes the questions that `uses_own_client` asks. botocore is
used without boto3: its resources are not needed, and it loads faster. Secrets at
rest are encrypted by the stack's KMS key; our own function is invoked for work apart.
"""

import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from config import https
from config.aws_json import AwsJson, Keys
from config.problems import ServiceTimeout, ServiceUnavailable, UpstreamFailed
from config.stack import Stack, stack
from config.telemetry import deadline, record_call

log = logging.getLogger("parley.vault")

if TYPE_CHECKING:
    from botocore.session import Session

# One call: three tries of at most 1 + 5 s, and their pauses. All calls of a request:
# `_within_deadline`.
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 1, 5
RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
# SES knows no request token: what is sent again after a lost answer arrives twice.
RETRIES_OF: dict[str, Any] = {"sesv2": {"mode": "standard", "total_max_attempts": 1}}

# As many threads may call at once; botocore's ten would have the others shake hands for each call.
CONNECTIONS = 50

# What AWS answers when we ask too often, over all services we use.
THROTTLES = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


# What a start and a learner's requests call: service → target and version of its protocol.
OWN_SERVICES = {"dynamodb": ("DynamoDB_20120810", "1.0"), "ssm": ("AmazonSSM", "1.1")}

CLIENT_SETTING = "PARLEY_AWS_CLIENT"
# Variables by which botocore would call elsewhere, or on another way.
ASKS_FOR_BOTOCORE = re.compile(
    r"AWS_(ENDPOINT_URL(_\w+)?|USE_FIPS_ENDPOINT|USE_DUALSTACK_ENDPOINT)|(HTTPS|ALL)_PROXY",
    re.IGNORECASE,
)
# Regions whose hosts are below amazonaws.com and vouched for by Amazon's roots; not China's, nor
# those of governments and their services. botocore's own pattern (partitions.json).
REGIONS = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+")


class Throttled(ServiceUnavailable):
    """AWS has refused the call because there were too many: it did nothing."""


_making = Lock()


def _within_deadline(**_: Any) -> None:
    """Begins no try that might end after its request has to be answered. Raises ServiceTimeout.

    One call that waits in vain is over after 18 s; a second one, or its pauses, would not be.
    """
    until = deadline.get()
    if until is not None and time.monotonic() > until - CONNECT_TIMEOUT_S - READ_TIMEOUT_S:
        raise ServiceTimeout


def _widen(caught_exception: Exception | None = None, **_: Any) -> None:
    """Has botocore's next clients made with its whole bundle, where Amazon's roots do not do."""
    refused = isinstance(caught_exception, SSLError) and "VERIFY_FAILED" in str(caught_exception)
    if refused and https.may_widen():
        https.widen("called by botocore")


@cache
def own(service: str) -> AwsJson | None:
    """Our own client of a service; None where botocore calls it."""
    where = stack()
    if service not in OWN_SERVICES or not uses_own_client(where):
        return None
    target, version = OWN_SERVICES[service]
    return AwsJson(
        service,
        target,
        version,
        region=where.region,
        endpoint_url=where.endpoint_url,
        keys=_local_keys if where.endpoint_url else _keys,
        connect_timeout_s=CONNECT_TIMEOUT_S,
        read_timeout_s=READ_TIMEOUT_S,
        before_try=_within_deadline,
    )


def uses_own_client(where: Stack) -> bool:
    """Whether our own client may call. Raises ValueError for a setting that is neither."""
    setting = os.environ.get(CLIENT_SETTING)
    if setting:
        if setting not in ("botocore", "own"):
            raise ValueError(f"{CLIENT_SETTING} must be botocore or own")
        return setting == "own"
    if where.endpoint_url:  # an embedded AWS, or DynamoDB Local
        parts = urlsplit(where.endpoint_url)
        return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    return (
        _keys() is not None  # else a profile has them, or ECS, EKS or SnapStart, and they expire
        and bool(REGIONS.fullmatch(where.region))
        and not any(
            ASKS_FOR_BOTOCORE.fullmatch(name) for name, value in os.environ.items() if value
        )
        and not _configuration().exists()
    )


def _keys() -> Keys | None:
    """The keys that Lambda gives a function; read anew each time, as botocore does."""
    found = os.environ
    if "AWS_ACCESS_KEY_ID" not in found or "AWS_SECRET_ACCESS_KEY" not in found:
        return None
    token = found.get("AWS_SESSION_TOKEN", "")
    return Keys(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], token)


def _local_keys() -> Keys:
    return _keys() or Keys("local", "local")  # which no real account knows


def _configuration() -> Path:
    """botocore's file, which may say all that the variables do; there is none on Lambda."""
    return Path(os.path.expanduser(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"))


@cache
def session() -> "Session":
    """The one botocore session; the embedded AWS of local runs takes any credentials."""
    import config.light_pynamodb  # noqa: F401 - another thread must not lend us its stand-ins

    # isort: split
    from botocore.session import get_session

    session_ = get_session()
    if stack().endpoint_url and session_.get_credentials() is None:
        session_.set_credentials("local", "local")
    session_.register("before-send", _within_deadline)
    session_.register("needs-retry", _widen)
    return session_


@cache
def _client(service: str, trusted: str | None) -> Any:
    from botocore.config import Config

    where = stack()
    # S3's addresses that we sign name their region; the global ones lead there by a redirect only.
    style: Any = "path" if where.endpoint_url else "virtual"
    config = Config(
        signature_version="s3v4" if service == "s3" else None,  # by itself it still signs as v2
        retries=RETRIES_OF.get(service, RETRIES),
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": style},
    )
    return session().create_client(
        service, where.region, endpoint_url=where.endpoint_url, config=config, verify=trusted
    )


def client(service: str) -> Any:
    """The shared client of a service, e.g. `client("cognito-idp")`."""
    with _making:  # botocore's sessions do not make clients in parallel
        return _client(service, _trusted())


def _trusted() -> str | None:
    """The file of roots for botocore; None for what it takes itself, where AWS has others."""
    where = stack()
    amazons = where.endpoint_url is None and REGIONS.fullmatch(where.region)
    return str(https.bundle()) if amazons else None


@contextmanager
def translate_aws_errors() -> Iterator[None]:
    """Turns the network's failures and throttling inside into problems with a retry hint.

    Raises ServiceTimeout (504), Throttled or another ServiceUnavailable (503), UpstreamFailed
    (502, AWS's own 5xx).
    Other ClientErrors pass: their meaning is the caller's to know.
    """
    try:
        yield
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise ServiceTimeout from error
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in THROTTLES:
            raise Throttled("We are busy: try again in a moment") from error
        if _status(error) >= 500:
            raise UpstreamFailed from error
        raise
    except (HTTPClientError, BotoCoreError) as error:
        raise ServiceUnavailable from error


def _status(error: ClientError) -> int:
    """AWS's HTTP status, which PynamoDB's errors leave to the ones they come from."""
    original = error.__cause__ if isinstance(error.__cause__, ClientError) else error
    return original.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def call(service: str, operation: str, **arguments: Any) -> dict[str, Any]:
    """Calls e.g. `call("kms", "encrypt", KeyId=…)`; raises ClientError and
    `translate_aws_errors`'s.
    """
    record_call(operation)
    with translate_aws_errors():
        if ours := own(service):
            return ours.call(operation.title().replace("_", ""), arguments)
        answer: dict[str, Any] = getattr(client(service), operation)(**arguments)
    return answer


def error_code(error: ClientError) -> str:
    """AWS's code of an error, e.g. `UsernameExistsException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def kms_encrypt(text: str, *, owner: str) -> bytes:
    """The ciphertext of at most 4 KB of text, which opens for the same owner only."""
    ciphertext: bytes = _call_kms("encrypt", owner, Plaintext=text.encode())["CiphertextBlob"]
    return ciphertext


def kms_decrypt(ciphertext: bytes, *, owner: str) -> str:
    """The text again."""
    plaintext: bytes = _call_kms("decrypt", owner, CiphertextBlob=ciphertext)["Plaintext"]
    return plaintext.decode()


def _call_kms(operation: str, owner: str, **arguments: Any) -> dict[str, Any]:
    """A key that is disabled, being deleted or not for us is no fault of the request: 502."""
    context = {"owner": owner}
    try:
        return call("kms", operation, KeyId=stack().key_id, EncryptionContext=context, **arguments)
    except ClientError as error:
        code = error_code(error)
        log.error("refused", extra={"fields": {"operation": operation, "code": code}})
        raise UpstreamFailed from error


def invoke_async(task: str, **arguments: Any) -> bool:
    """Has the deployed function run a task, say `learning.tasks.optimize`, with these in its event.

    Does not wait for it. False where there is no function: in local runs and tests. Raises
    ClientError, ServiceUnavailable.
    """
    function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if function is None:
        return False
    call(
        "lambda",
        "invoke",
        FunctionName=function,
        InvocationType="Event",
        Payload=json.dumps({"command": task, **arguments}).encode(),
    )
    return True
