# SPDX-License-Identifier: Apache-2.0
"""What elm.c draws and computes, in NumPy, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from acclimate.device.random.meaning import Random
from acclimate.device.vector.meaning import F32, VECTOR_MAX, in_order

VECTORS = 65_535
SAMPLE_MAX, FEATURE_MAX = np.float32(1e6), np.float32(1e14)
LEAST_VARIANCE = np.float32(1e-6)


class Status(IntEnum):
    """Results, as elm.h explains them."""

    OK = 0
    BAD_CALL = -1
    NOT_FINITE = -2


@dataclass(frozen=True)
class Settings:
    """Of the random layer, as elm.h explains them."""

    channels: int
    length: int
    width: int
    features: int
    weight: float
    bias: float = 3**0.5
    seed: int = 0

    @classmethod
    def usual(
        cls, channels: int, length: int, width: int, features: int, seed: int = 0
    ) -> Settings:
        """Sums have the variance of the inputs, biases a variance of 1."""
        weight = (3 / max(channels * width, 1)) ** 0.5
        return cls(channels, length, width, features, weight, seed=seed)

    def possible(self) -> bool:
        """Whether every setting is a number within its range."""
        sizes = min(self.channels, self.length, self.width, self.features) > 0
        fits = self.channels * self.length <= VECTOR_MAX and self.features <= VECTOR_MAX
        factors = all(0 <= np.float32(v) <= 1000 for v in (self.weight, self.bias))
        return bool(sizes and fits and self.width <= self.length and factors)


def root(v: F32) -> F32:
    """Square roots of v[n], by three steps of Newton from half the exponent."""
    r: F32 = ((v.view(np.uint32) >> 1) + np.uint32(0x1FC00000)).view(np.float32)
    for _ in range(3):
        r = np.float32(0.5) * (r + v / r)
    return r


@dataclass
class Elm:
    """Random features of windows [channels,length].

    Attributes:
        mean: [features]; 0 until fit.
        unit: [features]; 1 until fit.
    """

    settings: Settings

    def __post_init__(self) -> None:
        self.mean: F32 = np.zeros(self.settings.features, np.float32)
        self.unit: F32 = np.ones(self.settings.features, np.float32)
        self.fitted = False

    @cached_property
    def layer(self) -> tuple[F32, F32]:
        """Filters [features,channels,width] in -1 .. 1, biases [features]."""
        s, random = self.settings, Random(self.settings.seed)
        count = s.channels * s.width + 1
        drawn = [2 * random.unit() - 1 for _ in range(s.features * count)]
        rows = np.array(drawn, np.float32).reshape(s.features, count)
        filters = rows[:, 1:].reshape(s.features, s.channels, s.width)
        return filters, np.float32(s.bias) * rows[:, 0]

    def features(self, x: F32) -> tuple[Status, F32]:
        """Status and y[features] of a window x[channels,length]."""
        if not (np.abs(x) <= SAMPLE_MAX).all():
            return Status.NOT_FINITE, np.zeros(0, np.float32)
        s = self.settings
        cuts = sliding_window_view(x, s.width, axis=1)  # [channels,places,width]
        places, y = cuts.shape[1], np.zeros(s.features, np.float32)
        for f, (weights, bias) in enumerate(zip(*self.layer, strict=True)):
            products = in_order(in_order(cuts * weights[:, None]).T)  # [places]
            z = np.float32(s.weight) * products + bias
            y[f] = in_order(np.maximum(z, np.float32(0))) / np.float32(places)
        return Status.OK, (y - self.mean) / self.unit

    def fit(self, y: F32) -> tuple[Status, F32]:
        """Takes mean and unit from y[N,features]; status and y with them."""
        if self.fitted or not 0 < len(y) <= VECTORS:
            return Status.BAD_CALL, y
        if not (np.abs(y) <= FEATURE_MAX).all():
            return Status.NOT_FINITE, y
        N = np.float32(len(y))
        self.mean = in_order(y.T) / N
        variance = in_order(((y - self.mean) ** 2).T) / N
        self.unit = root(np.maximum(variance, LEAST_VARIANCE))
        self.fitted = True
        return Status.OK, (y - self.mean) / self.unit
