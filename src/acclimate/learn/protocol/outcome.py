# SPDX-License-Identifier: Apache-2.0
"""What came of a scenario: accuracy on every experience after every experience, and its price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from acclimate.data.clips import F32


@dataclass(frozen=True)
class Price:
    """What a strategy takes on its device.

    Args:
        ram_bytes: of the program, as planned, and of what the strategy keeps beside it.
        energy_mj: of all that was learned: an estimate; None where the target has no power figure.
        calls: entry points that ran while it learned, by name.
    """

    ram_bytes: int
    energy_mj: float | None = None
    calls: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Accuracies within 0 .. 1.

    Args:
        names: of the T experiences.
        accuracy: R[T,T]: R[i,j] on the test samples of experience j after learning i, also for
            j > i, which was not learned yet.
        before: accuracy on every experience before anything was learned.
        price: what it took.
    """

    names: tuple[str, ...]
    accuracy: F32
    before: F32
    price: Price

    @property
    def average_accuracy(self) -> float:
        """Mean over all experiences at the end."""
        return float(self.accuracy[-1].mean())

    @property
    def learning_accuracy(self) -> float:
        """Mean of the accuracy on each experience just after it was learned."""
        return float(np.diag(self.accuracy).mean())

    @property
    def forgetting(self) -> float:
        """Mean fall from the best earlier accuracy on an experience to that at the end, over all
        experiences but the last; below 0 where the end is the best. 0 for one experience.

        Source: Chaudhry et al., "Riemannian walk for incremental learning", ECCV 2018.
        """
        T = len(self.names)
        falls = [self.accuracy[j : T - 1, j].max() - self.accuracy[-1, j] for j in range(T - 1)]
        return float(np.mean(falls)) if falls else 0.0

    @property
    def backward_transfer(self) -> float:
        """Mean change of the accuracy on an experience since it was learned.

        Source: Lopez-Paz and Ranzato, "Gradient episodic memory", NeurIPS 2017.
        """
        T = len(self.names)
        gains = [self.accuracy[-1, j] - self.accuracy[j, j] for j in range(T - 1)]
        return float(np.mean(gains)) if gains else 0.0

    @property
    def forward_transfer(self) -> float:
        """Mean change of the accuracy on an experience by what was learned before it."""
        T = len(self.names)
        gains = [self.accuracy[j - 1, j] - self.before[j] for j in range(1, T)]
        return float(np.mean(gains)) if gains else 0.0

    @property
    def accuracy_per_kb(self) -> float:
        """Points of average accuracy per 1024 bytes of RAM."""
        return 100 * self.average_accuracy / (self.price.ram_bytes / 1024)

    @property
    def accuracy_per_mj(self) -> float | None:
        """Points of average accuracy per millijoule of learning, by estimate."""
        energy = self.price.energy_mj
        return 100 * self.average_accuracy / energy if energy else None

    def so_far(self) -> F32:
        """a[T]: mean accuracy on the experiences learned so far, after each of them."""
        T = len(self.names)
        return np.array([self.accuracy[i, : i + 1].mean() for i in range(T)], np.float32)

    def as_json(self) -> dict[str, Any]:
        """Everything, and the metrics, for a file."""
        return {
            "names": list(self.names),
            "accuracy": self.accuracy.tolist(),
            "before": self.before.tolist(),
            "average_accuracy": self.average_accuracy,
            "learning_accuracy": self.learning_accuracy,
            "forgetting": self.forgetting,
            "backward_transfer": self.backward_transfer,
            "forward_transfer": self.forward_transfer,
            "ram_bytes": self.price.ram_bytes,
            "energy_mj": self.price.energy_mj,
            "calls": dict(self.price.calls),
        }
