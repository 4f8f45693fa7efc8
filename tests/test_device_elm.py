# SPDX-License-Identifier: Apache-2.0
"""Random features are in C what their meaning says, and help a head that follows."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import acclimate as ac
from acclimate.device.elm.meaning import Elm, Settings, Status, root
from acclimate.errors import BadOption
from acclimate.learn.forward import CentroidHead, RandomFeatures
from device_sandbox import Sandbox, fast_library

NAN, INFINITY = float("nan"), float("inf")
SAMPLES = st.floats(-9, 9, width=32) | st.sampled_from([0.0, 1e-40, 1e6, -1e6])
BAD = st.sampled_from([NAN, INFINITY, -INFINITY, 1.1e6, -1e20])


class CElm:
    """The layer in C, in a sandbox."""

    def __init__(self, chosen: Settings) -> None:
        self.sandbox = Sandbox()
        array, self.s = self.sandbox.array, chosen
        self.state = self.sandbox.new("ac_elm")
        filter_ = array(chosen.channels * chosen.width, np.float32)
        self.mean, self.unit = (array(chosen.features, np.float32) for _ in range(2))
        passed = self.sandbox.new("ac_elm_settings", **asdict(chosen))
        memory = filter_, self.mean, self.unit
        assert self.sandbox.c.ac_elm_start(self.state, passed, *memory) == 0

    def features(self, x: Any) -> tuple[int, Any]:
        y = self.sandbox.array(np.full(self.s.features, 77), np.float32)
        passed = self.sandbox.array(x, np.float32)
        return int(self.sandbox.c.ac_elm_features(self.state, y, passed)), y

    def fit(self, y: Any) -> tuple[int, Any]:
        passed = self.sandbox.array(y, np.float32)
        return int(self.sandbox.c.ac_elm_fit(self.state, passed, len(passed))), passed


@st.composite
def layers(draw: Any) -> Settings:
    length = draw(st.integers(1, 9))
    return Settings(
        draw(st.integers(1, 3)), length, draw(st.integers(1, length)), draw(st.integers(1, 4)),
        draw(st.floats(0, 1000)), draw(st.sampled_from([0.0, 1.7321, 1000.0])),
        draw(st.integers(0, 2**64 - 1)),
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(chosen=layers(), data=st.data(), N=st.integers(1, 5))
def test_features_and_units_are_those_of_the_meaning(chosen: Settings, data: Any, N: int) -> None:
    c, meaning = CElm(chosen), Elm(chosen)
    count = chosen.channels * chosen.length
    shape, shown = (chosen.channels, chosen.length), []
    drawn = st.lists(SAMPLES, min_size=count, max_size=count)
    windows = [np.array(data.draw(drawn), np.float32).reshape(shape) for _ in range(N)]
    for x in windows:
        before, work = c.sandbox.accesses, chosen.features * count * chosen.width
        status, y = c.features(x)
        assert (status, *y) == (0, *meaning.features(x)[1])
        assert c.sandbox.accesses - before < 60 * (work + count + chosen.features + 10)
        shown.append(y)
    status, fitted = c.fit(shown)
    expected, values = meaning.fit(np.array(shown))
    assert status == expected == Status.OK
    np.testing.assert_array_equal(fitted, values)
    np.testing.assert_array_equal(c.mean, meaning.mean)
    np.testing.assert_array_equal(c.unit, meaning.unit)
    for x, y in zip(windows, fitted, strict=True):
        np.testing.assert_array_equal(c.features(x)[1], y)
    assert c.fit(shown)[0] == meaning.fit(np.array(shown))[0] == Status.BAD_CALL


@settings(max_examples=60, deadline=None)
@given(chosen=layers(), data=st.data(), bad=BAD)
def test_what_is_no_number_changes_nothing(chosen: Settings, data: Any, bad: float) -> None:
    c, meaning = CElm(chosen), Elm(chosen)
    x = np.zeros((chosen.channels, chosen.length), np.float32)
    x.flat[data.draw(st.integers(0, x.size - 1))] = bad
    status, y = c.features(x)
    assert status == meaning.features(x)[0] == Status.NOT_FINITE and (y == 77).all()
    shown = np.ones((2, chosen.features), np.float32)
    shown.flat[data.draw(st.integers(0, shown.size - 1))] = bad * 1e10
    status, y = c.fit(shown)
    assert status == meaning.fit(shown)[0] == Status.NOT_FINITE
    np.testing.assert_array_equal(y, shown)
    assert (c.mean == 0).all() and (c.unit == 1).all() and c.state.fitted == 0


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.tuples(*[st.sampled_from([0, 1, 2, 3, 65_536, 65_537, 2**32 - 1])] * 3),
    features=st.integers(0, 3),
    factors=st.tuples(*[st.floats(width=32) | st.sampled_from([0.0, 1.0, 1000.0, NAN])] * 2),
)
def test_settings_are_refused_or_obeyed(sizes: Any, features: int, factors: Any) -> None:
    chosen, c = Settings(*sizes, features, *factors), fast_library()
    room = [np.zeros(4, np.float32) for _ in range(3)]
    passed = c.new("ac_elm_settings", **asdict(chosen))
    started = c.ac_elm_start(c.new("ac_elm"), passed, *room) == 0
    assert started == chosen.possible()


def test_calls_without_a_start_or_without_vectors_have_a_code() -> None:
    c, y = fast_library(), np.zeros(4, np.float32)
    assert c.ac_elm_features(c.new("ac_elm"), y, y) == Status.BAD_CALL
    assert c.ac_elm_fit(c.new("ac_elm"), y, 1) == Status.BAD_CALL
    started = CElm(Settings.usual(1, 2, 1, 2))
    assert fast_library().ac_elm_fit(started.state, y, 0) == Status.BAD_CALL
    assert fast_library().ac_elm_fit(started.state, y, 65_536) == Status.BAD_CALL


def test_roots_are_those_of_ieee_but_for_a_rounding() -> None:
    v = np.geomspace(1e-6, 1e29, 100_000).astype(np.float32)
    np.testing.assert_allclose(root(v), np.sqrt(v.astype(float)), rtol=2**-23)


def test_a_filter_as_long_as_its_window_is_the_layer_of_an_elm() -> None:
    chosen = Settings.usual(1, 20, 20, 50, seed=3)
    x = np.random.default_rng(0).normal(0, 1, (1, 20)).astype(np.float32)
    W, b = Elm(chosen).layer
    expected = np.maximum(chosen.weight * W[:, 0].astype(float) @ x[0] + b, 0)
    np.testing.assert_allclose(CElm(chosen).features(x)[1], expected, rtol=1e-5, atol=1e-6)


def test_weights_are_uniform_and_those_of_filters_and_seeds_have_nothing_in_common() -> None:
    chosen = Settings.usual(4, 50, 50, 100)
    W, b = (layer.astype(float) for layer in Elm(chosen).layer)
    W, other = W.reshape(100, -1), Elm(replace(chosen, seed=1)).layer[0].reshape(100, -1)
    assert abs(W.mean()) < 0.02 and abs(W.var() - 1 / 3) < 0.01  # 20 000 draws, 5 deviations
    assert W.min() < -0.999 and W.max() > 0.999 and np.abs(b).max() <= 3**0.5
    alike = np.corrcoef(np.concatenate([W, other]))
    np.fill_diagonal(alike, 0)
    assert np.abs(alike).max() < 6 / 200**0.5


def waves(N: int, seed: int) -> tuple[Any, Any]:
    """Two frequencies at any phase: the mean of a class says nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, N)
    angle = 2 * np.pi * (np.arange(64) * (labels + 3)[:, None] / 32 + rng.uniform(0, 1, (N, 1)))
    x = np.sin(angle)[:, None] + rng.normal(0, 0.5, (N, 1, 64))
    return x.astype(np.float32), labels


