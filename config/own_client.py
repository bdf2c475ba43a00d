"""Which services our own client calls (`config.aws_json`), and where botocore has to.

`PARLEY_AWS_CLIENT=botocore` returns to botocore for all of them; `own` forgoes the questions below.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from config.aws_json import AwsJson, Keys
from config.stack import Stack

# What a start and a learner's requests call: service → target and version of its protocol.
SERVICES = {"dynamodb": ("DynamoDB_20120810", "1.0"), "ssm": ("AmazonSSM", "1.1")}

SETTING = "PARLEY_AWS_CLIENT"
# Variables by which botocore would call elsewhere, or on another way.
ASKS_FOR_BOTOCORE = re.compile(
    r"AWS_(ENDPOINT_URL(_\w+)?|USE_FIPS_ENDPOINT|USE_DUALSTACK_ENDPOINT)|(HTTPS|ALL)_PROXY",
    re.IGNORECASE,
)
# Regions whose hosts are below amazonaws.com and vouched for by Amazon's roots; not China's, nor
# those of governments and their services. botocore's own pattern (partitions.json).
REGIONS = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+")


def client(
    service: str,
    where: Stack,
    *,
    connect_timeout_s: float,
    read_timeout_s: float,
    before_try: Callable[[], None],
) -> AwsJson | None:
    """Our own client of a service; None where botocore has to call it."""
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
    """Whether our own client knows the way. Raises ValueError for a setting that is neither."""
    setting = os.environ.get(SETTING)
    if setting:
        if setting not in ("botocore", "own"):
            raise ValueError(f"{SETTING} must be botocore or own")
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
