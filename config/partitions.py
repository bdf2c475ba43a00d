"""A whole partition at once: all that the table knows of a learner, whatever kinds of item."""

import time
from collections.abc import Collection
from typing import Any

from config.connection import connection
from config.store.bulk import delete_keys
from config.table import Page, Raw

PAGES = 3  # queries, of a megabyte each, for one page of an export: below Lambda's 6 MB


def raw_page(pk: str, *, start: Raw | None = None) -> Page[Any]:
    """Up to three megabytes of raw items in the order of their keys."""
    found: list[Raw] = []
    for _ in range(PAGES):
        answer = connection().query(pk, exclusive_start_key=start, consistent_read=True)
        found += answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if start is None:
            break
    return Page(found, start)


def erase(pk: str, *, keep: Collection[str] = (), within_s: float) -> bool:
    """Deletes all items but those with the sort keys `keep`. False when time ran out before."""
    until = time.monotonic() + within_s
    start: Raw | None = None
    while time.monotonic() < until:
        answer = connection().query(
            pk, attributes_to_get=["pk", "sk"], exclusive_start_key=start, consistent_read=True
        )
        sort_keys = (item["sk"]["S"] for item in answer["Items"])
        keys = [(pk, sk) for sk in sort_keys if sk not in keep]
        if not delete_keys(keys, until=until):
            return False
        start = answer.get("LastEvaluatedKey")
        if start is None:
            return True
    return False


def plain(attribute: dict[str, Any]) -> Any:
    """A stored attribute as a value of JSON. Raises ValueError for a binary one."""
    [(kind, value)] = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "NULL":
            return None
        case "N":
            return _number(value)
        case "SS":
            return sorted(value)
        case "NS":
            return sorted(_number(each) for each in value)
        case "L":
            return [plain(each) for each in value]
        case "M":
            return {name: plain(each) for name, each in value.items()}
    raise ValueError(kind)


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
