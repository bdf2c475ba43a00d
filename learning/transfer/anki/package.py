"""The zip around an Anki collection, opened as if its author meant harm.

Members are unpacked in pieces against a limit that counts real bytes, never the sizes that the
archive claims: `meta`, the collection, the list of media, and those media that a note shows.
Members inside members are not opened.
"""

import hashlib
import json
import re
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from config.problems import Filled
from learning.media_types import MOST_BYTES
from learning.transfer.anki import wire
from learning.transfer.model import (
    FileRefused,
    FileTooLarge,
    FileTooNew,
    FileUnsafe,
    FormatUnknown,
    Limits,
)

# by the version in `meta`; legacy packages without it are told by their newest collection
_COLLECTIONS = {1: "collection.anki2", 2: "collection.anki21", 3: "collection.anki21b"}
_LATEST = 3
_END = b"PK\x05\x06"
_ZIP64 = b"PK\x06\x07"
_PIECE = 64 * 1024
_RATIO_FROM = 16 * 2**20
_SMALL = 16 * 2**20
_DIRECTORY_BYTES = 16 * 2**20
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Package:
    """An unpacked package: its SQLite file, which lives as long as the `unpack` block."""

    collection: Path
    media: "PackedMedia"


@dataclass(frozen=True, slots=True)
class Member:
    """Where a medium lies in the archive, and the SHA-1 that the list says of its bytes."""

    name: str
    sha1: bytes = b""


@dataclass(frozen=True, slots=True)
class PackedMedia:
    """The media of a package by their names, as the list has them."""

    archive: zipfile.ZipFile
    members: dict[str, Member]
    packed: bool
    limits: Limits

    def read(self, name: str) -> bytes:
        """The bytes of a medium, that a field may name in a URL's escapes.

        Raises KeyError, FileTooLarge, and FileRefused for a damaged one.
        """
        member = self.members.get(name) or self.members[_plain(unquote(name))]
        pieces = _pieces(self.archive, member.name, self.packed, MOST_BYTES, self.limits)
        data = b"".join(pieces)
        if member.sha1 and hashlib.sha1(data, usedforsecurity=False).digest() != member.sha1:
            raise FileRefused("The file is damaged.")
        return data


@contextmanager
def unpack(file: BinaryIO, limits: Limits) -> Iterator[Package]:
    """The package's collection as a temporary file.

    Raises FileUnsafe, FileTooLarge, FileTooNew, FormatUnknown, or FileRefused when it is damaged.
    """
    archive = _open(file, limits)
    version = _version(archive, limits)
    with tempfile.TemporaryDirectory(prefix="anki-") as folder:
        path = Path(folder, "collection.db")
        with path.open("wb") as target:
            packed = version == _LATEST
            for piece in _pieces(
                archive, _COLLECTIONS[version], packed, limits.unpacked_bytes, limits
            ):
                target.write(piece)
        packed = version == _LATEST
        members = _media(archive, limits, packed=packed)
        yield Package(path, PackedMedia(archive, members, packed, limits))


def _open(file: BinaryIO, limits: Limits) -> zipfile.ZipFile:
    _check_directory(file, limits)
    try:
        archive = zipfile.ZipFile(file)
    except (*_DAMAGE, NotImplementedError):
        raise FileRefused("The zip archive is damaged.") from None
    names = set()
    for member in archive.infolist():
        if member.flag_bits & 0x1:
            raise FileUnsafe("The package is encrypted.")
        if member.filename in names or not _safe(member.filename):
            raise FileUnsafe("A file in the package has a name that leads elsewhere, or twice.")
        if member.file_size > max(_RATIO_FROM, limits.unpacked_ratio * member.compress_size):
            raise FileUnsafe("A file in the package unpacks to far more than it weighs.")
        names.add(member.filename)
    return archive


