"""AWS clients: made when first used, shared by all threads, with explicit limits on waiting.

A client of our own (`config.aws_json`) makes most calls. `PARLEY_AWS_CLIENT=botocore` chooses
botocore for all of them; `own` skips the checks of `uses_own_client`. botocore is used without
boto3: it loads faster, and boto3's resources are not needed. The stack's KMS key encrypts secrets
at rest.
"""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
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
    EndpointConnectionError,
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

# One call takes at most three tries of 1 + 5 s, and the pauses between them. `_within_deadline`
# limits all calls of a request together.
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 1, 5
RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
# SES has no request token: a mail that is sent again after a lost answer arrives twice. A model's
# answer, a voice and a translation are paid for once more with each try.
ONE_TRY: Any = {"mode": "standard", "total_max_attempts": 1}
RETRIES_OF: dict[str, Any] = dict.fromkeys(
    ("bedrock-runtime", "polly", "sesv2", "transcribe", "translate"), ONE_TRY
)
READ_TIMEOUT_OF = {"bedrock-runtime": 8}  # a model writes its whole answer first
# Addresses of services that the embedded AWS does not play, or not as AWS does.
ENDPOINT_OF = {
    "bedrock-runtime": "PARLEY_BEDROCK_URL",
    **dict.fromkeys(("polly", "transcribe", "translate"), "PARLEY_VOICE_URL"),
}
SIGNATURE_OF = {
    "bedrock-runtime": "v4",  # a developer's bearer token would not go to http addresses
    "s3": "s3v4",  # botocore's own choice is v2
}

# So many threads may call at once. With botocore's ten, each further call would open a connection.
CONNECTIONS = 50

# The codes by which the services that we use refuse too many calls.
THROTTLES = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


# Calls that cannot be made twice: the refusal of a second try says nothing about the first.
ONCE = tuple(f"cognito-identity-provider.Confirm{what}" for what in ("ForgotPassword", "SignUp"))


# The services that a start and a learner's requests call: service → target and protocol version.
OWN_SERVICES = {"dynamodb": ("DynamoDB_20120810", "1.0"), "sqs": ("AmazonSQS", "1.0")}

CLIENT_SETTING = "PARLEY_AWS_CLIENT"
# Variables that would lead botocore to another address or another way of calling.
ASKS_FOR_BOTOCORE = re.compile(
    r"AWS_(ENDPOINT_URL(_\w+)?|USE_FIPS_ENDPOINT|USE_DUALSTACK_ENDPOINT)|(HTTPS|ALL)_PROXY",
    re.IGNORECASE,
)
# Regions with hosts below amazonaws.com that Amazon's roots vouch for. China's and governments'
# regions are not among them. The pattern is botocore's own (partitions.json).
REGIONS = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+")


class Throttled(ServiceUnavailable):
    """AWS refused the call because there were too many, and did nothing."""


_making = Lock()


def longest_try_s() -> float:
    return CONNECT_TIMEOUT_S + READ_TIMEOUT_S


def _within_deadline(**_: Any) -> None:
    """Raises ServiceTimeout before a try that might end too late to answer the request.

    One call that gets no answer gives up after 18 s. A second one would not give up in time.
    """
    until = deadline.get()
    if until is not None and time.monotonic() > until - longest_try_s():
        raise ServiceTimeout


def _widen(caught_exception: Exception | None = None, **_: Any) -> None:
    """Lets later botocore clients trust the whole bundle if Amazon's roots were not enough."""
    refused = isinstance(caught_exception, SSLError) and "VERIFY_FAILED" in str(caught_exception)
    if refused and https.may_widen():
        https.widen("called by botocore")


def _try_once(
    response: tuple[Any, Mapping[str, Any]] | None = None,
    caught_exception: Exception | None = None,
    **_: Any,
) -> None:
    """Lets botocore repeat only a try that AWS has not heard, or has refused as one too many.

    Raises ServiceTimeout, ServiceUnavailable: the try may be done, and its answer was lost.
    """
    unheard = (ConnectTimeoutError, EndpointConnectionError, SSLError)
    if caught_exception is not None and not isinstance(caught_exception, unheard):
        late = isinstance(caught_exception, ReadTimeoutError)
        raise (ServiceTimeout if late else ServiceUnavailable) from caught_exception
    if response is None or response[0].status_code < 500:
        return
    if response[1].get("Error", {}).get("Code") not in THROTTLES:
        raise ServiceUnavailable("An answer was lost: see whether it is done")


