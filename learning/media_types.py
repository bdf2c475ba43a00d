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
MOST_MOVING_PIXELS = 500_000_000  # of all frames together
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
# What is shown; all other chunks can tell of camera, place, author and software.
_PNG_SHOWS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT "
    b"acTL fcTL fdAT".split()
)
_WEBP_SHOWS = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_GIF_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
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
        _require_sound(data)
        return Inspected(content_type, data)
    try:
        width, height, moving, pieces = clean(data)
    except (IndexError, ValueError, struct.error):
        raise MediumRefused from None
    if not (width and height):
        raise MediumRefused
    if width * height > MOST_PIXELS:
        raise MediumTooLarge(
            Filled("The picture has {width} × {height} pixels", width=width, height=height)
        )
    if moving > MOST_MOVING_PIXELS:
        raise MediumTooLarge(
            Filled("The picture's frames have {moving} pixels together", moving=moving)
        )
    return Inspected(content_type, b"".join(pieces), width, height)


def _require_sound(data: bytes) -> None:
    """Raises MediumRefused for a file that is all tag (https://id3.org/id3v2.4.0-structure)."""
    if data.startswith(b"ID3"):
        size = 0
        for byte in data[6:10]:
            size = size << 7 | byte & 0x7F
        if 10 + size >= len(data):
            raise MediumRefused("There is no sound behind the file's tag")


_Cleaned = tuple[int, int, int, list[bytes]]
"""Width, height, the pixels of all frames of a moving picture, what is kept."""


def _clean_png(data: bytes) -> _Cleaned:
    """https://www.w3.org/TR/png-3/"""
    pieces, at, name, moving = [_PNG], len(_PNG), b"", 0
    while name != b"IEND":
        size, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data) or zlib.crc32(data[at + 4 : end - 4]) != _u32(data, end - 4):
            raise ValueError("a broken chunk")
        if name in _PNG_SHOWS:
            pieces.append(data[at:end])
        if name == b"fcTL":
            wide, high = struct.unpack_from(">II", data, at + 12)
            moving += wide * high
        at = end
    width, height = struct.unpack_from(">II", data, 16)
    if data[12:16] != b"IHDR":
        raise ValueError("no header")
    return width, height, moving, pieces


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4])


def _clean_jpeg(data: bytes) -> _Cleaned:
    """ITU-T T.81, annex B: segments, each with its length, and the scans between them.

    One that breaks off in a scan is kept: browsers and Anki show as much of it as there is.
    """
    pieces, width, height, turned, scans = [data[:2]], 0, 0, 1, 0
    for marker, segment in _segments(data):
        if marker == 0xE1 and segment[4:10] == _EXIF:
            turned = _orientation(segment[10:])
        elif _is_kept(marker, segment):
            pieces.append(segment)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack_from(">HH", segment, 5)
            width, height = max(width, wide), max(height, high)
        scans += marker == 0xDA
    if not scans:
        raise ValueError("no picture")
    if turned != 1:
        pieces.insert(1, _turn(turned))
    return width, height, 0, pieces


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
    pieces, moving = [data[:at]], 0
    while data[at] != 0x3B:
        start, kind = at, data[at]
        if kind == 0x2C:
            left, top, wide, high, packed = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            moving += wide * high
            at = _behind_blocks(data, at + 11 + _colours(packed))
        elif kind == 0x21:
            at = _behind_blocks(data, at + 2)
        else:
            raise ValueError("no block")
        if kind == 0x2C or data[start + 1] == 0xF9 or data[start + 3 : start + 14] in _GIF_LOOPS:
            pieces.append(data[start:at])
    return width, height, moving, [*pieces, b"\x3b"]


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
    at, width, height, moving, chunks = 12, 0, 0, 0, list[bytes]()
    while at < end:
        name, size = struct.unpack_from("<4sI", data, at)
        chunk = data[at : at + 8 + size + (size & 1)]
        at += len(chunk)
        if at > end or len(chunk) < 8 + size:
            raise ValueError("a broken chunk")
        wide, high = _webp_size(name, chunk)
        width, height = max(width, wide), max(height, high)
        if name == b"ANMF":
            moving += _three(chunk, 14) * _three(chunk, 17)
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~0x0C]) + chunk[9:]  # neither EXIF nor XMP
        if name in _WEBP_SHOWS:
            chunks.append(chunk)
    size = (4 + sum(map(len, chunks))).to_bytes(4, "little")
    return width, height, moving, [b"RIFF", size, b"WEBP", *chunks]


def _webp_size(name: bytes, chunk: bytes) -> tuple[int, int]:
    if name == b"VP8X":
        return _three(chunk, 12), _three(chunk, 15)
    if name == b"VP8L":
        bits = int.from_bytes(chunk[9:13], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8 ":
        wide, high = struct.unpack_from("<HH", chunk, 14)
        return wide & 0x3FFF, high & 0x3FFF
    return 0, 0


def _three(chunk: bytes, at: int) -> int:
    """A length in pixels, of which one less is stored, in three bytes."""
    return int.from_bytes(chunk[at : at + 3], "little") + 1


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
