"""A value as small as it gets: what is written with every review should not cost by its length."""

import json
import zlib
from typing import Any

from pynamodb.attributes import Attribute
from pynamodb.constants import BINARY

FORMAT = 1  # the first byte says how the rest is read; golden packs of every format stay in tests
RAW_DEFLATE = -15  # no header, no checksum: DynamoDB keeps its own


def pack(value: Any) -> bytes:
    """JSON, compact and deflated, behind its format number."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    squeezed = zlib.compressobj(9, zlib.DEFLATED, RAW_DEFLATE, 9)
    return bytes([FORMAT]) + squeezed.compress(text) + squeezed.flush()


def unpack(packed: bytes) -> Any:
    """What was packed. Raises ValueError for a format that is not known yet, and for nonsense."""
    if not packed or packed[0] != FORMAT:
        raise ValueError(f"a pack of format {packed[:1].hex()}")
    try:
        return json.loads(zlib.decompress(packed[1:], RAW_DEFLATE))
    except zlib.error as error:
        raise ValueError("a pack that was cut or changed") from error


class PackedAttribute(Attribute[Any]):
    """An attribute of any JSON value, packed."""

    attr_type = BINARY

    def serialize(self, value: Any) -> bytes:
        return pack(value)

    def deserialize(self, value: Any) -> Any:
        return unpack(value)