@cache
def own(service: str) -> AwsJson | None:
    """Our own client of a service, or None if botocore calls it."""
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
    """Whether our own client may call. Raises ValueError for an unknown setting."""
    setting = os.environ.get(CLIENT_SETTING)
    if setting:
        if setting not in ("botocore", "own"):
            raise ValueError(f"{CLIENT_SETTING} must be botocore or own")
        return setting == "own"
    if where.endpoint_url:  # an embedded AWS, or DynamoDB Local
        parts = urlsplit(where.endpoint_url)
        return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    return (
        _keys() is not None  # others come from a profile, ECS, EKS or SnapStart, and expire
        and bool(REGIONS.fullmatch(where.region))
        and not any(
            ASKS_FOR_BOTOCORE.fullmatch(name) for name, value in os.environ.items() if value
        )
        and not _configuration().exists()
    )


def _keys() -> Keys | None:
    """The keys that Lambda gives a function. They are read anew each time, as botocore does."""
    key_id, secret = map(os.environ.get, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if key_id is None or secret is None:
        return None
    return Keys(key_id, secret, os.environ.get("AWS_SESSION_TOKEN", ""))


def _local_keys() -> Keys:
    return _keys() or Keys("local", "local")  # no real account knows them


def _configuration() -> Path:
    """botocore's file, which may set all that the variables do. Lambda has none."""
    return Path(os.path.expanduser(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"))


@cache
def session() -> "Session":
    """The one botocore session. The embedded AWS of local runs accepts any credentials."""
    import config.store  # noqa: F401 - no stand-in of another thread may reach us

    # isort: split
    from botocore.session import get_session

    session_ = get_session()
    if stack().endpoint_url and session_.get_credentials() is None:
        session_.set_credentials("local", "local")
    session_.register("before-send", _within_deadline)
    session_.register("needs-retry", _widen)
    for operation in ONCE:
        session_.register(f"needs-retry.{operation}", _try_once)
    return session_


@cache
def _client(service: str, trusted: str | None) -> Any:
    from botocore.config import Config

    where = stack()
    # The S3 addresses that we sign name their region. The global ones would only redirect to it.
    style: Any = "path" if where.endpoint_url else "virtual"
    config = Config(
        signature_version=SIGNATURE_OF.get(service),
        retries=RETRIES_OF.get(service, RETRIES),
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_OF.get(service, READ_TIMEOUT_S),
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": style},
    )
    region, endpoint_url = where.region, where.endpoint_url
    if service in ENDPOINT_OF:
        endpoint_url = os.environ.get(ENDPOINT_OF[service]) or None
        named = re.match(rf"https://{service}[.]([a-z0-9-]+)[.]", endpoint_url or "")
        region = named[1] if named else region
    return session().create_client(
        service, region, endpoint_url=endpoint_url, config=config, verify=trusted
    )


def client(service: str) -> Any:
    """The shared client of a service, e.g. `client("cognito-idp")`."""
    with _making:  # botocore's sessions do not make clients in parallel
        return _client(service, _trusted())


def _trusted() -> str | None:
    """The file of root certificates for botocore; None for its own, in regions with other roots."""
    where = stack()
    amazons = where.endpoint_url is None and REGIONS.fullmatch(where.region)
    return str(https.bundle()) if amazons else None


@contextmanager
def translate_aws_errors() -> Iterator[None]:
    """Turns failures of the network and throttling in the block into problems with a retry hint.

    Raises ServiceTimeout (504), Throttled or another ServiceUnavailable (503), UpstreamFailed
    (502, AWS's own 5xx).
    Other ClientErrors pass: only the caller knows what they mean.
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
    """AWS's HTTP status. PynamoDB's errors do not carry it, but their cause does."""
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
    """Encrypts at most 4 KB of text. Only the same owner can decrypt it."""
    ciphertext: bytes = _call_kms("encrypt", owner, Plaintext=text.encode())["CiphertextBlob"]
    return ciphertext


def kms_decrypt(ciphertext: bytes, *, owner: str) -> str:
    """Decrypts the text that `kms_encrypt` encrypted for the owner."""
    plaintext: bytes = _call_kms("decrypt", owner, CiphertextBlob=ciphertext)["Plaintext"]
    return plaintext.decode()


def _call_kms(operation: str, owner: str, **arguments: Any) -> dict[str, Any]:
    """Raises UpstreamFailed for a key that is disabled, being deleted or denied to us."""
    context = {"owner": owner}
    try:
        return call("kms", operation, KeyId=stack().key_id, EncryptionContext=context, **arguments)
    except ClientError as error:
        code = error_code(error)
        log.error("refused", extra={"fields": {"operation": operation, "code": code}})
        raise UpstreamFailed from error
