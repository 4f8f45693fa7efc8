# SPDX-License-Identifier: Apache-2.0
"""What scores.c computes, in NumPy with double precision."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


class Status(IntEnum):
    """Results, as scores.h explains them."""

    OK = 0
    BAD_CALL = -1
    NOT_FINITE = -2


def exp(v: float) -> float:
    """e^v, v counting as within -87 .. 88."""
    return float(np.exp(np.clip(v, -87.0, 88.0)))


def softmax(scores: F32) -> NDArray[np.float64]:
    """p[classes] of scores[classes]; a class 87 below the best one counts as 87 below it."""
    wide = scores.astype(np.float64)
    parts = np.exp(np.maximum(wide - wide.max(), -87.0))
    return np.asarray(parts / parts.sum())


def cross_entropy(scores: F32, label: int) -> float:
    """log(sum of e^scores) - scores[label]."""
    wide = scores.astype(np.float64)
    best = float(wide.max())
    parts = np.exp(np.maximum(wide - best, -87.0))
    return float(np.log(parts.sum()) + (best - wide[label]))
