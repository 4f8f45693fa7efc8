# SPDX-License-Identifier: Apache-2.0
"""What flash memory does, in Python: bits fall when written, sectors rise when erased."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field


@dataclass
class Flash:
    """A part of a non-volatile memory.

    Attributes:
        size: [B].
        sector: bytes that are erased at once.
        grain: bytes that are written at once.
        content: what it holds.
        writes: writes and erases so far.
    """

    size: int
    sector: int
    grain: int
    content: bytearray = field(default_factory=bytearray)
    writes: int = 0

    def __post_init__(self) -> None:
        self.content = self.content or bytearray(b"\xff" * self.size)

    def read(self, at: int, size: int) -> bytes:
        """Bytes at an offset."""
        if at + size > self.size:
            raise OSError(f"read of {size} B at {at} of {self.size} B")
        return bytes(self.content[at : at + size])

    def write(self, at: int, data: bytes) -> None:
        """Clears bits.

        Raises:
            OSError: the place or size is no multiple of the grain, or it was not erased before.
        """
        if at % self.grain or len(data) % self.grain or at + len(data) > self.size:
            raise OSError(f"write of {len(data)} B at {at}")
        if self.content[at : at + len(data)].strip(b"\xff"):
            raise OSError(f"the {len(data)} B at {at} were written before")
        self.writes += 1
        self.content[at : at + len(data)] = data

    def erase(self, at: int, size: int) -> None:
        """Sets all bits of a sector.

        Raises:
            OSError: it is no sector.
        """
        if at % self.sector or size != self.sector or at + size > self.size:
            raise OSError(f"erase of {size} B at {at}")
        self.writes += 1
        self.content[at : at + size] = b"\xff" * size


def crc32(data: bytes) -> int:
    """The checksum of IEEE 802.3."""
    return zlib.crc32(data)


def rounded(size: int, grain: int) -> int:
    """The next multiple of the grain, from `size`."""
    return -(-size // grain) * grain
