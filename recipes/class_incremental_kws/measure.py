# SPDX-License-Identifier: Apache-2.0
"""Cells of the recipe: one way to learn new keywords, with one order of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spotter import KNOWN_WORDS, heard_by, known_classes, words_of
from torch import nn

import acclimate as ac
from acclimate.data.clips import CLASSES
from acclimate.device.rce.meaning import Settings
from acclimate.firmware import Firmware
from acclimate.learn.forward import CentroidHead, Head, RceHead, SldaHead, TinyOlHead
from acclimate.learn.protocol import (
    Distilled,
    FineTune,
    Joint,
    Labelled,
    LatentMemory,
    Regularized,
    Replay,
    Scenario,
    Schedule,
    Strategy,
    Streaming,
    class_incremental,
    run,
)

K = len(CLASSES)
WAYS = (
    "naive fine-tuning", "EWC", "LwF", "replay, 8 bits", "nearest class mean", "streaming LDA",
    "TinyOL", "TinyRCE", "all samples kept",
)  # fmt: skip
SLOTS, NEURONS = 120, 300
HEADS: dict[str, Callable[[Cell, int], Head]] = {
    "nearest class mean": lambda cell, n: CentroidHead(n, K),
    "streaming LDA": lambda cell, n: SldaHead(n, K, cell.shrink),
    "TinyOL": lambda cell, n: TinyOlHead(n, K, cell.lr),
    "TinyRCE": lambda cell, n: RceHead(Settings(reach=cell.reach), n, NEURONS),
}
# What `run.py --tune` is best with, on speakers and words of its own.
CHOSEN: dict[str, dict[str, Any]] = {
    "naive fine-tuning": {"lr": 0.001},
    "EWC": {"lr": 0.001, "strength": 50.0},
    "LwF": {"lr": 0.001},
    "replay, 8 bits": {"lr": 0.2},
    "nearest class mean": {},
    "streaming LDA": {"shrink": 0.0001},
    "TinyOL": {"lr": 0.0003},
    "TinyRCE": {"reach": 0.5},
    "all samples kept": {"epochs": 20},
}


@dataclass(frozen=True)
class Cell:
    """One order of the words, learned in one way.

    Attributes:
        data: description of the recordings.
        way: one of WAYS.
        seed: of the order, the network, and everything drawn.
        training: epochs of the network.
        epochs: over the utterances of two new words, for the ways that use gradients.
        lr: of the last layer, or of TinyOL.
        batch: new utterances of an update.
        strength: of EWC.
        alpha: of LwF.
        shrink: of streaming LDA.
        reach: of TinyRCE, in standard deviations per feature.
        scaled: gradients see features with deviation 1 over what is known, as heads always do.
        judged: "test" speakers, or "validation" for choosing.
    """

    data: str
    way: str
    seed: int = 0
    training: int = 40
    epochs: int = 5
    lr: float = 0.05
    batch: int = 8
    strength: float = 10.0
    alpha: float = 1.0
    shrink: float = 0.05
    reach: float = 0.75
    scaled: bool = False
    judged: str = "test"


def scenario_of(learned: Labelled, tested: Labelled, seed: int) -> Scenario:
    """Known classes, then the other words two at a time."""
    words = words_of(seed)[KNOWN_WORDS:]
    groups = [list(known_classes(seed)), *(list(words[at : at + 2]) for at in (0, 2, 4))]
    order = np.random.default_rng([seed, 6]).permutation(len(learned))
    return class_incremental(learned.take(order), tested, groups, names=dict(enumerate(CLASSES)))


def _compiled(last: nn.Linear, lwf: ac.LwF | None = None, **options: Any) -> Firmware:
    x, y = torch.zeros(1, last.in_features), torch.zeros(1, dtype=torch.long)
    target = y if lwf is None else (y, torch.zeros(1, K))
    return ac.compile(
        copy.deepcopy(last).requires_grad_(True), example=(x, target), name="last",
        entries=("predict", "accumulate", "apply"), loss=lwf or "cross_entropy", **options,
    )  # fmt: skip


def in_units(
    learned: Labelled, tested: Labelled, last: nn.Linear, known: Sequence[int], *, shift: bool
) -> tuple[Labelled, Labelled, nn.Linear]:
    """Features with deviation 1 over what is known, and the layer that reads them so.

    Args:
        learned: features[N,n].
        tested: features[N,n].
        last: layer that reads them as they are.
        known: classes.
        shift: to mean 0, too; without it features that are not negative stay so.
    """
    of_known = learned.of(known).x
    mean = of_known.mean(0) if shift else np.zeros(of_known.shape[1], np.float32)
    deviation = of_known.std(0) + 1e-6
    layer = copy.deepcopy(last)
    with torch.no_grad():
        layer.bias += layer.weight @ torch.from_numpy(mean)
        layer.weight *= torch.from_numpy(deviation)

    def changed(part: Labelled) -> Labelled:
        return Labelled(np.asarray((part.x - mean) / deviation, np.float32), part.y)

    return changed(learned), changed(tested), layer


def strategy_of(cell: Cell, last: nn.Linear, known: Labelled) -> Strategy:
    """The strategy of a cell."""
    n = last.in_features
    if cell.way in HEADS:
        return Streaming(HEADS[cell.way](cell, n), K)
    schedule = Schedule(cell.epochs, cell.lr, cell.batch, cell.seed)
    if cell.way == "EWC":
        return Regularized(_compiled(last, regularizer=ac.EWC(cell.strength)), schedule)
    if cell.way == "LwF":
        return Distilled(_compiled(last, ac.LwF(alpha=cell.alpha)), schedule)
    if cell.way == "replay, 8 bits":
        greatest = float(np.quantile(known.x, 0.9999))
        memory = LatentMemory(SLOTS, K, (n,), greatest, seed=cell.seed, in_c=True)
        # As many of each old class as of a new one, in the mean.
        return Replay(_compiled(last), schedule, memory, replayed=3 * cell.batch)
    kind = {"naive fine-tuning": FineTune, "all samples kept": Joint}[cell.way]
    return kind(_compiled(last), schedule)


def measure(folder: Path, cell: Cell) -> dict[str, Any]:
    """All metrics of a cell; RAM and energy beside the frozen layers, which all ways share."""
    learned, tested, last = heard_by(cell.seed, cell.training, cell.judged, folder)
    if cell.scaled or cell.way in HEADS:
        known, shift = known_classes(cell.seed), cell.way in HEADS
        learned, tested, last = in_units(learned, tested, last, known, shift=shift)
    scenario = scenario_of(learned, tested, cell.seed)
    strategy = strategy_of(cell, last, scenario.experiences[0].train)
    outcome = run(scenario, strategy, known=1)
    sizes = np.array([len(e.test) for e in scenario.experiences], float)
    return outcome.as_json() | {
        "accuracy_of_all": float(outcome.accuracy[-1] @ sizes / sizes.sum()),
        "known_before": float(outcome.accuracy[0, 0]),
        "known_after": float(outcome.accuracy[-1, 0]),
        "accuracy_per_kb": outcome.accuracy_per_kb,
    }
