"""The gate: API Gateway asks here whether a token is one of ours, before Django runs.

Django verifies the token again by itself, and whether the account still lets its learner in. This
is a Lambda authorizer (AWS: "Use API Gateway Lambda authorizers"); it reads no table.
"""

from collections.abc import Mapping
from typing import Any

from accounts.tokens import InvalidToken, bearer
from accounts.verification import verify_access_token


def authorize(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """What the token in `authorizationToken` opens: all paths of the API's stage, or none.

    API Gateway keeps the answer for the token and asks it about the paths that come next, so it
    names more than `methodArn`, and nothing of other stages and APIs. A bad token is denied rather
    than raised about: denials are kept too, and are no error of the function's. Raises
    ServiceUnavailable when the pool's keys cannot be read.
    """
    try:
        who, effect = verify_access_token(bearer(event["authorizationToken"])).sub, "Allow"
    except InvalidToken:
        who, effect = "nobody", "Deny"
    api, stage, *_ = event["methodArn"].split("/")
    statement = {
        "Effect": effect,
        "Action": "execute-api:Invoke",
        "Resource": f"{api}/{stage}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": who, "policyDocument": policy}
