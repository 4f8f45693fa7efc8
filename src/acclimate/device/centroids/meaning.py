# SPDX-License-Identifier: Apache-2.0
"""What centroids.c learns and answers, in NumPy, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from acclimate.device.vector.meaning import F32, distances, finite

NONE = -1
_FAR = np.finfo(np.float32).max


class Status(IntEnum):
    """Results, as centroids.h explains them."""

    OK = 0
    EMPTY = 1
    BAD_CALL = -1
    NOT_FINITE = -2


@dataclass
class Centroids:
    """Means of classes of vectors of n numbers.

    Attributes:
        means: [classes,n].
        counts: [classes].
    """

    n: int
    classes: int
    least_step: float = 0.0

    def __post_init__(self) -> None:
        self.means: F32 = np.zeros((self.classes, self.n), np.float32)
        self.counts = np.zeros(self.classes, np.int64)

    def learn(self, x: F32, label: int) -> Status:
        """Learns x[n]."""
        if not 0 <= label < self.classes:
            return Status.BAD_CALL
        with np.errstate(over="ignore"):
            way = x - self.means[label] if finite(x) else x
        if not finite(way):
            return Status.NOT_FINITE
        self.counts[label] += 1
        step = max(np.float32(1) / np.float32(self.counts[label]), np.float32(self.least_step))
        self.means[label] += way * step
        return Status.OK

    def classify(self, x: F32) -> tuple[Status, int, np.float32, np.float32]:
        """Status, class, squared distance, distance to the next class."""
        if not finite(x):
            return Status.NOT_FINITE, NONE, _FAR, _FAR
        known = np.flatnonzero(self.counts)
        far = np.minimum(distances(x, self.means[known]), _FAR)
        if not len(known):
            return Status.EMPTY, NONE, _FAR, _FAR
        second = np.sort(far)[1] if len(far) > 1 else _FAR
        return Status.OK, int(known[far.argmin()]), far.min(), second
