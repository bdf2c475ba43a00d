"""Whether what we depend on answers."""

from botocore.exceptions import ClientError

from config import aws
from config.problems import ServiceUnavailable
from config.stack import stack


def check() -> None:
    """Asks the table and the user pool. Raises ServiceUnavailable naming the one that fails."""
    where = stack()
    for name, service, operation, arguments in (
        ("table", "dynamodb", "describe_table", {"TableName": where.table_name}),
        ("user pool", "cognito-idp", "describe_user_pool", {"UserPoolId": where.user_pool_id}),
    ):
        try:
            aws.call(service, operation, **arguments)
        except (ClientError, ServiceUnavailable) as error:
            raise ServiceUnavailable(f"The {name} does not answer") from error
