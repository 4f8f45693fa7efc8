# SPDX-License-Identifier: Apache-2.0
"""Streaming heads as strategies: they see each sample once and need no gradients of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from acclimate.data.clips import F32
from acclimate.learn.forward import Head, HeadCost
from acclimate.learn.protocol.outcome import Price
from acclimate.learn.protocol.scenario import Experience
from acclimate.targets import Target, find_target


class Streaming:
    """A head on the features of a frozen extractor.

    Args:
        head: of `acclimate.learn.forward`, without samples yet.
        classes: of the scenario.
        features: of samples x[N,...]: f[N,n]; by default samples are features.
        extractor_bytes: RAM of what makes the features.
        target: the device of the price; energy needs what a sample costs there.
        cost: of the head on the target, as `head_cost` counts it; without the extractor.
    """

    def __init__(
        self,
        head: Head,
        classes: int,
        features: Callable[[F32], F32] = np.asarray,
        extractor_bytes: int = 0,
        target: str | Target = "gap9",
        cost: HeadCost | None = None,
    ) -> None:
        self.head, self.classes, self.features = head, classes, features
        self._target = find_target(target) if isinstance(target, str) else target
        self._cost = cost
        self._extractor_bytes, self._calls = extractor_bytes, Counter[str]()

    def learn(self, experience: Experience) -> None:
        """Learns each sample of an experience once, in their order."""
        self.head.learn(self.features(experience.train.x), experience.train.y)
        self._calls["learn"] += len(experience.train)
        self._calls["solve"] += 1

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
        """RAM of the head and of the extractor; energy of the head by counted cycles."""
        ram = self._extractor_bytes + self.head.size_bytes
        energy_uj = None
        if self._cost is not None:
            learned, solved = self._calls["learn"], self._calls["solve"]
            cycles = learned * self._cost.learn + solved * self._cost.solve
            energy_uj = self._target.energy_uj(round(cycles))
        mj = None if energy_uj is None else energy_uj / 1e3
        return Price(ram, mj, {"learn": self._calls["learn"]})
