# SPDX-License-Identifier: Apache-2.0
"""What rce.c learns and answers, in NumPy, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from acclimate.device.vector.meaning import F32, distances, finite

NONE = -1
LABELS = 65_536


class Status(IntEnum):
    """Results, as rce.h explains them."""

    KNOWN = 0
    AMBIGUOUS = 1
    UNKNOWN = 2
    SHRUNK = 3
    ADDED = 4
    REPLACED = 5
    REFUSED = 6
    CONFLICT = 7
    CONVERGED = 8
    CHANGED = 9
    BAD_CALL = -1
    NOT_FINITE = -2


@dataclass(frozen=True)
class Settings:
    """The laws that no source settles, as rce.h explains them; by default those of TinyRCE."""

    reach: float = 0.75
    least: float = 0.05
    relief: float = 1.0
    idle: float = 0.1
    blame: float = 1.0
    bounded: int = 1
    refuse: int = 0

    def possible(self) -> bool:
        """Whether every setting is a number within its range."""
        reach = np.float32(1e-6) <= np.float32(self.reach) <= 1e6 and 0 <= self.least <= self.reach
        laws = all(0 <= law <= 1e6 for law in (self.relief, self.idle, self.blame))
        return bool(reach and laws and self.bounded in (0, 1) and self.refuse in (0, 1))


BASELINE = Settings(least=0.0, relief=0.0, idle=0.0, blame=0.0, refuse=1)


@dataclass(frozen=True)
class Answer:
    """What a vector is: status, label, neuron, squared distance to it, neurons that fired."""

    status: Status
    label: int = NONE
    neuron: int = NONE
    distance: np.float32 = field(default_factory=lambda: np.float32(0))
    fired: int = 0


@dataclass
class Rce:
    """A classifier of vectors of n numbers with at most `capacity` neurons.

    Attributes:
        centres: [count,n].
        radii: [count], squared.
        ages: [count].
        labels: [count].
    """

    settings: Settings
    n: int
    capacity: int
    changes: int = 0
    removed: int = 0
    conflicts: int = 0
    distances: int = 0

    def __post_init__(self) -> None:
        self.centres: F32 = np.zeros((0, self.n), np.float32)
        self.radii, self.ages = np.zeros(0, np.float32), np.zeros(0, np.float32)
        self.labels = np.zeros(0, np.int64)

    def _squared_radius(self, factor: float) -> np.float32:
        return np.float32(factor) * np.float32(factor) * np.float32(self.n)

    def learn(self, x: F32, label: int) -> Status:
        """Learns x[n]."""
        if not 0 <= label < LABELS:
            return Status.BAD_CALL
        if not finite(x):
            return Status.NOT_FINITE
        s = self.settings
        distance = distances(x, self.centres)
        self.distances += len(distance)
        fires, own = distance < self.radii, self.labels == label
        with np.errstate(over="ignore", invalid="ignore"):
            inside = np.where(fires, np.float32(1) - distance / self.radii, np.float32(0))
        fed = self.ages - np.float32(s.relief) * inside
        own_ages = np.maximum(np.where(fires, fed, self.ages + np.float32(s.idle)), np.float32(0))
        blamed = self.ages + np.float32(s.blame) * inside
        self.ages = np.where(own, own_ages, np.where(fires, blamed, self.ages))
        wrong = fires & ~own
        shrinks = wrong & (distance > 0)
        self.radii = np.where(shrinks, distance, self.radii)
        done = Status.SHRUNK if shrinks.any() else Status.KNOWN
        if (wrong & ~shrinks).any():
            self.conflicts += 1
            done = Status.CONFLICT
        elif not (fires & own).any():
            added = self._add(x, label, distance[~own])
            done = Status.SHRUNK if added == Status.REFUSED and shrinks.any() else added
        self.changes += bool(shrinks.any() or done in (Status.ADDED, Status.REPLACED))
        return done

    def _add(self, x: F32, label: int, others: F32) -> Status:
        done, at = Status.ADDED, len(self.radii)
        if at == self.capacity:
            if self.settings.refuse:
                return Status.REFUSED
            at = int(np.lexsort((np.arange(at), self.radii, -self.ages))[0])
            self.removed += 1
            done = Status.REPLACED
        radius = self._squared_radius(self.settings.reach)
        if self.settings.bounded:
            radius = min([radius, *others])
        for name, value in (("centres", x), ("radii", radius), ("ages", 0), ("labels", label)):
            kept = getattr(self, name)
            row = np.asarray(value, kept.dtype)[None]
            setattr(self, name, np.concatenate([kept[:at], row, kept[at + 1 :]]))
        return done

    def end_epoch(self) -> Status:
        """Removes neurons below R_min."""
        keep = self.radii >= self._squared_radius(self.settings.least)
        changed = self.changes > 0 or not keep.all()
        self.removed += int((~keep).sum())
        self.centres, self.radii = self.centres[keep], self.radii[keep]
        self.ages, self.labels = self.ages[keep], self.labels[keep]
        self.changes = 0
        return Status.CHANGED if changed else Status.CONVERGED

    def fit(self, x: F32, labels: Sequence[int], epochs: int) -> Status:
        """Learns x[F,n] epoch by epoch until one changes nothing, at most `epochs` times."""
        for _ in range(epochs):
            for vector, label in zip(x, labels, strict=True):
                if (done := self.learn(vector, int(label))) < 0:
                    return done
            if self.end_epoch() == Status.CONVERGED:
                return Status.CONVERGED
        return Status.CHANGED

    def classify(self, x: F32) -> Answer:
        """The label of x[n]."""
        if not finite(x):
            return Answer(Status.NOT_FINITE)
        distance = distances(x, self.centres)
        self.distances += len(distance)
        if not len(distance):
            return Answer(Status.UNKNOWN)
        fires = distance < self.radii
        looked_at = fires if fires.any() else np.ones_like(fires)
        nearest = int(np.flatnonzero(looked_at)[distance[looked_at].argmin()])
        status = Status.UNKNOWN
        if fires.any():
            alike = len(set(self.labels[fires])) == 1
            status = Status.KNOWN if alike else Status.AMBIGUOUS
        label = int(self.labels[nearest])
        return Answer(status, label, nearest, distance[nearest], int(fires.sum()))

    def serve(self, x: F32, ask: Callable[[F32, int], int]) -> tuple[Status, int]:
        """Classifies x[n]; what is unknown is asked for and learned. Status and label."""
        answer = self.classify(x)
        if answer.status != Status.UNKNOWN:
            return answer.status, answer.label
        label = ask(x, answer.label)
        if label < 0:
            return answer.status, answer.label
        done = self.learn(x, label)
        return done, label if done >= 0 else answer.label
