# SPDX-License-Identifier: Apache-2.0
"""The search for what to train: gains are real, sets fit when compiled, the best one is found."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.errors import BadExample, BadOption, DoesNotFit
from acclimate.policy.contribution import BIASES, Candidate
from acclimate.policy.search import Chosen, Need, Search


def task() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A small network whose last layer was turned: training it again lowers the loss most."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)
    )
    x = torch.randn(48, 1, 6, 6)
    with torch.no_grad():
        y = model(x).argmax(1)
        model[5].weight.copy_(model[5].weight.roll(1, 0))
    return model, (x, y)


def auto(data: tuple[Tensor, Tensor], budget: str, **options: Any) -> ac.Auto:
    options = {"optimizer": ac.SGD(lr=0.05), "steps": 8, "batch": 4, "compiles": 8, **options}
    return ac.Auto(budget, data, **options)


def ram_bytes(model: nn.Module, data: tuple[Tensor, Tensor], policy: Any, batch: int = 4) -> int:
    example = (data[0][:batch], data[1][:batch])
    options: dict[str, Any] = {"optimizer": ac.SGD(lr=0.05), "update": policy}
    return ac.compile(model, example=example, **options).plan.ram_bytes


def test_gains_are_falls_of_the_loss() -> None:
    model, data = task()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = auto(data, "9 kB").contributions(model)
    gains = {repr(c.policy): c.gain for c in found}
    assert len(gains) == 12  # 1 + 4 + 4 weights of 1, 8 and 32 channels, 3 depths of biases
    rising = [gains[f"SparseChannels({{'5': {f}}}, bias=False)"] for f in (0.125, 0.25, 0.5, 1.0)]
    assert rising[0] > 0 and rising == sorted(rising)
    assert gains["BiasOnly(head=False, last=3)"] > gains["BiasOnly(head=False, last=1)"] > 0
    assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items())
    again = auto(data, "9 kB").contributions(model)
    assert [c.gain for c in found] == [c.gain for c in again]


@pytest.mark.parametrize("budget", ["9 kB", "7 kB"])
def test_the_answer_fits_when_compiled_and_is_code(budget: str) -> None:
    model, data = task()
    policy = auto(data, budget).search(model)
    needed = ram_bytes(model, data, policy)
    assert needed <= int(budget.split(maxsplit=1)[0]) * 1000 < ram_bytes(model, data, ac.All())
    names = {name: getattr(ac, name) for name in ac.__all__}
    assert eval(repr(policy), names) == policy


def test_a_policy_of_compile() -> None:
    model, data = task()
    policy = auto(data, "7 kB")
    example = (data[0][:4], data[1][:4])
    firmware = ac.compile(model, example=example, update=policy, optimizer=ac.SGD(lr=0.05))
    assert firmware.plan.ram_bytes <= 7000
    x, y = (part.numpy() for part in data)
    device = firmware.run("host")
    losses = [device.train(x[i : i + 4], y[i : i + 4]) for i in range(0, 48, 4) for _ in range(3)]
    assert np.mean(losses[-6:]) < np.mean(losses[:6])


def test_nothing_fits() -> None:
    model, data = task()
    with pytest.raises(DoesNotFit, match="no candidate fits") as caught:
        auto(data, "1 kB", steps=2).search(model)
    assert "the smallest is" in str(caught.value)
    smallest = int(str(caught.value.hint).split("=")[1].split(",")[0])
    assert auto(data, str(smallest), steps=2).search(model)


def test_nothing_helps() -> None:
    model, (x, y) = task()
    with pytest.raises(BadOption, match="no candidate lowers the loss"):
        auto((x, y), "9 kB", optimizer=ac.SGD(lr=0.0)).search(model)


def test_text_names_the_options_that_were_given() -> None:
    _, data = task()
    policy = ac.Auto("64 kB", data, loss="cross_entropy", optimizer=ac.SGD(lr=0.05), steps=3)
    text = repr(policy)
    assert text.startswith("Auto(budget='64 kB', data=(x, y), optimizer=SGD(lr=0.05")
    names = {"x": data[0], "y": data[1], **{name: getattr(ac, name) for name in ac.__all__}}
    assert repr(eval(text, names)) == text


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"budget": "64 kilo"}, BadOption),
        ({"data": torch.zeros(3)}, BadOption),
        ({"steps": 0}, BadOption),
    ],
)
def test_bad_options(change: dict[str, Any], kind: type[Exception]) -> None:
    _, data = task()
    with pytest.raises(kind):
        ac.Auto(**{"budget": "64 kB", "data": data, **change})


def test_too_few_samples() -> None:
    model, (x, y) = task()
    with pytest.raises(BadExample, match="at least 5 samples"):
        auto((x[:4], y[:4]), "9 kB").search(model)


def knapsack(seed: int) -> tuple[Search, float]:
    """A search with made-up memory that grows with the set, and the best sum of gains."""
    rng = np.random.default_rng(seed)
    found, static, arena, gains = [], [], [], []
    for group in ("a", "b", "c", "d", BIASES):
        base = rng.integers(1, 20, 2)
        for level in range(3):
            found.append(Candidate(group, level, ac.Head()))
            static.append(int(base[0]) + level * 2)
            arena.append(int(base[1]) + level * 3)
            gains.append(float(rng.uniform(0.1, 1.0)))

    def measure(chosen: Chosen) -> Need | None:
        numbers = sorted(chosen)
        kept = sum(arena[i] for i in numbers) // 2 + max(arena[i] for i in numbers)
        return Need(2 + sum(static[i] for i in numbers), kept)

    search = Search(found, gains, measure, 60, 2, 200)
    sets = [
        frozenset(3 * group + level for group, level in enumerate(levels) if level >= 0)
        for levels in product((-1, 0, 1, 2), repeat=5)
    ]
    fits = [s for s in sets if s and measure(s).ram_bytes <= 60]
    return search, max(sum(gains[i] for i in s) for s in fits)


@pytest.mark.parametrize("seed", range(6))
def test_search_finds_the_best_set(seed: int) -> None:
    search, best = knapsack(seed)
    chosen = search.run()
    assert chosen is not None and search.fits(chosen)
    assert search.gain(chosen) == pytest.approx(best)


def test_search_keeps_to_its_limit() -> None:
    search, _ = knapsack(0)
    search.limit = 1
    chosen = search.run()
    assert chosen is not None and search.fits(chosen)
    assert len(search.needs) <= 15 + 1 + 5


def test_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[1] / "docs" / "policies.md"
    first, second = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(first, names)
    full, head, sparse = (int(line.split()[-1]) for line in capsys.readouterr().out.splitlines())
    assert head < sparse < full
    exec(second, names)
    options = {"example": names["example"], "optimizer": ac.SGD(lr=0.05)}
    firmware = ac.compile(names["model"], update=names["policy"], **options)
    assert firmware.plan.ram_bytes <= 48000
