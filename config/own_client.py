"""Chooses between our own client (`config.aws_json`) and botocore for each service.

`PARLEY_AWS_CLIENT=botocore` chooses botocore for all services. `own` skips the checks below.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from config.aws_json import AwsJson, Keys
from config.stack import Stack

# The services that a start and a learner's requests call: service → target and protocol version.
SERVICES = {"dynamodb": ("DynamoDB_20120810", "1.0"), "ssm": ("AmazonSSM", "1.1")}

SETTING = "PARLEY_AWS_CLIENT"
# Variables that would lead botocore to another address or another way of calling.
ASKS_FOR_BOTOCORE = re.compile(
    r"AWS_(ENDPOINT_URL(_\w+)?|USE_FIPS_ENDPOINT|USE_DUALSTACK_ENDPOINT)|(HTTPS|ALL)_PROXY",
    re.IGNORECASE,
)
# Regions with hosts below amazonaws.com that Amazon's roots vouch for. China's and governments'
# regions are not among them. The pattern is botocore's own (partitions.json).
REGIONS = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+")


def client(
    service: str,
    where: Stack,
    *,
    connect_timeout_s: float,
    read_timeout_s: float,
    before_try: Callable[[], None],
) -> AwsJson | None:
    """Our own client of a service, or None if botocore has to call it."""
    if service not in SERVICES or not serves(where):
        return None
    target, version = SERVICES[service]
    return AwsJson(
        service,
        target,
        version,
        region=where.region,
        endpoint_url=where.endpoint_url,
        keys=_local_keys if where.endpoint_url else _keys,
        connect_timeout_s=connect_timeout_s,
        read_timeout_s=read_timeout_s,
        before_try=before_try,
    )


def serves(where: Stack) -> bool:
    """Whether our own client can call the service. Raises ValueError for an unknown setting."""
    setting = os.environ.get(SETTING)
    if setting:
        if setting not in ("botocore", "own"):
            raise ValueError(f"{SETTING} must be botocore or own")
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
    found = os.environ
    if "AWS_ACCESS_KEY_ID" not in found or "AWS_SECRET_ACCESS_KEY" not in found:
        return None
    token = found.get("AWS_SESSION_TOKEN", "")
    return Keys(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], token)


def _local_keys() -> Keys:
    return _keys() or Keys("local", "local")  # no real account knows them


def _configuration() -> Path:
    """botocore's file, which may set all that the variables do. Lambda has none."""
    return Path(os.path.expanduser(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"))
