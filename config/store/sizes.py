"""How large an item is, as AWS bills it (Developer Guide, "DynamoDB item sizes and formats")."""

from collections.abc import Mapping
from typing import Any


def item_size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes of an item in DynamoDB's own notation: names and values in UTF-8."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(value: Mapping[str, Any]) -> int:
    """Bytes of one value."""
    [(kind, held)] = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "N":
            return _number_size(held)
        case "B":
            return len(held)
        case "L":
            return 3 + sum(1 + value_size(each) for each in held)
        case "M":
            return 3 + len(held) + item_size(held)
        case "SS" | "NS" | "BS":
            return sum(value_size({kind[0]: each}) for each in held)
    return 1


def _number_size(text: str) -> int:
    """A byte for every two significant digits and one more; a minus is another."""
    mantissa = text.lower().partition("e")[0]
    digits = mantissa.lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + mantissa.startswith("-")
