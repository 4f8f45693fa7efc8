# SPDX-License-Identifier: Apache-2.0
"""Streaming heads as strategies: they see each sample once and need no gradients of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from acclimate.data.clips import F32
from acclimate.learn.forward import Head
from acclimate.learn.protocol.outcome import Price
from acclimate.learn.protocol.scenario import Experience


class Streaming:
    """A head on the features of a frozen extractor.

    Args:
        head: of `acclimate.learn.forward`, without samples yet.
        classes: of the scenario.
        features: of samples x[N,...]: f[N,n]; by default samples are features.
        extractor_bytes: RAM of what makes the features.
    """

    def __init__(
        self,
        head: Head,
        classes: int,
        features: Callable[[F32], F32] = np.asarray,
        extractor_bytes: int = 0,
    ) -> None:
        self.head, self.classes, self.features = head, classes, features
        self._extractor_bytes, self._calls = extractor_bytes, Counter[str]()

    def learn(self, experience: Experience) -> None:
        """Learns each sample of an experience once, in their order."""
        self.head.learn(self.features(experience.train.x), experience.train.y)
        self._calls["learn"] += len(experience.train)

    def keep(self, experience: Experience) -> None:
        """The same: a head has to see what its extractor knows."""
        self.learn(experience)

    def scores(self, x: F32) -> F32:
        """1 for the answer, 0 for all others: s[N,classes]; all 0 before anything was learned."""
        found = np.zeros((len(x), self.classes), np.float32)
        if self._calls["learn"]:
            found[np.arange(len(x)), self.head.answers(self.features(x))] = 1.0
        return found

    def price(self) -> Price:
        """RAM of the head and of the extractor; the energy is not estimated."""
        return Price(self._extractor_bytes + self.head.size_bytes, None, dict(self._calls))
