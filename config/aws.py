"""AWS clients: made when first used, shared by all threads, with explicit limits on waiting.

The table, and what a start reads, are called by our own client (`config.own_client`); all else by
botocore, which is loaded when it is first needed. boto3's resources are not needed at all.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from config import https, own_client
from config.aws_json import AwsJson
from config.calls import deadline, record
from config.problems import ServiceTimeout, ServiceUnavailable, UpstreamFailed
from config.stack import stack

if TYPE_CHECKING:
    from botocore.session import Session

# One call: three tries of at most 1 + 5 s, and their pauses. All calls of a request: `_in_time`.
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


class Throttled(ServiceUnavailable):
    """AWS has refused the call because there were too many: it did nothing."""


_making = Lock()


def _in_time(**_: Any) -> None:
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
    return own_client.client(
        service,
        stack(),
        connect_timeout_s=CONNECT_TIMEOUT_S,
        read_timeout_s=READ_TIMEOUT_S,
        before_try=_in_time,
    )


@cache
def session() -> "Session":
    """The one botocore session; the embedded AWS of local runs takes any credentials."""
    import config.light_pynamodb  # noqa: F401 - another thread must not lend us its stand-ins

    # isort: split
    from botocore.session import get_session

    made = get_session()
    if stack().endpoint_url and made.get_credentials() is None:
        made.set_credentials("local", "local")
    made.register("before-send", _in_time)
    made.register("needs-retry", _widen)
    return made


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
    amazons = where.endpoint_url is None and own_client.REGIONS.fullmatch(where.region)
    return str(https.bundle()) if amazons else None


@contextmanager
def translated() -> Iterator[None]:
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
    """Calls e.g. `call("kms", "encrypt", KeyId=…)`; raises ClientError and `translated`'s."""
    record(operation)
    with translated():
        if ours := own(service):
            return ours.call(operation.title().replace("_", ""), arguments)
        answer: dict[str, Any] = getattr(client(service), operation)(**arguments)
    return answer


def error_code(error: ClientError) -> str:
    """AWS's code of an error, e.g. `UsernameExistsException`."""
    return str(error.response.get("Error", {}).get("Code", ""))
