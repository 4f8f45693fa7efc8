# SPDX-License-Identifier: Apache-2.0
"""What vector.c computes, in NumPy, bit for bit: float32, from the first element to the last."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
VECTOR_MAX = 65_536


def in_order(terms: F32) -> F32:
    """Sums terms[..., n] over n as a loop does: NumPy's own sum goes pairwise."""
    return np.add.accumulate(terms, axis=-1, dtype=np.float32)[..., -1]


def distances(x: F32, centres: F32) -> F32:
    """Squared Euclidean distances [h] of x[n] from centres[h,n]."""
    if not len(centres):
        return np.zeros(0, np.float32)
    with np.errstate(over="ignore"):
        difference = x - centres
        return in_order(difference * difference)


def dots(x: F32, weights: F32) -> F32:
    """Products [k] of x[n] and every row of weights[k,n]."""
    return in_order(x * weights)


def finite(values: Any) -> bool:
    """Whether no value is NaN or infinite as float32."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.asarray(values, np.float32)).all())
