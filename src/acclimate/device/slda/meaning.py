# SPDX-License-Identifier: Apache-2.0
"""What slda.c learns and answers: linear discriminant analysis of all samples at once, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
NONE = -1
FEATURE_MAX = np.float32(1e15)


class Status(IntEnum):
    """Results, as slda.h explains them."""

    OK = 0
    EMPTY = 1
    SINGULAR = 2
    BAD_CALL = -1
    NOT_FINITE = -2


def floats(n: int, classes: int) -> int:
    """Numbers of the state: two triangles, means, weights, biases, counts, a vector."""
    return n * (n + 1) + 2 * classes * n + 2 * classes + n


@dataclass
class Slda:
    """Discriminant analysis of vectors of n numbers; keeps every sample, which C does not."""

    n: int
    classes: int
    shrink: float
    samples: list[NDArray[Any]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def learn(self, x: NDArray[Any], label: int) -> Status:
        """Learns x[n]."""
        if not 0 <= label < self.classes:
            return Status.BAD_CALL
        if not (np.abs(x) <= FEATURE_MAX).all():
            return Status.NOT_FINITE
        self.samples.append(np.asarray(x, np.float64))
        self.labels.append(label)
        return Status.OK

    def means(self) -> F64:
        """[classes,n], zero for a class without samples."""
        x, y = np.array(self.samples).reshape(-1, self.n), np.array(self.labels, int)
        rows = [x[y == k].mean(0) if (y == k).any() else np.zeros(self.n)
                for k in range(self.classes)]  # fmt: skip
        return np.array(rows)

    def covariance(self) -> F64:
        """[n,n]: mean of the products of deviations from the means of the classes."""
        deviations = np.array(self.samples) - self.means()[self.labels]
        return np.asarray(deviations.T @ deviations / len(deviations))

    def classifier(self) -> tuple[F64, F64]:
        """w[classes,n] and b[classes]."""
        means = self.means()
        a = (1 - self.shrink) * self.covariance() + self.shrink * np.eye(self.n)
        w: F64 = np.linalg.solve(a, means.T).T.astype(np.float64)
        return w, -0.5 * (w * means).sum(1)

    def scores(self, x: NDArray[Any]) -> F64:
        """[N,classes] of x[N,n]; -inf for a class without samples."""
        w, b = self.classifier()
        out = np.asarray(x, np.float64) @ w.T + b
        out[:, np.bincount(self.labels, minlength=self.classes) == 0] = -np.inf
        return out
