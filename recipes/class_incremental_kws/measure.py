# SPDX-License-Identifier: Apache-2.0
"""Cells of the recipe: one way to learn new keywords, with one order of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spotter import KNOWN_WORDS, heard_by, known_classes, words_of
from torch import nn

import acclimate as ac
from acclimate.data.clips import CLASSES
from acclimate.device.rce.meaning import Settings
from acclimate.estimate import entry_cycles
from acclimate.firmware import Firmware
from acclimate.learn.forward import (
    CentroidHead,
    Head,
    HeadCost,
    RceHead,
    SldaHead,
    TinyOlHead,
    head_cost,
)
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
from acclimate.models.dscnn import COEFFICIENTS, DSCNN, FRAMES

K = len(CLASSES)
WAYS = (
    "naive fine-tuning", "EWC", "LwF", "replay, 8 bits", "nearest class mean", "streaming LDA",
    "TinyOL", "TinyRCE", "all samples kept",
)  # fmt: skip
SLOTS, NEURONS = 120, 300
CHIP = "gap9"  # of energies, with one core, which is what a head takes
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
    "streaming LDA": {"shrink": 1e-5},
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
        target=CHIP, cores=1,
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


@lru_cache
def cost_of(way: str, n: int) -> HeadCost:
    """Cycles of a head on n features, simulated; of TinyRCE the most.

    That is a table that is full and a sample that is new to it; what a neuron takes is the
    difference between tables of 64 and 32. The other heads take the same whatever they learned.
    """

    def found(samples: int, make: Callable[[], Head]) -> HeadCost:
        x = np.random.default_rng(0).standard_normal((samples, n)).astype(np.float32)
        return head_cost(make, x, np.arange(samples) % K, CHIP)

    def full(neurons: int) -> HeadCost:
        # A quarter of the samples finds every neuron taken: they lie further apart than 0.1.
        return found(neurons * 4 // 3, lambda: RceHead(Settings(reach=0.1), n, neurons))

    if way != "TinyRCE":
        return found(2 * K, lambda: HEADS[way](Cell("", way), n))
    few, more = full(32), full(64)

    def whole(field: str) -> float:
        low, high = getattr(few, field), getattr(more, field)
        return float(high + (high - low) / (64 - 32) * (NEURONS - 64))

    return HeadCost(whole("learn"), whole("solve"), whole("classify"))


@lru_cache
def answer_mj() -> float:
    """Energy of the whole network for one utterance, by estimated cycles."""
    example = (torch.zeros(1, 1, FRAMES, COEFFICIENTS), torch.zeros(1, dtype=torch.long))
    firmware = ac.compile(DSCNN("S").eval(), example=example, name="spotter", target=CHIP, cores=1,
                          entries=("predict",))  # fmt: skip
    entry = firmware.program.entries["predict"]
    cycles = entry_cycles(firmware.program, entry, firmware.plan, firmware.target)
    return (firmware.target.energy_uj(cycles) or 0.0) / 1e3


def strategy_of(cell: Cell, last: nn.Linear, known: Labelled) -> Strategy:
    """The strategy of a cell."""
    n = last.in_features
    if cell.way in HEADS:
        cost = (
            cost_of(cell.way, n) if cell.judged == "test" else None
        )  # no table of settings has it
        return Streaming(HEADS[cell.way](cell, n), K, target=CHIP, cost=cost)
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
        "accuracy_per_mj": outcome.accuracy_per_mj,
        "answer_mj": answer_mj(),
        # Learned in several epochs, the samples of an experience wait.
        "waiting_bytes": max(e.train.x.nbytes for e in scenario.experiences[1:]),
    }
