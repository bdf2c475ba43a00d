"""Requests as API Gateway hands them to Lambda: changes to one recorded event of a REST API."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

RECORDED = json.loads((Path(__file__).parent / "events" / "rest_proxy.json").read_text())
GATEWAY_HOST = RECORDED["requestContext"]["domainName"]
OWN_HOST = "api.parley.example"


def event(
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: dict[str, str] | None = None,
    host: str = GATEWAY_HOST,
) -> dict[str, Any]:
    """The event of a request to `path` (with its query) on `host`."""
    url = urlsplit(path)
    query = parse_qs(url.query, keep_blank_values=True)
    sent = {**RECORDED["headers"], "Host": host, **(headers or {})}
    if body is not None:
        sent["Content-Type"] = "application/json"
    stage = "" if host == OWN_HOST else "/dev"
    context = {
        **RECORDED["requestContext"],
        "domainName": host,
        "httpMethod": method,
        "path": stage + url.path,
    }
    return {
        **RECORDED,
        "httpMethod": method,
        "path": url.path,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": unquote(url.path).lstrip("/")},
        "requestContext": context,
        # Binary media types are `*/*`, so that bodies always come in base64.
        "body": base64.b64encode(json.dumps(body).encode()).decode() if body is not None else None,
        "isBase64Encoded": body is not None,
    }


def path_of(url: str, *, host: str = GATEWAY_HOST) -> str:
    """Splits a link as API Gateway does: the path without the stage, and the query."""
    found = urlsplit(url)
    assert found.scheme == "https"
    assert found.netloc == host
    stage = "" if host == OWN_HOST else "/dev"
    assert found.path.startswith(f"{stage}/")
    return quote(found.path.removeprefix(stage)) + (f"?{found.query}" if found.query else "")
