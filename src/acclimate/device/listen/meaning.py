# SPDX-License-Identifier: Apache-2.0
"""What listen.c hands out, in NumPy: windows of a stream, as long as they are in the ring."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from acclimate.device.scores.meaning import softmax

S16 = NDArray[np.int16]


class Status(IntEnum):
    """Results, as listen.h explains them."""

    OK = 0
    NONE = 1
    MISSED = 2
    BAD_CALL = -1
    NOT_FINITE = -2


@dataclass
class Listener:
    """A stream of which the newest `capacity` samples are kept.

    Attributes:
        stream: all samples so far.
        start: sample with which the next window begins.
        taken: windows.
        missed: windows that were overwritten.
    """

    capacity: int
    window: int
    hop: int
    stream: list[int] = field(default_factory=list)
    start: int = 0
    taken: int = 0
    missed: int = 0

    def push(self, pcm: S16) -> None:
        """Takes samples of the microphone."""
        self.stream += [int(v) for v in pcm]

    def due(self) -> int:
        """How many windows wait."""
        return max(0, (len(self.stream) - self.start - self.window) // self.hop + 1)

    def spare(self) -> int:
        """Samples until the next window is overwritten."""
        return max(0, self.capacity - (len(self.stream) - self.start))

    def take(self) -> tuple[Status, S16 | None]:
        """The oldest window that waits."""
        late = len(self.stream) - self.start - self.capacity
        status = Status.OK
        if late > 0:
            hops = -(-late // self.hop)
            self.missed += hops
            self.start += hops * self.hop
            status = Status.MISSED
        if not self.due():
            return Status.NONE, None
        window = np.array(self.stream[self.start : self.start + self.window], np.int16)
        self.start += self.hop
        self.taken += 1
        return status, window


def smoothed(
    posteriors: NDArray[np.float64], scores: NDArray[np.float32], inertia: float
) -> NDArray[np.float64]:
    """posteriors[classes] after one more window."""
    kept = inertia if posteriors.sum() > 0 else 0.0
    return np.asarray(kept * posteriors + (1 - kept) * softmax(scores))
