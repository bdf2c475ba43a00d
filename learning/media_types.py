"""Pictures and sounds as bytes: what they are, how large, and what they tell besides.

Nothing is decoded. The containers are walked from header to end, so that a picture of any number
of pixels costs no more than its bytes. Blocks that tell of camera, place, author or software are
left out, and so is what follows a picture's end; all else stays as it is, byte for byte. A picture
that its Exif turned keeps that turn alone. Sounds are taken as they are. Recordings come as WAV, of
which only the length is told.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import ClassVar, Literal

from config.problems import Filled, Problem
from config.records import dataclass

MOST_BYTES = 10 * 2**20
MOST_PIXELS = 50_000_000
EXTENSIONS = {
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/webm": "webm",
}
TYPES = tuple(EXTENSIONS)
Kind = Literal["audio", "image"]

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TELLS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME")
_EXIF = b"Exif\x00\x00"
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!|svg)", re.I)
# Brands of MPEG-4 files that are pictures; iPhones' are HEIC.
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")


class MediumRefused(Problem):
    """A file that is no picture or sound as we take them."""

    status, code, title = 400, "MEDIUM_DAMAGED", "The file is damaged, or not what it says"


class MediumUnsupported(MediumRefused):
    code: ClassVar[str] = "MEDIUM_UNSUPPORTED"
    title: ClassVar[str] = "The file is neither a picture nor a sound of a type that we take"


class MediumTooLarge(MediumRefused):
    status, code = 413, "MEDIUM_TOO_LARGE"
    title: ClassVar[str] = "A picture or sound may have 10 MB and 50 million pixels"


@dataclass(frozen=True)
class Inspected:
    """A file that may be kept: its type, its bytes without what tells of others, its size."""

    content_type: str
    data: bytes
    width: int = 0
    height: int = 0

    @property
    def kind(self) -> Kind:
        return kind_of(self.content_type)


def kind_of(content_type: str) -> Kind:
    return "image" if content_type.startswith("image/") else "audio"


def sniff(head: bytes) -> str:
    """The type of a file by its first bytes. Raises MediumUnsupported."""
    content_type = _picture_type(head) or _sound_type(head)
    if content_type:
        return content_type
    if _MARKUP.match(head):
        raise MediumUnsupported("SVG and other markup can carry scripts: send the picture as PNG")
    raise MediumUnsupported


def _picture_type(head: bytes) -> str:
    if head.startswith(_PNG):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else ""


def _sound_type(head: bytes) -> str:
    for start, content_type in ((b"OggS", "audio/ogg"), (b"fLaC", "audio/flac")):
        if head.startswith(start):
            return content_type
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "audio/webm"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[4:8] == b"ftyp" and head[8:12] not in _PICTURE_BRANDS:
        return "audio/mp4"
    if head.startswith(b"ID3") or re.match(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][^\xf0-\xff]", head):
        return "audio/mpeg"
    return "audio/aac" if re.match(rb"\xff[\xf0\xf1\xf8\xf9]", head) else ""


def inspect(data: bytes) -> Inspected:
    """The file as it may be kept.

    Raises MediumUnsupported, MediumTooLarge, and MediumRefused for a damaged one.
    """
    if len(data) > MOST_BYTES:
        raise MediumTooLarge
    content_type = sniff(data)
    clean = _CLEANERS.get(content_type)
    if clean is None:
        return Inspected(content_type, data)
    try:
        width, height, pieces = clean(data)
    except (IndexError, ValueError, struct.error):
        raise MediumRefused from None
    if not (width and height):
        raise MediumRefused
    if width * height > MOST_PIXELS:
        raise MediumTooLarge(
            Filled("The picture has {width} × {height} pixels", width=width, height=height)
        )
    return Inspected(content_type, b"".join(pieces), width, height)


_Cleaned = tuple[int, int, list[bytes]]


def _clean_png(data: bytes) -> _Cleaned:
    """https://www.w3.org/TR/png-3/"""
    pieces, at, name = [_PNG], len(_PNG), b""
    while name != b"IEND":
        size, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data) or zlib.crc32(data[at + 4 : end - 4]) != _u32(data, end - 4):
            raise ValueError("a broken chunk")
        if name not in _PNG_TELLS:
            pieces.append(data[at:end])
        at = end
    width, height = struct.unpack_from(">II", data, 16)
    if data[12:16] != b"IHDR":
        raise ValueError("no header")
    return width, height, pieces


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4])


def _clean_jpeg(data: bytes) -> _Cleaned:
    """ITU-T T.81, annex B: segments, each with its length, and the scans between them."""
    pieces, width, height, turned = [data[:2]], 0, 0, 1
    for marker, segment in _segments(data):
        if marker == 0xE1 and segment[4:10] == _EXIF:
            turned = _orientation(segment[10:])
        elif _is_kept(marker, segment):
            pieces.append(segment)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack_from(">HH", segment, 5)
            width, height = max(width, wide), max(height, high)
    if turned != 1:
        pieces.insert(1, _turn(turned))
    return width, height, pieces


