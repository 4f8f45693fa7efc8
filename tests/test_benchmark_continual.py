# SPDX-License-Identifier: Apache-2.0
"""Our side of the comparison with another library, which the tests do without."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from acclimate.learn.protocol import Outcome

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "continual.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("continual", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["continual"] = module
    spec.loader.exec_module(module)
    return module


def made_digits() -> tuple[np.ndarray, np.ndarray]:
    """Ten clusters in 64 dimensions."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 40)
    x = rng.uniform(0, 1, (10, 64))[y] + 0.1 * rng.standard_normal((len(y), 64))
    return np.clip(x, 0, 1).astype(np.float32), y


def test_the_other_side_gets_samples_in_the_order_in_which_we_learn_them(
    benchmark: ModuleType,
) -> None:
    task = benchmark.task_of(*made_digits(), 3)
    _, weights = benchmark.ours(task, "naive")
    given = benchmark.arrays_of(task)
    model = copy.deepcopy(task.model)
    optimizer = torch.optim.SGD(model.parameters(), lr=benchmark.LR)
    for k in range(int(given["experiences"])):
        x, y = (torch.from_numpy(given[f"train_{part}_{k}"]) for part in "xy")
        for at in range(0, len(y), benchmark.BATCH):
            optimizer.zero_grad()
            part = slice(at, at + benchmark.BATCH)
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
    other = {}
    for k, layer in enumerate((model[0], model[2])):
        other[f"naive weight_{k}"] = layer.weight.detach().numpy()
        other[f"naive bias_{k}"] = layer.bias.detach().numpy()
    assert benchmark.largest_difference(weights, other, "naive") < 1e-4


def test_every_way_learns_and_who_has_old_samples_keeps_what_it_knew(benchmark: ModuleType) -> None:
    task = benchmark.task_of(*made_digits(), 0)
    found: dict[str, Outcome] = {way: benchmark.ours(task, way)[0] for way in benchmark.WAYS}
    assert all(outcome.learning_accuracy > 0.6 for outcome in found.values())
    assert found["replay"].forgetting < 0.3 < found["naive"].forgetting
    assert found["joint"].forgetting < 0.1
    assert benchmark._forgetting(found["naive"].accuracy) == pytest.approx(
        found["naive"].forgetting
    )
