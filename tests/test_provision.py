"""The template applied to the embedded AWS: created, left alone, updated, refused."""

import pytest

from config import provisioning, table
from config.stack import Stack
from tests.servers import table_definition

pytestmark = pytest.mark.server


def test_items_of_the_local_table_expire_too(embedded_aws: Stack) -> None:
    assert embedded_aws.endpoint_url
    dynamodb = provisioning.local_client("dynamodb", embedded_aws.endpoint_url)
    found = dynamodb.describe_time_to_live(TableName=embedded_aws.table_name)
    assert found["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": provisioning.TTL_ATTRIBUTE,
    }


def test_the_tests_other_engine_has_the_templates_table(dynamodb_local: Stack) -> None:
    assert dynamodb_local.endpoint_url
    dynamodb = provisioning.local_client("dynamodb", dynamodb_local.endpoint_url)
    found = dynamodb.describe_table(TableName=dynamodb_local.table_name)["Table"]
    assert found["KeySchema"] == table_definition()["KeySchema"] == table.SCHEMA["KeySchema"]
    assert len(found["LocalSecondaryIndexes"]) == 5
