# SPDX-License-Identifier: Apache-2.0
"""What runs changed: accuracies against those before, and what words were taken for."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import numpy as np
from accuracy import Before, Result, Run, as_counts, share

from acclimate.data.clips import I64, KEYWORDS, SILENCE_CLASS, UNKNOWN_CLASS
from acclimate.learn import CLEAN


@dataclass(frozen=True)
class Gains:
    """Changes of accuracy of several runs of the same settings, within -1 .. 1.

    Args:
        runs: with their results.
        befores: of all networks.
    """

    runs: tuple[tuple[Run, Result], ...]
    befores: dict[Before, Result]

    def __bool__(self) -> bool:
        return bool(self.runs)

    def change(self, name: str) -> list[float]:
        """In a condition: "clean", or the place of the runs."""
        key = CLEAN if name == CLEAN else "place"
        return [
            share(result[key]) - share(self._before(run)["counts"][name])
            for run, result in self.runs
        ]

    def place(self) -> list[float]:
        """In the place of the runs."""
        return self.change(self.runs[0][0].place)

    def others(self) -> list[float]:
        """Mean over all other noises."""
        return [fmean(change.values()) for change in self._by_noise()]

    def worst_other(self) -> tuple[str, float]:
        """The other noise that loses most, as a mean over the runs."""
        changes = self._by_noise()
        means = {name: fmean(c[name] for c in changes) for name in changes[0]}
        name = min(means, key=means.__getitem__)
        return name, means[name]

    def _by_noise(self) -> list[dict[str, float]]:
        return [
            {n: v - self._before(run)["others"][n] for n, v in result["others"].items()}
            for run, result in self.runs
        ]

    def counts(self, key: str) -> tuple[I64, I64]:
        """Confusions summed over the runs, before and after; the key is "clean" or "place"."""
        name = CLEAN if key == CLEAN else self.runs[0][0].place
        before = [as_counts(self._before(run)["counts"][name]) for run, _ in self.runs]
        after = [as_counts(result[key]) for _, result in self.runs]
        return np.sum(before, axis=0), np.sum(after, axis=0)

    def _before(self, run: Run) -> Result:
        return self.befores[run.before]


def recall(counts: I64) -> list[float]:
    """Share of each class that is right."""
    return [counts[i, i] / max(counts[i].sum(), 1) for i in range(len(counts))]


def by_class(counts: I64) -> list[str]:
    """The same in percent, for a table."""
    return [f"{100 * value:.0f}" for value in recall(counts)]


def mean_class(counts: I64) -> float:
    """Mean of the classes' shares."""
    return fmean(recall(counts))


def groups(counts: I64) -> list[str]:
    """Shares [%] as the columns of `Tables.confusions` say."""
    K = len(KEYWORDS)
    words = counts[:K]
    right, named = np.trace(words[:, :K]), words.sum()
    unknown, silence = counts[UNKNOWN_CLASS], counts[SILENCE_CLASS]
    shares = [
        right / named,
        (words[:, :K].sum() - right) / named,
        words[:, UNKNOWN_CLASS].sum() / named,
        words[:, SILENCE_CLASS].sum() / named,
        unknown[UNKNOWN_CLASS] / unknown.sum(),
        unknown[:K].sum() / unknown.sum(),
        unknown[SILENCE_CLASS] / unknown.sum(),
        silence[SILENCE_CLASS] / silence.sum(),
        (words[:, UNKNOWN_CLASS].sum() + unknown[UNKNOWN_CLASS]) / (named + unknown.sum()),
    ]
    return [f"{100 * value:.0f}" for value in shares]


def keywords_gain(after: I64, before: I64) -> float:
    """Change of the share of keywords that are right [points]."""
    K = len(KEYWORDS)
    return float(100 * (np.trace(after[:K, :K]) / after[:K].sum()
                        - np.trace(before[:K, :K]) / before[:K].sum()))  # fmt: skip


def unknown_gain(after: I64, before: I64) -> float:
    """Change of the share of unknown words that are right [points]."""
    return 100 * (recall(after)[UNKNOWN_CLASS] - recall(before)[UNKNOWN_CLASS])
