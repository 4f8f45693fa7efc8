# SPDX-License-Identifier: Apache-2.0
"""Latent replay: the memory of the protocol is the device module, in its bytes and its draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import acclimate as ac
from acclimate.device.replay.meaning import CBRS, ECBRS, RESERVOIR
from acclimate.errors import BadOption
from acclimate.learn.protocol import (
    CwrReplay,
    Labelled,
    LatentMemory,
    Replay,
    Schedule,
    class_incremental,
    groups_of,
    minibatch,
    run,
)


@settings(deadline=None)  # the first example compiles
@given(
    slots=st.integers(1, 9), shape=st.sampled_from([(3,), (2, 3), (1, 2, 2)]),
    bits=st.sampled_from([1, 3, 4, 6, 7, 8]), seed=st.integers(0, 99),
    policy=st.sampled_from([RESERVOIR, CBRS, ECBRS]), offered=st.integers(0, 25),
)  # fmt: skip
def test_the_c_keeps_and_draws_what_its_meaning_does(
    slots: int, shape: tuple[int, ...], bits: int, seed: int, policy: int, offered: int
) -> None:
    rng = np.random.default_rng(seed)
    both = [LatentMemory(slots, 4, shape, 2.0, bits, policy, seed, in_c=c) for c in (False, True)]
    for _ in range(offered):
        x, y = rng.uniform(-0.5, 2.5, shape).astype(np.float32), int(rng.integers(4))
        for memory in both:
            memory.insert(x, y)
        meaning, in_c = (memory.draw(3) for memory in both)
        assert np.array_equal(meaning.x, in_c.x) and np.array_equal(meaning.y, in_c.y)
        assert meaning.x.shape == (min(3, len(both[0])), *shape)
    assert len(both[0]) == len(both[1]) == min(offered, slots)


@pytest.mark.parametrize("bits", [4, 6, 7, 8, 32])
def test_memory_is_the_formula_and_errors_are_half_a_step(bits: int) -> None:
    memory = LatentMemory(10, 2, (8, 4, 4), greatest=3.0, bits=bits)
    assert memory.size_bytes() == 10 * 128 * bits // 8
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 3, (8, 4, 4)).astype(np.float32)
    memory.insert(x, 1)
    (read,) = memory.draw(1).x
    assert np.abs(read - x).max() <= (0 if bits == 32 else 3.0 / (2**bits - 1) / 2 + 1e-6)


def test_the_c_takes_as_many_bytes_as_the_memory_says() -> None:
    memory = LatentMemory(7, 3, (5,), 1.0, bits=7, in_c=True)
    assert memory.size_bytes() == 7 * 5  # 35 bits are 5 bytes
    assert memory.replay._kept[-1].size == memory.size_bytes()  # type: ignore[union-attr]


def test_minibatches_share_new_and_stored_samples_as_published() -> None:
    assert minibatch(300, 1500, 128) == (21, 107)  # Pellegrini et al., the "21107" of its files
    assert sum(minibatch(300, 500, 64)) == 64


@pytest.mark.parametrize("wrong", [{"bits": 9}, {"bits": 0}, {"capacity": 0}, {"greatest": 0.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadOption, match="memory of latents"):
        LatentMemory(**{"capacity": 4, "classes": 2, "shape": (3,), "greatest": 1.0, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("in_c", [False, True])
def test_latents_that_are_no_numbers_are_refused(in_c: bool) -> None:
    memory = LatentMemory(4, 2, (2,), 1.0, in_c=in_c)
    with pytest.raises(BadOption, match="NOT_FINITE"):
        memory.insert(np.array([1.0, np.nan], np.float32), 0)
    with pytest.raises(BadOption, match="BAD_CALL"):
        memory.insert(np.zeros(2, np.float32), 2)
    assert len(memory) == 0


def test_a_scenario_with_latents_forgets_less_and_is_the_same_in_c() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 2, (4, 6))
    y = np.tile(np.arange(4), 60)
    x = np.maximum(centres[y] + 0.2 * rng.standard_normal((240, 6)), 0).astype(np.float32)
    train, test = Labelled(x[:160], y[:160]), Labelled(x[160:], y[160:])
    scenario = class_incremental(train, test, groups_of(4, 2))
    firmware = ac.compile(
        model, example=(torch.zeros(1, 6), torch.tensor([0])), name="tail",
        entries=("predict", "accumulate", "apply"),
    )  # fmt: skip
    outcomes = []
    for in_c in (False, True):
        memory = LatentMemory(40, 4, (6,), float(x.max()), bits=6, in_c=in_c)
        strategy = Replay(firmware, Schedule(epochs=15, lr=0.1, batch=8), memory)
        outcomes.append(run(scenario, strategy))
        assert outcomes[-1].price.ram_bytes == firmware.plan.ram_bytes + 40 * -(-6 * 6 // 8)
    assert np.array_equal(outcomes[0].accuracy, outcomes[1].accuracy)
    assert outcomes[0].average_accuracy > 0.9 and outcomes[0].forgetting < 0.2


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc1(x)


def consolidated(
    kept: np.ndarray, rows: np.ndarray, past: np.ndarray, now: np.ndarray
) -> np.ndarray:
    """The formulas of the source, row by row."""
    out, seen = kept.copy(), [k for k in range(len(now)) if now[k]]
    mean = np.mean([rows[k] for k in seen])
    for k in seen:
        w = rows[k] - mean
        r = np.sqrt(past[k] / now[k])
        out[k] = w if past[k] == 0 else (kept[k] * r + w) / (r + 1)
    return out


def test_cwr_consolidates_the_rows_of_the_classes_it_sees() -> None:
    torch.manual_seed(0)
    firmware = ac.compile(
        Head(), example=(torch.zeros(1, 6), torch.tensor([0])), name="tail",
        entries=("predict", "accumulate", "apply"),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), [10, 14, 6, 8])
    x = rng.uniform(0, 2, (len(y), 6)).astype(np.float32)
    scenario = class_incremental(Labelled(x, y), Labelled(x, y), [[0, 1], [2], [3]])
    memory = LatentMemory(12, 4, (6,), 2.0)
    strategy = CwrReplay(firmware, Schedule(epochs=2, lr=0.1, batch=2), memory)
    head = strategy.device.weights

    def rows() -> np.ndarray:
        return np.concatenate([head["fc1.weight"], head["fc1.bias"][:, None]], 1)

    kept, past = np.zeros((4, 7)), np.zeros(4)
    step, before = strategy.step, {}

    def watched(*data: np.ndarray) -> float:
        before.setdefault("first", rows().copy())
        loss = step(*data)
        before["last"] = rows().copy()
        return loss

    strategy.step = watched  # type: ignore[method-assign]
    for number, experience in enumerate(scenario.experiences):
        before.clear()
        now = np.bincount([*experience.train.y, *memory.replay.labels], minlength=4)
        initial = rows().copy()
        (strategy.learn if number else strategy.keep)(experience)
        if number:
            assert np.allclose(before["first"], np.where(now[:, None] > 0, kept, 0), atol=1e-6)
        kept = consolidated(kept, before.get("last", initial), past, now)
        past += now
        assert np.allclose(rows(), kept, atol=1e-6), "the consolidated head answers"
    assert strategy.kept_bytes() == memory.size_bytes() + 4 * (4 * 7 + 4)


def test_cwr_wants_a_layer_that_learns() -> None:
    firmware = ac.compile(
        Head(), example=(torch.zeros(1, 6), torch.tensor([0])), name="tail",
        entries=("predict", "accumulate", "apply"),
    )  # fmt: skip
    with pytest.raises(BadOption, match="no layer 'head'"):
        CwrReplay(firmware, Schedule(), LatentMemory(4, 4, (6,), 1.0), head="head")
