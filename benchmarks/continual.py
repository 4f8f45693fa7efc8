# SPDX-License-Identifier: Apache-2.0
"""Replay, EWC, LwF and training on everything beside those of Avalanche, on one benchmark.

    python -m venv build/avalanche && build/avalanche/bin/pip install avalanche-lib==0.6.0
    python benchmarks/continual.py --python build/avalanche/bin/python

Five experiences of two digits (8x8 pixels, scikit-learn), a network of 64-64-10, the same initial
weights, samples in the same order, plain SGD, one epoch, updates on ten samples. Avalanche runs in
a Python of its own: acclimate does not need it, nor what it brings along. Conventions: its EWC has
no factor 1/2 and squares gradients of whole minibatches, its LwF no factor T^2; ours are the same.
Replay draws at random on both sides, so only its accuracies can be compared, and seeds differ by
ten points: a mean has its standard error. Avalanche's buffer balances experiences, or classes in
`replay by class`; ours, which is the same in both rows, classes. `joint` keeps all samples and
learns them with each experience, in random order; there it is `Cumulative`.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import acclimate as ac
from acclimate.cache import write_atomic
from acclimate.experiment import points, spread
from acclimate.learn.protocol import (
    Distilled,
    FineTune,
    Joint,
    Labelled,
    LatentMemory,
    Outcome,
    Regularized,
    Replay,
    Scenario,
    Schedule,
    class_incremental,
    groups_of,
    run,
)

CLASSES, PIXELS, HIDDEN = 10, 64, 64
BATCH, LR, SLOTS, STRENGTH, ALPHA, TEMPERATURE = 10, 0.2, 100, 10.0, 1.0, 2.0
TEST_SHARE = 0.3
WAYS = ("naive", "EWC", "LwF", "replay", "replay by class", "joint")
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Task:
    """One seed: experiences, and the network that learns them."""

    scenario: Scenario
    model: nn.Sequential
    seed: int


def task_of(x: np.ndarray, y: np.ndarray, seed: int) -> Task:
    """Splits digits; every experience has whole minibatches."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    held = int(TEST_SHARE * len(y))
    tested, learned = order[:held], order[held:]
    groups = groups_of(CLASSES, 2, seed)
    kept = []
    for group in groups:
        own = learned[np.isin(y[learned], group)]
        kept.append(own[: len(own) // BATCH * BATCH])
    at = np.concatenate(kept)
    train, test = Labelled(x[at], y[at]), Labelled(x[tested], y[tested])
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    return Task(class_incremental(train, test, groups), model, seed)


def ours(task: Task, way: str) -> tuple[Outcome, Mapping[str, np.ndarray]]:
    """Accuracies and final weights of one way; the C of the program on this machine."""
    y = torch.zeros(BATCH, dtype=torch.long)
    lwf = ac.LwF(alpha=ALPHA, temperature=TEMPERATURE)
    target = (y, torch.zeros(BATCH, CLASSES)) if way == "LwF" else y
    replays = way.startswith("replay")
    firmware = ac.compile(
        task.model, example=(torch.zeros(BATCH, PIXELS), target), name="net",
        loss=lwf if way == "LwF" else "cross_entropy",
        regularizer=ac.EWC(STRENGTH) if way == "EWC" else None,
        entries=("predict", "accumulate", "apply") if replays else ("predict", "train"),
    )  # fmt: skip
    schedule = Schedule(epochs=1, lr=LR, batch=BATCH, seed=task.seed)
    if replays:
        memory = LatentMemory(SLOTS, CLASSES, (PIXELS,), 1.0, bits=32, seed=task.seed)
        strategy: FineTune = Replay(firmware, schedule, memory)
    else:
        strategy = {
            "naive": FineTune, "EWC": partial(Regularized, as_learned=True), "LwF": Distilled,
            "joint": Joint,
        }[way](firmware, schedule)  # fmt: skip
    outcome = run(task.scenario, strategy)
    return outcome, {name: array.copy() for name, array in strategy.device.weights.items()}


def arrays_of(task: Task) -> Arrays:
    """What the other side needs; samples in the order in which `Schedule` draws them."""
    rng = np.random.default_rng(task.seed)
    first, last = task.model[0], task.model[2]
    out: Arrays = {
        "experiences": np.array(len(task.scenario.experiences)), "batch": np.array(BATCH),
        "lr": np.array(LR), "slots": np.array(SLOTS), "strength": np.array(STRENGTH),
        "alpha": np.array(ALPHA), "temperature": np.array(TEMPERATURE), "seed": np.array(task.seed),
    }  # fmt: skip
    for k, layer in enumerate((first, last)):
        assert isinstance(layer, nn.Linear)
        out[f"weight_{k}"] = layer.weight.detach().numpy()
        out[f"bias_{k}"] = layer.bias.detach().numpy()
    for k, experience in enumerate(task.scenario.experiences):
        train = experience.train.take(rng.permutation(len(experience.train)))
        out |= {f"train_x_{k}": train.x, f"train_y_{k}": train.y}
        out |= {f"test_x_{k}": experience.test.x, f"test_y_{k}": experience.test.y}
    return out


def theirs(task: Task, python: Path) -> Arrays:
    """Accuracies and weights of every way by Avalanche."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "task.npz", Path(folder) / "result.npz"
        np.savez(given, **arrays_of(task))  # type: ignore[arg-type]
        _other(python, "run", str(given), str(found))
        return dict(np.load(found))


def digits(python: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of scikit-learn, which Avalanche brings along."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.npz"
        _other(python, "digits", str(path))
        found = np.load(path)
        return found["x"], found["y"]


def _other(python: Path, *arguments: str) -> None:
    side = Path(__file__).with_name("continual_avalanche.py")
    done = subprocess.run(
        [str(python), str(side), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{python} failed:\n{done.stderr[-2000:]}")


def largest_difference(weights: Mapping[str, np.ndarray], other: Arrays, way: str) -> float:
    """Between the weights of both sides."""
    pairs = {"0_weight": "weight_0", "0_bias": "bias_0", "2_weight": "weight_1", "2_bias": "bias_1"}
    found = {name.replace(".", "_"): array for name, array in weights.items()}
    return max(
        float(np.abs(found[mine] - other[f"{way} {name}"]).max()) for mine, name in pairs.items()
    )


def _forgetting(accuracy: np.ndarray) -> float:
    T = len(accuracy)
    return float(np.mean([accuracy[j : T - 1, j].max() - accuracy[-1, j] for j in range(T - 1)]))


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, required=True, help="that has avalanche-lib 0.6")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    x, y = digits(given.python)
    table: dict[str, dict[str, list[float]]] = {
        way: {"ours": [], "theirs": [], "forgets": [], "they_forget": [], "weights": []}
        for way in WAYS
    }
    for seed in range(given.seeds):
        task = task_of(x, y, seed)
        other = theirs(task, given.python)
        for way in WAYS:
            outcome, weights = ours(task, way)
            accuracy = np.asarray(other[f"{way} accuracy"], np.float32)
            row = table[way]
            row["ours"].append(100 * outcome.average_accuracy)
            row["theirs"].append(100 * float(accuracy[-1].mean()))
            row["forgets"].append(100 * outcome.forgetting)
            row["they_forget"].append(100 * _forgetting(accuracy))
            row["weights"].append(largest_difference(weights, other, way))
    print(
        f"{'':16}{'accuracy %':>22}{'Avalanche':>22}{'difference, points':>24}{'its error':>10}"
        f"{'forgetting':>12}{'Avalanche':>11}{'weights differ by':>19}"
    )
    for way, row in table.items():
        gaps = [(a - b) / 100 for a, b in zip(row["ours"], row["theirs"], strict=True)]
        error = 100 * stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else math.nan
        print(
            f"{way:16}{spread(row['ours']):>22}{spread(row['theirs']):>22}{points(gaps):>24}"
            f"{error:>10.1f}{fmean(row['forgets']):>12.1f}{fmean(row['they_forget']):>11.1f}"
            f"{max(row['weights']):>19.1e}"
        )
    if given.json:
        write_atomic(given.json, (json.dumps(table, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
