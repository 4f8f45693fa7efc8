# SPDX-License-Identifier: Apache-2.0
"""What tinyol.c learns and answers, in NumPy with double precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
NONE, LABELS = -1, 65_536
FEATURE_MAX = np.float32(1e15)
LEAST_VARIANCE = 1e-6


class Status(IntEnum):
    """Results, as tinyol.h explains them."""

    OK = 0
    GREW = 1
    FULL = 2
    EMPTY = 3
    BAD_CALL = -1
    NOT_FINITE = -2


def floats(n: int, capacity: int) -> int:
    """Numbers of the state: weights, biases, scores; mean, deviation, the last sample."""
    return capacity * (n + 2) + 3 * n


@dataclass
class TinyOl:
    """A softmax layer on n features with room for `capacity` classes.

    Attributes:
        labels: of the rows in use.
        w: [capacity,n].
        b: [capacity].
        mean: [n] of the features so far.
        squares: [n]: sums of squared deviations.
    """

    n: int
    capacity: int
    decay: float = 0.0
    samples: int = 0
    frozen: bool = False
    labels: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.w: F64 = np.zeros((self.capacity, self.n))
        self.b: F64 = np.zeros(self.capacity)
        self.mean: F64 = np.zeros(self.n)
        self.squares: F64 = np.zeros(self.n)

    def standardise(self, mean: NDArray[Any], variance: NDArray[Any]) -> None:
        """Gives mean[n] and variance[n] from elsewhere, and freezes them."""
        self.mean, self.squares = mean.astype(np.float64), variance.astype(np.float64)
        self.samples, self.frozen = 1, True

    def standardised(self, x: NDArray[Any]) -> F64:
        """z[n] of x[n]."""
        variance = np.maximum(self.squares / max(self.samples, 1), LEAST_VARIANCE)
        return np.asarray((x - self.mean) / np.sqrt(variance))

    def probabilities(self, x: NDArray[Any]) -> F64:
        """Of the rows in use."""
        K = len(self.labels)
        scores = self.w[:K] @ self.standardised(x) + self.b[:K]
        grown = np.exp(scores - scores.max(initial=-np.inf))
        return np.asarray(grown / grown.sum())

    def learn(self, x: NDArray[Any], label: int, lr: float) -> Status:
        """One step of gradient descent on x[n]."""
        if not (0 <= label < LABELS and 0 <= lr <= 1):
            return Status.BAD_CALL
        if not (np.abs(x) <= FEATURE_MAX).all():
            return Status.NOT_FINITE
        grows = label not in self.labels
        if grows and len(self.labels) == self.capacity:
            return Status.FULL
        if grows:
            self.labels.append(label)
        if not self.frozen:
            self.samples += 1
            way = x - self.mean
            self.mean += way / self.samples
            self.squares += way * (x - self.mean)
        error = self.probabilities(x)
        error[self.labels.index(label)] -= 1
        K = len(self.labels)
        self.w[:K] *= 1 - lr * self.decay
        self.w[:K] -= lr * np.outer(error, self.standardised(x))
        self.b[:K] -= lr * error
        return Status.GREW if grows else Status.OK

    def classify(self, x: NDArray[Any]) -> tuple[Status, int]:
        """Status and label of x[n]."""
        if not (np.abs(x) <= FEATURE_MAX).all():
            return Status.NOT_FINITE, NONE
        if not self.labels:
            return Status.EMPTY, NONE
        return Status.OK, self.labels[int(self.probabilities(x).argmax())]
