# SPDX-License-Identifier: Apache-2.0
"""What store.c does to flash memory, byte by byte: a model in two slots, the header last."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from acclimate.device.flash.meaning import Flash, crc32, rounded

MAGIC = 0x31534341
HEADER_BYTES = 24


class Status(IntEnum):
    """Results, as store.h explains them."""

    OK = 0
    EMPTY = 1
    MORE = 2
    DAMAGED = -1
    OTHER_MODEL = -2
    FLASH_FAILED = -3
    TOO_LARGE = -4
    TOO_SMALL = -5
    BAD_CALL = -6


@dataclass(frozen=True)
class Slot:
    """One slot as it was found: its state, and sequence and model where they are whole."""

    state: Status
    sequence: int = 0
    model: bytes = b""


class Store:
    """The newest whole model of a flash memory.

    Args:
        flash: is read once, both slots.
        model: number that tells programs apart.

    Attributes:
        status: OK, EMPTY, DAMAGED or OTHER_MODEL.
        slots: what both slots hold.
        content: the model, or nothing.
    """

    def __init__(self, flash: Flash, model: int) -> None:
        self.flash, self.model = flash, model
        self.slot_bytes = flash.size // flash.sector // 2 * flash.sector
        self.header_bytes = rounded(HEADER_BYTES, flash.grain)
        self.slots = (self._examine(0), self._examine(1))
        self.current = self._newest(Status.OK)
        self.newest = self._newest(Status.OK, Status.OTHER_MODEL)
        self.sequence = 0 if self.newest is None else self.slots[self.newest].sequence
        self.content = b"" if self.current is None else self.slots[self.current].model
        self.status = self._status()

    def _status(self) -> Status:
        if self.current is not None:
            return Status.OK
        if self.newest is not None:
            return Status.OTHER_MODEL
        return min(slot.state for slot in self.slots)

    def _examine(self, slot: int) -> Slot:
        start = slot * self.slot_bytes
        header = self.flash.read(start, HEADER_BYTES)
        if header == b"\xff" * HEADER_BYTES:
            return Slot(Status.EMPTY)
        magic, model, sequence, length, crc, header_crc = struct.unpack("<6I", header)
        too_long = length > self.slot_bytes - self.header_bytes
        if magic != MAGIC or header_crc != crc32(header[:20]) or too_long:
            return Slot(Status.DAMAGED)
        content = self.flash.read(start + self.header_bytes, length)
        if crc32(content) != crc:
            return Slot(Status.DAMAGED)
        mine = model == self.model
        return Slot(Status.OK if mine else Status.OTHER_MODEL, sequence, content)

    def _newest(self, *states: Status) -> int | None:
        """The slot in one of these states with the later sequence number, which may wrap."""
        found = [i for i, slot in enumerate(self.slots) if slot.state in states]
        if len(found) < 2:
            return found[0] if found else None
        ahead = (self.slots[1].sequence - self.slots[0].sequence) % 2**32
        return 1 if 0 < ahead < 2**31 else 0

    def save(self, content: bytes) -> None:
        """Makes `content` the newest model."""
        kept = self.newest if self.current is None else self.current
        target = 1 if kept == 0 else 0
        start, grain = target * self.slot_bytes, self.flash.grain
        for at in range(start, start + self.slot_bytes, self.flash.sector):
            self.flash.erase(at, self.flash.sector)
        for at in range(0, len(content), grain):
            piece = content[at : at + grain].ljust(grain, b"\xff")
            self.flash.write(start + self.header_bytes + at, piece)
        self.sequence = (self.sequence + 1) % 2**32
        fields = (MAGIC, self.model, self.sequence, len(content), crc32(content))
        header = struct.pack("<5I", *fields)
        header += struct.pack("<I", crc32(header))
        self.flash.write(start, header.ljust(self.header_bytes, b"\xff"))
        self.current = self.newest = target
        self.content = content