def test_a_head_learns_what_it_cannot_learn_without_random_features() -> None:
    (x, labels), (test, wanted) = waves(200, 0), waves(400, 1)
    layer = RandomFeatures(Settings.usual(1, 64, 16, 64))
    learned = layer.fit(x)
    np.testing.assert_allclose(learned.mean(0), 0, atol=1e-4)
    deviations = learned.std(0)  # below 1 where a feature hardly changes
    assert deviations.max() < 1.0001 and (deviations > 0.9999).mean() > 0.9
    alone, behind = CentroidHead(64, 2), CentroidHead(64, 2)
    alone.learn(x[:, 0], labels)
    behind.learn(learned, labels)
    assert (alone.answers(test[:, 0]) == wanted).mean() < 0.65
    assert (behind.answers(layer.features(test)) == wanted).mean() > 0.9
    assert layer.size_bytes == 4 * (16 + 2 * 64) + 64  # pointers of 64 bits


def test_the_simulated_chip_draws_and_computes_the_same_bits() -> None:
    """Its core has an instruction that joins a product with a sum: the C must not become one."""
    example = (torch.randn(1, 4), torch.tensor([0]))
    firmware = ac.compile(nn.Linear(4, 2), example=example, name="net", target="gap9")
    device: Any = firmware.run("cluster", modules=("elm",))
    chosen = Settings.usual(2, 12, 5, 6, seed=7)
    sizes = {"settings": 64, "state": 128, "filter": 40, "mean": 24, "unit": 24, "x": 96, "y": 24}
    base, memory = device.reserve(sum(sizes.values()))
    starts = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
    passed = bytes(fast_library().new("ac_elm_settings", **asdict(chosen)))
    memory[: len(passed)] = np.frombuffer(passed, np.uint8)
    floats = {name: memory[starts[name] :][: sizes[name]].view(np.float32) for name in ("x", "y")}
    x = np.random.default_rng(0).normal(0, 1, (2, 12)).astype(np.float32)
    floats["x"][:] = x.ravel()
    at = {name: base + start for name, start in starts.items()}
    started = ("state", "settings", "filter", "mean", "unit")
    assert device.call("ac_elm_start", *(at[name] for name in started)) == 0
    assert device.call("ac_elm_features", at["state"], at["y"], at["x"]) == 0
    np.testing.assert_array_equal(floats["y"], Elm(chosen).features(x)[1])


def test_random_features_in_python_say_what_they_refuse() -> None:
    with pytest.raises(BadOption, match="elm refuses"):
        RandomFeatures(Settings.usual(1, 4, 5, 2))
    layer = RandomFeatures(Settings.usual(2, 4, 2, 3))
    with pytest.raises(BadOption, match="elm refuses"):
        layer.features(np.full((1, 2, 4), NAN, np.float32))
    with pytest.raises(BadOption, match="windows of 2 channels and 4 samples"):
        layer.features(np.zeros((1, 4, 2), np.float32))
