"""Work of our own that goes on in an invocation of the function that is all its own."""

import json
import os
from typing import Any

from config import aws


def begin(task: str, **arguments: Any) -> bool:
    """Has the deployed function run a task, say `learning.tasks.optimize`, with these in its event.

    Does not wait for it. False where there is no function: in local runs and tests. Raises
    ClientError, ServiceUnavailable.
    """
    function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if function is None:
        return False
    aws.call(
        "lambda",
        "invoke",
        FunctionName=function,
        InvocationType="Event",
        Payload=json.dumps({"command": task, **arguments}).encode(),
    )
    return True