def _is_kept(marker: int, segment: bytes) -> bool:
    """Whether a segment is part of the picture: not a comment, nor an application's own."""
    if marker == 0xE2:
        return segment[4:15] == b"ICC_PROFILE"
    return marker in (0xE0, 0xEE) or not (0xE1 <= marker <= 0xEF or marker == 0xFE)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments up to the picture's end, a scan with the bytes that follow it."""
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            raise ValueError("no marker")
        start = at
        while data[at] == 0xFF:  # filling
            at += 1
        marker, at = data[at], at + 1
        if marker == 0xD9:
            yield marker, data[start:at]
            return
        size = struct.unpack_from(">H", data, at)[0]
        at += size
        if size < 2 or at > len(data):
            raise ValueError("a broken segment")
        if marker == 0xDA:
            after = _SCAN_END.search(data, at)
            at = after.start() if after else len(data)
        yield marker, data[start:at]


_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _orientation(tiff: bytes) -> int:
    """Exif's tag 0x0112, or 1 where there is none that can be read."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    start = number(4, 4)
    for place in range(min(number(start, 2), 200)):
        entry = start + 2 + 12 * place
        if number(entry, 2) == 0x0112 and 1 <= number(entry + 8, 2) <= 8:
            return number(entry + 8, 2)
    return 1


def _turn(orientation: int) -> bytes:
    """A segment that says the orientation and nothing else."""
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return struct.pack(">BBH", 0xFF, 0xE1, 2 + len(_EXIF) + len(tiff)) + _EXIF + tiff


def _clean_gif(data: bytes) -> _Cleaned:
    """https://www.w3.org/Graphics/GIF/spec-gif89a.txt"""
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    at = 13 + _colours(packed)
    pieces = [data[:at]]
    while data[at] != 0x3B:
        start, kind = at, data[at]
        if kind == 0x2C:
            left, top, wide, high, packed = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            at = _behind_blocks(data, at + 11 + _colours(packed))
        elif kind == 0x21:
            at = _behind_blocks(data, at + 2)
        else:
            raise ValueError("no block")
        is_told = kind == 0x21 and (
            data[start + 1] == 0xFE or data[start + 3 : start + 11] == b"XMP Data"
        )
        if not is_told:
            pieces.append(data[start:at])
    return width, height, [*pieces, b"\x3b"]


def _colours(packed: int) -> int:
    """The bytes of a table of colours."""
    return 3 * 2 ** ((packed & 7) + 1) if packed & 0x80 else 0


def _behind_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1


def _clean_webp(data: bytes) -> _Cleaned:
    """https://developers.google.com/speed/webp/docs/riff_container"""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ValueError("cut short")
    at, width, height, chunks = 12, 0, 0, list[bytes]()
    while at < end:
        name, size = struct.unpack_from("<4sI", data, at)
        chunk = data[at : at + 8 + size + (size & 1)]
        at += len(chunk)
        if at > end or len(chunk) < 8 + size:
            raise ValueError("a broken chunk")
        wide, high = _webp_size(name, chunk)
        width, height = max(width, wide), max(height, high)
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~0x0C]) + chunk[9:]  # neither EXIF nor XMP
        if name not in (b"EXIF", b"XMP "):
            chunks.append(chunk)
    size = (4 + sum(map(len, chunks))).to_bytes(4, "little")
    return width, height, [b"RIFF", size, b"WEBP", *chunks]


def _webp_size(name: bytes, chunk: bytes) -> tuple[int, int]:
    if name == b"VP8X":
        wide, high = (int.from_bytes(chunk[at : at + 3], "little") for at in (12, 15))
        return wide + 1, high + 1
    if name == b"VP8L":
        bits = int.from_bytes(chunk[9:13], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8 ":
        wide, high = struct.unpack_from("<HH", chunk, 14)
        return wide & 0x3FFF, high & 0x3FFF
    return 0, 0


_CLEANERS = {
    "image/gif": _clean_gif,
    "image/jpeg": _clean_jpeg,
    "image/png": _clean_png,
    "image/webp": _clean_webp,
}


# --- Recordings: WAV, whose seconds follow from its bytes -----------------------------------------


class NotWav(ValueError):
    """The bytes are no recording as we take them; the text says why."""


@dataclass(frozen=True)
class Recording:
    rate_hz: int
    seconds: float


def recording(data: bytes) -> Recording:
    """How long a recording (WAV: RIFF, PCM) is: one channel, 16 bits, 8 to 48 kHz. Raises NotWav.

    http://soundfile.sapp.org/doc/WaveFormat/
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise NotWav("It is not a WAV file")
    at, rate_hz = 12, 0
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"fmt " and size >= 16 and at + 16 <= len(data):
            if rate_hz:  # which of two a player believes nobody knows
                raise NotWav("It has two formats")
            code, channels, rate_hz, a_second, block, bits = struct.unpack_from("<HHIIHH", data, at)
            is_plain = (code, channels, bits, block, a_second) == (1, 1, 16, 2, 2 * rate_hz)
            if not is_plain or not 8_000 <= rate_hz <= 48_000:
                raise NotWav("Record one channel of PCM with 16 bits, at 8 to 48 kHz")
        if name == b"data":
            if not rate_hz:
                break
            # A player may believe the header or the file's length: the longer one counts.
            sound_bytes = max(size if size < 2**31 else 0, len(data) - at)
            return Recording(rate_hz, sound_bytes / (2 * rate_hz))
        at += size + (size & 1)
    raise NotWav("It has no sound")
