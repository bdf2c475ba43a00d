"""The little of protobuf's wire format that Anki's files need to be read.

https://protobuf.dev/programming-guides/encoding/
"""

_MAX_VARINT_BYTES = 10


def fields(message: bytes) -> dict[int, list[int | bytes]]:
    """The values of a message by field number: numbers for varints, bytes for all others.

    Raises ValueError for what is no message.
    """
    values: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value: int | bytes
        if key & 7 == 0:
            value, at = _varint(message, at)
        else:
            size, at = _size(message, at, key & 7)
            if at + size > len(message):
                raise ValueError("cut short")
            value, at = message[at : at + size], at + size
        values.setdefault(key >> 3, []).append(value)
    return values


def text(message: dict[int, list[int | bytes]], field: int) -> str:
    """The last text of a field, or ''."""
    value = message.get(field, [b""])[-1]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def number(message: dict[int, list[int | bytes]], field: int) -> int:
    """The last number of a varint field, or 0."""
    value = message.get(field, [0])[-1]
    return value if isinstance(value, int) else 0


def _size(message: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind == 2:
        return _varint(message, at)
    if kind in (1, 5):
        return (8 if kind == 1 else 4), at
    raise ValueError("a group, or no wire type")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number without end")