def _check_directory(file: BinaryIO, limits: Limits) -> None:
    """Look at the archive's own summary before Python loads a list of a million members."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise FileRefused("The zip archive is damaged.")
    members, directory_bytes, offset = struct.unpack_from("<HLL", tail, at + 10)
    if tail[max(0, at - 20) :].startswith(_ZIP64) or offset == 0xFFFFFFFF or members == 0xFFFF:
        raise FileTooLarge("Archives of more than 4 GB or 65,534 files are not read.")
    if members > limits.members or directory_bytes > _DIRECTORY_BYTES:
        raise FileTooLarge(Filled("A package may hold {most} files at most.", most=limits.members))


def _safe(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return ".." not in parts and bool(parts[0]) and ":" not in name and "\x00" not in name


def _version(archive: zipfile.ZipFile, limits: Limits) -> int:
    names = set(archive.namelist())
    if "meta" in names:
        version = wire.number(_message(_small(archive, "meta", False, limits)), 1)
        if version not in _COLLECTIONS:
            raise FileTooNew("The package was written by a newer Anki than we know.")
    else:
        version = max((v for v, name in _COLLECTIONS.items() if name in names), default=0)
    if _COLLECTIONS.get(version) not in names:
        raise FormatUnknown("The zip archive is not an Anki package: it has no collection.")
    return version


def _media(archive: zipfile.ZipFile, limits: Limits, *, packed: bool) -> dict[str, Member]:
    """The members of the media by their names. Raises FileUnsafe for a name that leads elsewhere.

    https://github.com/ankitects/anki/blob/main/proto/anki/import_export.proto, `MediaEntries`
    """
    if "media" not in archive.namelist():
        return {}
    data = _small(archive, "media", packed, limits)
    listed = _listed(data) if packed else _listed_as_json(data)
    present = set(archive.namelist())
    media: dict[str, Member] = {}
    for name, member in listed:
        if re.search(r"[/\\\x00]", name) or name in ("", ".", ".."):
            raise FileUnsafe("A media file of the package has a name that leads elsewhere.")
        if member.name in present:
            media.setdefault(_plain(name), member)
    return media


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name[:1_000])


def _listed(data: bytes) -> Iterator[tuple[str, Member]]:
    for place, entry in enumerate(_message(data).get(1, [])):
        said = _message(entry if isinstance(entry, bytes) else b"")
        digest = said.get(3, [b""])[-1]
        sha1 = digest if isinstance(digest, bytes) and len(digest) == 20 else b""
        yield wire.text(said, 1), Member(str(place), sha1)


def _listed_as_json(data: bytes) -> Iterator[tuple[str, Member]]:
    try:
        names = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        raise FileRefused("The package's list of media is damaged.") from None
    for place, name in names.items() if isinstance(names, dict) else ():
        if isinstance(name, str):
            yield name, Member(place)


def _message(data: bytes) -> dict[int, list[int | bytes]]:
    try:
        return wire.fields(data)
    except ValueError:
        raise FileRefused("The package is damaged.") from None


def _small(archive: zipfile.ZipFile, name: str, packed: bool, limits: Limits) -> bytes:
    return b"".join(_pieces(archive, name, packed, _SMALL, limits))


def _pieces(
    archive: zipfile.ZipFile, name: str, packed: bool, most: int, limits: Limits
) -> Iterator[bytes]:
    """A member's bytes, also out of Zstandard, until they are more than allowed."""
    import zstandard  # here, since few requests need its 10 ms

    member = archive.getinfo(name)
    allowed = min(most, max(_RATIO_FROM, limits.unpacked_ratio * member.compress_size))
    total = 0
    try:
        with archive.open(member) as source:
            stream = source
            if packed:
                decompressor = zstandard.ZstdDecompressor(max_window_size=2**27)
                stream = decompressor.stream_reader(source, read_across_frames=True)
            while piece := stream.read(_PIECE):
                total += len(piece)
                if total > allowed:
                    raise FileTooLarge("The package unpacks to more than an import may have.")
                yield piece
    except (*_DAMAGE, NotImplementedError, zstandard.ZstdError, OSError):
        raise FileRefused("The package is damaged.") from None
