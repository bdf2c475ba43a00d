"""Recordings as WAV files (RIFF, PCM): the one format whose seconds are its bytes."""

import struct

from config.records import dataclass


class NotWav(ValueError):
    """The bytes are no recording as we take them; the text says why."""


@dataclass(frozen=True, slots=True)
class Recording:
    rate_hz: int
    seconds: float


def recording(data: bytes) -> Recording:
    """How long a recording of one channel, 16 bits and 8 to 48 kHz is. Raises NotWav.

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
