# SPDX-License-Identifier: Apache-2.0
"""Flash memory whose power fails in the middle of a write or erase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from acclimate.device.flash.meaning import Flash

Torn = Callable[[bytes, bytes], bytes]  # before, what was wanted -> what is there afterwards


class PowerFailed(OSError):
    """The device is off: nothing works any more."""


@dataclass
class FailingFlash(Flash):
    """Flash that is torn at one operation and does nothing after it.

    Attributes:
        cut: number of the write or erase, from 0, at which power fails; None for never.
        torn: what that operation leaves behind.
        torn_bytes: size of that operation.
        off: power has failed.
    """

    cut: int | None = None
    torn: Torn = lambda before, after: before
    torn_bytes: int = 0
    off: bool = False

    def read(self, at: int, size: int) -> bytes:
        self._powered()
        return super().read(at, size)

    def write(self, at: int, data: bytes) -> None:
        self._attempt(at, len(data), lambda: super(FailingFlash, self).write(at, data))

    def erase(self, at: int, size: int) -> None:
        self._attempt(at, size, lambda: super(FailingFlash, self).erase(at, size))

    def _attempt(self, at: int, size: int, operate: Callable[[], None]) -> None:
        self._powered()
        before = bytes(self.content[at : at + size])
        operate()
        if self.cut is not None and self.writes > self.cut:
            self.off, self.torn_bytes = True, size
            left = self.torn(before, bytes(self.content[at : at + size]))
            self.content[at : at + size] = left
            raise PowerFailed

    def _powered(self) -> None:
        if self.off:
            raise PowerFailed

    def rebooted(self) -> FailingFlash:
        """The same content with power again."""
        return FailingFlash(self.size, self.sector, self.grain, bytearray(self.content))


def prefix(count: int) -> Torn:
    """The first bytes are as wanted, the others as they were."""
    return lambda before, after: after[:count] + before[count:]


def suffix(count: int) -> Torn:
    """The last bytes are as wanted, the others as they were."""
    return lambda before, after: before[: len(before) - count] + after[len(after) - count :]


def some_bits(seed: int) -> Torn:
    """Every bit is as it was or as wanted, by chance."""

    def torn(before: bytes, after: bytes) -> bytes:
        old, new = np.frombuffer(before, np.uint8), np.frombuffer(after, np.uint8)
        chosen = np.random.default_rng(seed).integers(0, 256, len(old), np.uint8)
        return bytes((old & ~chosen) | (new & chosen))

    return torn


def garbage(seed: int) -> Torn:
    """Anything at all."""
    return lambda before, after: np.random.default_rng(seed).bytes(len(before))


def ways_to_tear(size: int, seed: int) -> Iterator[Torn]:
    """Every boundary between bytes from both sides, some mixtures of bits, and garbage."""
    for count in range(size + 1):
        yield prefix(count)
        yield suffix(count)
    for number in range(4):
        yield some_bits(seed + number)
        yield garbage(seed + number)
