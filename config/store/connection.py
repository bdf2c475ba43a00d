"""The way to the table: one connection for all kinds of item, and what it does when AWS is busy."""

from functools import cache
from typing import Any

import config.light_pynamodb  # noqa: F401 - before PynamoDB loads botocore's client

# isort: split
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import VerboseClientError

from config.aws import (
    CONNECT_TIMEOUT_S,
    CONNECTIONS,
    READ_TIMEOUT_S,
    RETRIES,
    error_code,
    own,
    session,
    translate_aws_errors,
)
from config.light_pynamodb import with_botocore
from config.stack import stack
from config.store.retrying import retrying
from config.telemetry import record_call

LOCAL_INDEXES = ("lsi1", "lsi2", "lsi3", "lsi4", "lsi5")


def _keys(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]


# What PynamoDB needs to know of the table, so that it need not ask DescribeTable.
SCHEMA = {
    "KeySchema": _keys("pk", "sk"),
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"}
        for name in ("pk", "sk", *LOCAL_INDEXES, "gsi1pk", "gsi1sk")
    ],
    "LocalSecondaryIndexes": [
        {"IndexName": name, "KeySchema": _keys("pk", name)} for name in LOCAL_INDEXES
    ],
    "GlobalSecondaryIndexes": [{"IndexName": "gsi1", "KeySchema": _keys("gsi1pk", "gsi1sk")}],
}

WRITES = frozenset(["BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"])

# What a single write is answered while a transaction holds its item: nothing is written.
CONFLICT = "TransactionConflictException"


class _ConflictError(Exception):
    """A transaction holds the item that a single write is about."""


class _Connection(Connection):
    """PynamoDB's connection on our client, with our errors and our count of calls."""

    @property
    def session(self) -> Any:
        return session()

    @property
    def client(self) -> Any:
        """Our own client, or where that does not do botocore's, made by PynamoDB."""
        if ours := own("dynamodb"):
            return ours
        with_botocore()
        return super().client

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> Any:
        def call() -> Any:
            try:
                return self._call(operation_name, operation_kwargs)
            except VerboseClientError as error:
                if error_code(error) == CONFLICT:
                    raise _ConflictError from error
                raise

        return retrying(call, after=_ConflictError)

    def _call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> Any:
        record_call(operation_name)
        with translate_aws_errors():
            answer = super()._make_api_call(operation_name, operation_kwargs)
        spent = answer.get("ConsumedCapacity") or []
        for part in [spent] if isinstance(spent, dict) else spent:
            is_write = operation_name in WRITES
            record_call("", part.get("CapacityUnits", 0.0), is_write=is_write)
        return answer


@cache
def connection() -> TableConnection:
    """The one connection to the table, shared by every kind of item."""
    where = stack()
    connection_ = TableConnection(where.table_name)
    connection_.connection = _Connection(
        region=where.region,
        host=where.endpoint_url,
        connect_timeout_seconds=CONNECT_TIMEOUT_S,
        read_timeout_seconds=READ_TIMEOUT_S,
        retry_configuration=RETRIES,
        max_pool_connections=CONNECTIONS,
    )
    connection_.connection.add_meta_table(MetaTable({"TableName": where.table_name, **SCHEMA}))
    return connection_
