# SPDX-License-Identifier: Apache-2.0
"""What noise.c keeps of a recording, in NumPy, integer for integer."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

S16 = NDArray[np.int16]


class Status(IntEnum):
    """Results, as noise.h explains them."""

    OK = 0
    VOICE = 1
    WARMING = 2
    TOO_SHORT = 3
    SILENT = 4
    CLIPPED = 5
    BAD_CALL = -1


@dataclass(frozen=True)
class Settings:
    """How frames are judged, as noise.h explains it; the defaults are for 20 ms at 16 kHz."""

    frame: int = 320
    ratio_q4: int = 64
    crossings_low: int = 5
    crossings_high: int = 120
    rise: int = 7
    warm_up: int = 10
    hang: int = 10
    back: int = 3
    shortest: int = 50
    silence: int = 4
    clipped_permille: int = 1

    def possible(self) -> bool:
        """Whether every setting is within its range."""
        return (
            16 <= self.frame <= 4096
            and 16 <= self.ratio_q4 <= 65536
            and 1 <= self.rise <= 15
            and self.warm_up >= 1
        )


def variance(x: S16) -> int:
    """Of x[T], rounded down."""
    wide = x.astype(np.int64)
    return int((len(x) * (wide * wide).sum() - wide.sum() ** 2) // len(x) ** 2)


def without_rumble(x: S16, mean_q8: int | None) -> tuple[NDArray[np.int64], int]:
    """y[T] = x[T] minus its running mean, and that mean times 256; None before the first frame."""
    y = np.zeros(len(x), np.int64)
    for i, sample in enumerate(x.astype(np.int64) * 256):
        mean_q8 = int(sample) if mean_q8 is None else mean_q8 + toward_zero(sample - mean_q8, 8)
        y[i] = toward_zero(sample - mean_q8, 256)
    return y, mean_q8 or 0


def toward_zero(a: int, b: int) -> int:
    """The quotient as C has it; b > 0."""
    return int(a // b if a >= 0 else -(-a // b))


@dataclass
class Recorder:
    """A recording of up to `capacity` frames.

    Attributes:
        frames: kept so far, the oldest first.
        floor: power of the noise without its rumble, as far as it is known.
    """

    settings: Settings
    capacity: int
    frames: list[S16] = field(default_factory=list)
    floor: int = 2**32 - 1
    fresh: int = 0
    seen: int = 0
    voiced: int = 0
    quiet: int = 0
    mean_q8: int | None = None

    def _has_voice(self, y: NDArray[np.int64], power: int) -> bool:
        s = self.settings
        crossings = int(((y >= 0)[1:] != (y >= 0)[:-1]).sum())
        loud = power * 16 > max(self.floor, s.silence) * s.ratio_q4
        return loud and s.crossings_low <= crossings <= s.crossings_high

    def _move_floor(self, power: int) -> None:
        if power < self.floor:
            self.floor -= (self.floor - power + 15) // 16
        else:
            self.floor = min(self.floor + (self.floor >> self.settings.rise) + 1, power)

    def push(self, x: S16) -> Status:
        """Takes one frame x[frame]."""
        self.seen += 1
        y, self.mean_q8 = without_rumble(x, self.mean_q8)
        power = int((y * y).sum() // len(y))
        if self.seen <= self.settings.warm_up:
            self.floor = min(self.floor, power)
            return Status.WARMING
        voice = self._has_voice(y, power)
        self._move_floor(power)
        if voice:
            count = min(self.fresh, self.settings.back)
            self.frames = self.frames[: len(self.frames) - count]
            self.fresh, self.quiet = 0, self.settings.hang
            self.voiced += 1
            return Status.VOICE
        if self.quiet:
            self.quiet -= 1
            return Status.VOICE
        self.frames = [*self.frames, x][-self.capacity :]
        self.fresh = min(self.fresh + 1, self.capacity)
        return Status.OK

    def finish(self) -> Status:
        """Whether what was kept is to be used."""
        s, kept = self.settings, len(self.frames)
        if kept == 0 or kept < s.shortest:
            return Status.TOO_SHORT
        if sum(variance(x) for x in self.frames) < kept * s.silence:
            return Status.SILENT
        full = sum(int(((x == 32767) | (x == -32768)).sum()) for x in self.frames)
        clipped = full * 1000 > kept * s.frame * s.clipped_permille
        return Status.CLIPPED if clipped else Status.OK
