# SPDX-License-Identifier: Apache-2.0
"""A drift begins a phase of learning by itself; a stream that stays as it is seldom does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.device.drift.meaning import Drift, Settings, Status
from device_sandbox import Sandbox, fast_library

NAN, INFINITY = float("nan"), float("inf")


class CDrift:
    def __init__(self, chosen: Settings, S: int) -> None:
        self.sandbox = Sandbox()
        self.state = self.sandbox.new("ac_drift")
        self.memory = self.sandbox.array(5 * S, np.float32)
        passed = self.sandbox.new("ac_drift_settings", **asdict(chosen))
        started = self.sandbox.c.ac_drift_start(self.state, passed, S, self.memory)
        assert started == Status.WARMING
        self.S = S

    def push(self, values: Any) -> int:
        vector = self.sandbox.array(values, np.float32)
        return int(self.sandbox.c.ac_drift_push(self.state, vector))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), S=st.integers(1, 4), jump=st.sampled_from([0.0, 0.8, 3.0]),
    chosen=st.builds(Settings, st.integers(2, 30), st.integers(1, 10),
                     st.sampled_from([0.0, 0.25]), st.sampled_from([2.0, 8.0])),
)  # fmt: skip
def test_any_stream_is_judged_as_the_meaning_says(
    seed: int, S: int, jump: float, chosen: Settings
) -> None:
    rng = np.random.default_rng(seed)
    c, meaning = CDrift(chosen, S), Drift(chosen, S)
    for t in range(90):
        values = rng.normal(jump * (t > 50), 1, S).astype(np.float32)
        if t % 20 == 7:
            values[0] = rng.choice([NAN, INFINITY, 2e6])
        before = c.sandbox.accesses
        found, expected = c.push(values), meaning.push(values.astype(np.float64))
        assert c.sandbox.accesses - before < 80 + 60 * S
        sums = np.concatenate([meaning.up, meaning.down])
        if np.abs(sums - chosen.threshold).min() < 1e-3:
            return  # rounding may decide either way
        assert found == expected
        if found in (Status.STABLE, Status.WARMING):
            np.testing.assert_allclose(c.memory[3 * S :], sums, rtol=1e-3, atol=2e-3)
        assert (c.state.drifts, c.state.left) == (meaning.drifts, meaning.left)


def test_a_change_begins_a_phase_that_ends_in_a_new_warm_up() -> None:
    rng = np.random.default_rng(0)
    c = CDrift(Settings(warm_up=50, learn=3), 2)
    codes = [c.push(rng.normal(0, 1, 2)) for _ in range(150)]
    assert codes == [Status.WARMING] * 50 + [Status.STABLE] * 100
    codes = [c.push([rng.normal(0, 1), rng.normal(-3, 1)]) for _ in range(30)]
    at = codes.index(Status.BEGIN)
    assert at < 12 and codes[:at] == [Status.STABLE] * at
    assert codes[at : at + 3] == [Status.BEGIN, Status.LEARNING, Status.ENDED]
    assert set(codes[at + 3 :]) == {Status.WARMING}
    assert (c.state.drifts, c.state.value) == (1, 1)


def test_false_alarms_are_rare() -> None:
    """Twenty streams of 1 000 samples after the warm-up, each value normal."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        c = CDrift(Settings(), 1)
        alarms += sum(c.push(rng.normal(5, 2, 1)) == Status.BEGIN for _ in range(1100))
    assert alarms <= 2


def test_one_outlier_is_no_drift_and_a_constant_value_is_defined() -> None:
    c = CDrift(Settings(warm_up=10), 1)
    for value in [1.0] * 20 + [1e6] + [1.0] * 20:
        assert c.push([value]) in (Status.WARMING, Status.STABLE)


def test_the_user_may_begin_a_phase() -> None:
    c = CDrift(Settings(learn=2), 1)
    assert c.sandbox.c.ac_drift_begin(c.state) == Status.BEGIN
    assert [c.push([0.0]) for _ in range(3)] == [Status.LEARNING, Status.ENDED, Status.WARMING]
    assert c.state.value == -1


@pytest.mark.parametrize(
    "change",
    [{"warm_up": 1}, {"warm_up": 1_000_001}, {"learn": 0}, {"slack": -1.0}, {"slack": NAN},
     {"threshold": 0.0}, {"clip": 0.0}, {"clip": INFINITY}, {}],
)  # fmt: skip
def test_settings_are_refused_or_obeyed(change: dict[str, Any]) -> None:
    c, chosen = fast_library(), Settings(**change)
    passed, memory = c.new("ac_drift_settings", **asdict(chosen)), np.zeros(5, np.float32)
    started = c.ac_drift_start(c.new("ac_drift"), passed, 1, memory)
    assert (started == Status.WARMING) == chosen.possible() == (not change)
    assert c.ac_drift_start(c.new("ac_drift"), passed, 1025, memory) == Status.BAD_CALL


def test_defaults_are_those_of_the_meaning() -> None:
    c = fast_library()
    made = c.new("ac_drift_settings")
    c.ac_drift_defaults(made)
    assert {name: getattr(made, name) for name, *_ in made._fields_} == asdict(Settings())
    assert c.ac_drift_push(c.new("ac_drift"), np.zeros(1, np.float32)) == Status.BAD_CALL
