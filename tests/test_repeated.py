# SPDX-License-Identifier: Apache-2.0
"""Calls of device modules, made again on the simulated cluster."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from acclimate.device.rce.meaning import Settings
from acclimate.errors import BadOption
from acclimate.learn.forward import (
    MODULES,
    CentroidHead,
    Head,
    RceHead,
    SldaHead,
    TinyOlHead,
    head_cost,
    recorded,
)
from acclimate.learn.protocol import Experience, Labelled, Streaming
from acclimate.learn.repeated import repeat

N, CLASSES, SAMPLES = 6, 3, 12
HEADS: dict[str, Callable[[], Head]] = {
    "centroids": lambda: CentroidHead(N, CLASSES),
    "slda": lambda: SldaHead(N, CLASSES),
    "tinyol": lambda: TinyOlHead(N, CLASSES),
    "rce": lambda: RceHead(Settings(), N, 8),
}


def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    y = np.arange(SAMPLES) % CLASSES
    x = rng.standard_normal((SAMPLES, N)) + 2.0 * np.eye(CLASSES, N)[y]
    return x.astype(np.float32), y.astype(np.int64)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_learns_on_the_cluster_what_it_learns_here(name: str) -> None:
    x, y = samples()
    with recorded() as seen:
        head = HEADS[name]()
        for number in range(SAMPLES):
            head.learn(x[number : number + 1], y[number : number + 1])
        head.answers(x)
    found = repeat(seen.calls, MODULES, "gap9")
    assert len(found.cycles) == len(seen.calls) and min(found.cycles) > 0
    kept = {id(v): v for made in seen.calls for v in made.values if isinstance(v, np.ndarray)}
    assert any(value.any() for value in kept.values())
    for key, value in kept.items():
        np.testing.assert_allclose(found.memory[key], value, rtol=1e-5, atol=1e-6)


def test_calls_outside_are_not_kept() -> None:
    with recorded() as seen:
        pass
    CentroidHead(N, CLASSES)
    assert not seen.calls


def test_what_a_head_costs() -> None:
    x, y = samples()
    costs = {name: head_cost(make, x, y) for name, make in HEADS.items()}
    assert costs["slda"].solve > costs["slda"].learn > costs["centroids"].learn > 100
    assert costs["centroids"].solve == costs["tinyol"].solve == 0
    assert all(cost.classify > 100 for cost in costs.values())
    with pytest.raises(BadOption, match="no cluster"):
        head_cost(HEADS["slda"], x, y, target="stm32f407")


def test_energy_of_a_streaming_head_is_what_it_learned() -> None:
    x, y = samples()
    cost = head_cost(HEADS["slda"], x, y)
    strategy = Streaming(SldaHead(N, CLASSES), CLASSES, cost=cost)
    for _ in range(2):
        strategy.learn(Experience("one", Labelled(x, y), Labelled(x, y), (0, 1, 2)))
    price = strategy.price()
    assert price.calls == {"learn": 2 * SAMPLES}
    cycles = 2 * SAMPLES * cost.learn + 2 * cost.solve
    assert price.energy_mj == pytest.approx(cycles / 240e6 * 40.6, rel=1e-3)
    assert Streaming(SldaHead(N, CLASSES), CLASSES).price().energy_mj is None
