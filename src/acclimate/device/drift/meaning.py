# SPDX-License-Identifier: Apache-2.0
"""What drift.c notices, in NumPy with double precision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
VALUE_MAX, LEAST_DEVIATION = 1e6, 1e-3


class Status(IntEnum):
    """Results, as drift.h explains them."""

    STABLE = 0
    WARMING = 1
    BEGIN = 2
    LEARNING = 3
    ENDED = 4
    BAD_CALL = -1
    NOT_FINITE = -2


@dataclass(frozen=True)
class Settings:
    """As drift.h explains them."""

    warm_up: int = 100
    learn: int = 100
    slack: float = 0.5
    threshold: float = 15.0
    clip: float = 4.0

    def possible(self) -> bool:
        """Whether every setting is a number within its range."""
        counts = 2 <= self.warm_up <= 1e6 and 1 <= self.learn <= 1e6
        low = np.float32(0.1)  # as C compares
        sums = 0 <= self.slack <= 1e3 and low <= np.float32(self.threshold) <= 1e6
        return bool(counts and sums and low <= np.float32(self.clip) <= 1e3)


@dataclass
class Drift:
    """Watches S values."""

    settings: Settings
    S: int
    left: int = 0
    drifts: int = 0
    value: int = -1

    def __post_init__(self) -> None:
        self._warm_up()

    def _warm_up(self) -> None:
        self.seen: list[F64] = []
        self.up, self.down = np.zeros(self.S), np.zeros(self.S)

    def _go_on(self, code: Status) -> Status:
        self.left -= 1
        if self.left:
            return code
        self._warm_up()
        return Status.ENDED

    def push(self, values: F64) -> Status:
        """Takes values[S] of one sample."""
        if not (np.abs(values) <= VALUE_MAX).all():
            return Status.NOT_FINITE
        if self.left:
            return self._go_on(Status.LEARNING)
        if len(self.seen) < self.settings.warm_up:
            self.seen.append(np.asarray(values, np.float64))
            return Status.WARMING
        s, seen = self.settings, np.array(self.seen)
        z = (values - seen.mean(0)) / np.maximum(seen.std(0), LEAST_DEVIATION)
        z = np.clip(z, -s.clip, s.clip)
        self.up = np.maximum(0, self.up + z - s.slack)
        self.down = np.maximum(0, self.down - z - s.slack)
        above = np.maximum(self.up, self.down) > s.threshold
        if not above.any():
            return Status.STABLE
        self.left, self.value = s.learn, int(above.argmax())
        self.drifts += 1
        return self._go_on(Status.BEGIN)
