# SPDX-License-Identifier: Apache-2.0
"""What utterances.c writes and finds, byte by byte, in NumPy."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate.device.codec.meaning import BLOCK, Adpcm, adpcm_unpack, mulaw_decode, mulaw_encode
from acclimate.device.flash.meaning import crc32, rounded

MAGIC, HEAD_BYTES = 0x32554341, 16


class Format(IntEnum):
    """How values are kept, as utterances.h explains it."""

    PCM16 = 0
    ADPCM = 1
    MULAW = 2
    F32 = 3
    S8 = 4


class Status(IntEnum):
    """Results, as utterances.h explains them."""

    OK = 0
    FULL = 1
    BAD_CALL = -1
    FLASH_FAILED = -2
    DAMAGED = -3
    NOT_FINITE = -4


@dataclass(frozen=True)
class Utterance:
    """One utterance of a log, as it was encoded."""

    label: int
    format: Format
    count: int
    encoded: bytes

    def decoded(self) -> NDArray[Any]:
        """Its values x[count]: int16, or float32 of features."""
        return decode(self.format, self.encoded, self.count)


def encode(form: Format, x: NDArray[Any]) -> bytes:
    """Bytes of values x[count]."""
    if form == Format.ADPCM:
        state, encoded = Adpcm(int(x[0])), b""
        for first in range(0, len(x), BLOCK):
            encoded += struct.pack("<hBx", state.predicted, state.index)
            codes = [state.encode(int(v)) for v in x[first : first + BLOCK]]
            codes += [0] * (len(codes) % 2)
            pairs = zip(codes[::2], codes[1::2], strict=True)
            encoded += bytes(low | high << 4 for low, high in pairs)
        return encoded
    if form == Format.MULAW:
        return mulaw_encode(x).tobytes()
    if form == Format.S8:
        scale = np.float32(np.abs(x).max()) / np.float32(127)
        q = x / scale if scale > 0 else np.zeros_like(x)
        whole = np.sign(q) * np.floor(np.minimum(np.abs(q), np.float32(127)) + np.float32(0.5))
        return struct.pack("<f", scale) + whole.astype(np.int8).tobytes()
    return x.astype("<i2" if form == Format.PCM16 else "<f4").tobytes()


def decode(form: Format, encoded: bytes, count: int) -> NDArray[Any]:
    """Values x[count] of bytes."""
    if form == Format.ADPCM:
        return adpcm_unpack(encoded, count)
    if form == Format.MULAW:
        return mulaw_decode(np.frombuffer(encoded, np.uint8))
    if form == Format.S8:
        scale = np.frombuffer(encoded, "<f4", 1)[0]
        return np.asarray(scale * np.frombuffer(encoded, np.int8, offset=4).astype(np.float32))
    return np.frombuffer(encoded, "<i2" if form == Format.PCM16 else "<f4")


def encoded_bytes(form: Format, count: int) -> int:
    """Bytes of `count` values."""
    halves = {Format.PCM16: 4, Format.ADPCM: 1, Format.MULAW: 2, Format.F32: 8, Format.S8: 2}
    extra = {Format.ADPCM: 4 * -(-count // BLOCK), Format.S8: 4}.get(form, 0)
    return (halves[form] * count + 1) // 2 + extra


def record(label: int, form: Format, x: NDArray[Any], grain: int) -> bytes:
    """A record: head, values, tail, each filled up to whole grains."""
    encoded = encode(form, x)
    head = struct.pack("<IIHBB", MAGIC, len(x), label, form, 0)
    tail = struct.pack("<II", crc32(encoded), crc32(encoded) ^ 0xFFFFFFFF)
    parts = (head + struct.pack("<I", crc32(head)), encoded, tail)
    return b"".join(part.ljust(rounded(len(part), grain), b"\xff") for part in parts)


def utterances(content: bytes, grain: int) -> Iterator[Utterance]:
    """The whole utterances of a memory, in their order; see `list` in utterances.c."""
    used, step, at = len(content.rstrip(b"\xff")), rounded(HEAD_BYTES, grain), 0
    while at < used:
        fields = content[at : at + HEAD_BYTES].ljust(HEAD_BYTES, b"\xff")
        magic, count, label, form, _, crc = struct.unpack("<IIHBBI", fields)
        sound = magic == MAGIC and crc == crc32(fields[:12]) and form in tuple(Format) and count
        size = encoded_bytes(Format(form), count) if sound else 0
        start, end = at + step, at + step + rounded(size, grain) + rounded(8, grain)
        if not sound or end > len(content):
            at += step
            continue
        check, complement = struct.unpack_from("<II", content, end - rounded(8, grain))
        if check == complement ^ 0xFFFFFFFF:
            yield Utterance(label, Format(form), count, content[start : start + size])
        at = end
