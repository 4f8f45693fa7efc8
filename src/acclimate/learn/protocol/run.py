# SPDX-License-Identifier: Apache-2.0
"""Interleaved learning and testing: every strategy goes through a scenario in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from acclimate.data.clips import F32
from acclimate.learn.protocol.outcome import Outcome, Price
from acclimate.learn.protocol.scenario import Experience, Kind, Scenario


class Strategy(Protocol):
    """Something that learns from one experience after the other and can always be asked."""

    def learn(self, experience: Experience) -> None:
        """Learns from `experience.train`; earlier experiences do not come back."""
        ...

    def keep(self, experience: Experience) -> None:
        """Takes note of an experience that the network knows already, without learning it."""
        ...

    def scores(self, x: F32) -> F32:
        """Scores s[N,classes] of x[N,...]; the highest is the answer."""
        ...

    def price(self) -> Price:
        """What it took so far."""
        ...


def run(
    scenario: Scenario,
    strategy: Strategy,
    progress: Callable[[str], None] | None = None,
    *,
    known: int = 0,
) -> Outcome:
    """Learns the experiences in their order and tests on all of them after each.

    Args:
        scenario: what is learned.
        strategy: how.
        progress: called with the name of each experience that was learned and tested.
        known: that many experiences at the beginning are what the network was pretrained on.

    Returns:
        All accuracies. In class-incremental scenarios the answer is the highest score of all
        classes; in task-incremental ones, of those of the experience.
    """
    before = _accuracies(scenario, strategy)
    rows = []
    for number, experience in enumerate(scenario.experiences):
        (strategy.keep if number < known else strategy.learn)(experience)
        rows.append(_accuracies(scenario, strategy))
        if progress is not None:
            progress(experience.name)
    names = tuple(experience.name for experience in scenario.experiences)
    return Outcome(names, np.stack(rows), before, strategy.price())


def _accuracies(scenario: Scenario, strategy: Strategy) -> F32:
    told = scenario.kind is Kind.TASK
    found = [_accuracy(experience, strategy, told) for experience in scenario.experiences]
    return np.array(found, np.float32)


def _accuracy(experience: Experience, strategy: Strategy, told: bool) -> float:
    scores = strategy.scores(experience.test.x)
    if told:
        others = np.setdiff1d(np.arange(scores.shape[1]), experience.classes)
        scores = scores.copy()
        scores[:, others] = -np.inf
    return float((scores.argmax(1) == experience.test.y).mean())
