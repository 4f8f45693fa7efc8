# SPDX-License-Identifier: Apache-2.0
"""What guard.c decides, in NumPy; sums and the running mean are float32, as in C."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Verdict(IntEnum):
    """What to do, as guard.h explains it."""

    CONTINUE = 0
    STOP = 1
    ROLL_BACK = 2
    KEEP = 3
    BAD_CALL = -1


class Reason(IntEnum):
    """Why, as guard.h explains it."""

    NONE = 0
    STEPS_SPENT = 1
    TIME_SPENT = 2
    ENERGY_SPENT = 3
    LOSS_NOT_FINITE = 4
    LOSS_EXPLODED = 5
    WEIGHT_NOT_FINITE = 6
    SCORE_NOT_FINITE = 7
    NOT_SCORED = 8
    FEWER_RIGHT = 9
    HIGHER_LOSS = 10
    GOOD = 11


OLD, NEW = 0, 1


@dataclass(frozen=True)
class Limits:
    """When a session ends and what a new model must reach, as guard.h explains it."""

    margin: float = 0.0
    loss_ratio: float = 0.0
    explosion: float = 4.0
    least_mean: float = 0.5
    inertia: float = 0.9
    warm_up: int = 8
    steps: int = 0
    ticks: int = 0
    energy_nj: int = 0

    def possible(self) -> bool:
        """Whether every limit is a number within its range."""
        explosion = self.explosion == 0 or 1 < self.explosion <= 1e6
        ranges = -1 <= self.margin <= 1 and 0 <= self.loss_ratio <= 1e6
        return explosion and ranges and 0 <= self.least_mean <= 1e6 and 0 <= self.inertia < 1


@dataclass
class Guard:
    """One session of learning from clock `now` on."""

    limits: Limits
    now: int
    ticks: int = 0
    energy_nj: int = 0
    steps: int = 0
    mean: np.float32 = field(default_factory=lambda: np.float32(0))
    losses: list[np.float32] = field(default_factory=lambda: [np.float32(0), np.float32(0)])
    answers: list[int] = field(default_factory=lambda: [0, 0])
    right: list[int] = field(default_factory=lambda: [0, 0])
    not_finite: list[int] = field(default_factory=lambda: [0, 0])
    verdict: Verdict = Verdict.CONTINUE
    reason: Reason = Reason.NONE

    def _end(self, verdict: Verdict, reason: Reason) -> Verdict:
        self.verdict, self.reason = verdict, reason
        return verdict

    def _exploded(self, loss: np.float32) -> bool:
        mean = max(self.mean, np.float32(self.limits.least_mean))
        looked_at = self.limits.explosion and self.steps >= max(self.limits.warm_up, 1)
        return bool(looked_at and loss > np.float32(self.limits.explosion) * mean)

    def step(self, loss: float, now: int, energy_nj: int) -> Verdict:
        """After a training step: whether to make another one."""
        if self.verdict != Verdict.CONTINUE:
            return self.verdict
        self.ticks += (now - self.now) % 2**32
        self.now = now
        self.energy_nj += energy_nj
        value = np.float32(loss)
        if not np.isfinite(value):
            return self._end(Verdict.ROLL_BACK, Reason.LOSS_NOT_FINITE)
        if self._exploded(value):
            return self._end(Verdict.ROLL_BACK, Reason.LOSS_EXPLODED)
        inertia = np.float32(self.limits.inertia if self.steps else 0)
        self.mean = inertia * self.mean + (np.float32(1) - inertia) * value
        self.steps += 1
        spent = (
            (self.limits.steps, self.steps, Reason.STEPS_SPENT),
            (self.limits.ticks, self.ticks, Reason.TIME_SPENT),
            (self.limits.energy_nj, self.energy_nj, Reason.ENERGY_SPENT),
        )
        for limit, used, reason in spent:
            if limit and used >= limit:
                return self._end(Verdict.STOP, reason)
        return Verdict.CONTINUE

    def weights(self, w: NDArray[np.float32]) -> Verdict:
        """Rolls back if a weight is no number."""
        if not np.isfinite(w).all():
            return self._end(Verdict.ROLL_BACK, Reason.WEIGHT_NOT_FINITE)
        return self.verdict

    def answer(self, model: int, scores: NDArray[np.float32], label: int, loss: float) -> Verdict:
        """Counts an answer of the OLD or NEW model to a held-out sample: scores[classes]."""
        if model not in (OLD, NEW) or not 0 <= label < len(scores):
            return Verdict.BAD_CALL
        self.answers[model] += 1
        if not (np.isfinite(scores).all() and np.isfinite(np.float32(loss))):
            self.not_finite[model] += 1
            return self.verdict
        self.right[model] += int(scores.argmax() == label)
        self.losses[model] += np.float32(loss)
        return self.verdict

    def decide(self) -> Verdict:
        """KEEP or ROLL_BACK."""
        if self.verdict == Verdict.ROLL_BACK:
            return self.verdict
        if not self.answers[NEW] or self.answers[NEW] != self.answers[OLD]:
            return self._end(Verdict.ROLL_BACK, Reason.NOT_SCORED)
        if self.not_finite[NEW]:
            return self._end(Verdict.ROLL_BACK, Reason.SCORE_NOT_FINITE)
        wanted = np.float32(self.limits.margin) * np.float32(self.answers[NEW])
        if self.right[NEW] - self.right[OLD] < wanted:
            return self._end(Verdict.ROLL_BACK, Reason.FEWER_RIGHT)
        allowed = np.float32(self.limits.loss_ratio) * self.losses[OLD]
        comparable = self.limits.loss_ratio and not self.not_finite[OLD]
        if comparable and not self.losses[NEW] <= allowed:
            return self._end(Verdict.ROLL_BACK, Reason.HIGHER_LOSS)
        return self._end(Verdict.KEEP, Reason.GOOD)
