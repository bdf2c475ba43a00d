"""The template applied to the embedded AWS: created, left alone, updated, refused."""

import pytest

from config import provisioning
from config.stack import Stack

pytestmark = pytest.mark.server


def test_items_of_the_local_table_expire_too(embedded_aws: Stack) -> None:
    assert embedded_aws.endpoint_url
    dynamodb = provisioning.local_client("dynamodb", embedded_aws.endpoint_url)
    found = dynamodb.describe_time_to_live(TableName=embedded_aws.table_name)
    assert found["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": provisioning.TTL_ATTRIBUTE,
    }
