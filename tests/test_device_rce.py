# SPDX-License-Identifier: Apache-2.0
"""RCE fits what can be fitted, keeps its cap, and is in C what its meaning says."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from acclimate.device.rce.meaning import BASELINE, NONE, Rce, Settings, Status
from acclimate.device.vector.meaning import distances, dots
from device_sandbox import Sandbox, fast_library

NAN, INFINITY = float("nan"), float("inf")
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
# Few values, so that vectors meet; tiny and huge ones, whose squares leave the range of numbers.
FEATURES = st.sampled_from([0.0, 1.0, -1.0, 0.5, 3.0, 1e-30, 3e38]) | st.floats(-4, 4, width=32)


class CRce:
    """The classifier in C, in a sandbox or as a user runs it."""

    def __init__(
        self, chosen: Settings, n: int, capacity: int, sandbox: Sandbox | None = None
    ) -> None:
        self.c: Any = sandbox.c if sandbox else fast_library()
        new = sandbox.new if sandbox else self.c.new
        array = sandbox.array if sandbox else np.zeros
        self.state, self.result = new("ac_rce"), new("ac_rce_result")
        self.array = array
        self.memory = array(capacity * n + 1, np.float32)
        self.memory[-1] = 77
        self.neurons = array(capacity * 12, np.uint8)
        passed = new("ac_rce_settings", **asdict(chosen))
        arguments = (self.state, passed, n, self.memory, self.neurons, capacity)
        assert self.c.ac_rce_start(*arguments) == 0

    def learn(self, x: Any, label: int) -> int:
        vector = self.array(np.shape(x)[0], np.float32)
        vector[:] = x
        return int(self.c.ac_rce_learn(self.state, vector, label))

    def classify(self, x: Any) -> int:
        vector = self.array(np.shape(x)[0], np.float32)
        vector[:] = x
        return int(self.c.ac_rce_classify(self.state, vector, self.result))

    def fit(self, x: Any, labels: Any, epochs: int) -> int:
        x, labels = np.ascontiguousarray(x, np.float32), np.asarray(labels, np.uint16)
        return int(self.c.ac_rce_fit(self.state, x, labels, len(x), epochs))

    def neuron(self, field: str) -> Any:
        kind = np.dtype([("radii", "f4"), ("ages", "f4"), ("labels", "u2"), ("pad", "u2")])
        return self.neurons.view(kind)[field][: self.state.count]

    @property
    def centres(self) -> Any:
        return self.memory[: self.state.count * self.state.n].reshape(-1, self.state.n)


def assert_same(c: CRce, meaning: Rce) -> None:
    assert c.state.count == len(meaning.radii) <= c.state.capacity
    np.testing.assert_array_equal(c.centres, meaning.centres)
    for name in ("radii", "ages", "labels"):
        np.testing.assert_array_equal(c.neuron(name), getattr(meaning, name), err_msg=name)
    for name in ("changes", "removed", "conflicts", "distances"):
        assert getattr(c.state, name) == getattr(meaning, name), name
    assert c.memory[-1] == 77


class Session(RuleBasedStateMachine):
    """Samples, epochs and questions in any order, in a sandbox; the meaning goes along."""

    @initialize(
        chosen=st.builds(
            Settings, reach=st.sampled_from([0.01, 0.5, 2.0, 1e6]),
            least=st.sampled_from([0.0, 0.01]), relief=st.sampled_from([0.0, 1.0]),
            idle=st.sampled_from([0.0, 0.1, 1.0]), blame=st.sampled_from([0.0, 1.0, 1e6]),
            bounded=st.integers(0, 1), refuse=st.integers(0, 1),
        ),
        n=st.integers(1, 3), capacity=st.integers(1, 5),
    )  # fmt: skip
    def start(self, chosen: Settings, n: int, capacity: int) -> None:
        self.sandbox = Sandbox()
        self.c = CRce(chosen, n, capacity, self.sandbox)
        self.meaning = Rce(chosen, n, capacity)

    def vector(self, data: Any) -> Any:
        return np.array(data.draw(st.tuples(*[FEATURES] * self.meaning.n)), np.float32)

    @rule(data=st.data(), label=st.integers(-1, 3) | st.sampled_from([65535, 65536]))
    def learn(self, data: Any, label: int) -> None:
        x = self.vector(data)
        before = self.sandbox.accesses
        assert self.c.learn(x, label) == self.meaning.learn(x, label)
        assert self.sandbox.accesses - before < 60 * (1 + 5 * (3 + self.meaning.n))

    @rule(data=st.data())
    def classify(self, data: Any) -> None:
        x = self.vector(data)
        answer = self.meaning.classify(x)
        assert self.c.classify(x) == answer.status
        result = self.c.result
        assert (result.label, result.neuron, result.fired) == (
            answer.label, answer.neuron, answer.fired,
        )  # fmt: skip
        assert result.distance == answer.distance

    @rule(data=st.data(), bad=st.sampled_from([NAN, INFINITY, -INFINITY]))
    def refuse(self, data: Any, bad: float) -> None:
        x = self.vector(data)
        x[data.draw(st.integers(0, len(x) - 1))] = bad
        assert self.c.learn(x, 0) == self.meaning.learn(x, 0) == Status.NOT_FINITE
        assert self.c.classify(x) == self.meaning.classify(x).status == Status.NOT_FINITE

    @rule()
    def end_epoch(self) -> None:
        assert self.c.c.ac_rce_end_epoch(self.c.state) == self.meaning.end_epoch()

    @precondition(lambda self: hasattr(self, "meaning"))
    @invariant()
    def agree(self) -> None:
        assert_same(self.c, self.meaning)
        assert (self.meaning.radii > 0).all() and (self.meaning.ages >= 0).all()


TestSession = Session.TestCase
TestSession.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def distinct(rng: Any, F: int, n: int, classes: int) -> tuple[Any, Any]:
    x = np.unique(rng.integers(-6, 7, (F, n)), axis=0).astype(np.float32) / 4
    return x[rng.permutation(len(x))], rng.integers(0, classes, len(x))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), classes=st.integers(1, 5),
    reach=st.sampled_from([0.1, 0.75, 5.0]), bounded=st.integers(0, 1),
)  # fmt: skip
def test_without_a_cap_and_conflicts_a_training_set_is_fitted_exactly(
    seed: int, n: int, classes: int, reach: float, bounded: int
) -> None:
    x, y = distinct(np.random.default_rng(seed), 120, n, classes)
    chosen = replace(BASELINE, reach=reach, bounded=bounded)
    c, meaning = CRce(chosen, n, len(x)), Rce(chosen, n, len(x))
    assert c.fit(x, y, 200) == meaning.fit(x, y, 200) == Status.CONVERGED
    assert_same(c, meaning)
    for vector, label in zip(x, y, strict=True):
        assert c.classify(vector) == Status.KNOWN, "no neuron of another label fires"
        assert c.result.label == label


@pytest.mark.parametrize("refuse", [0, 1])
def test_a_million_random_presentations_never_exceed_the_cap(refuse: int) -> None:
    rng = np.random.default_rng(refuse)
    c = CRce(Settings(refuse=refuse, reach=0.2), 4, 32)
    for _ in range(100):
        x = rng.standard_normal((10_000, 4)).astype(np.float32)
        c.fit(x, rng.integers(0, 8, len(x)), 1)
        assert c.state.count <= 32 and c.memory[-1] == 77
        assert np.isfinite(c.neuron("ages")).all() and (c.neuron("radii") > 0).all()
    assert c.state.distances > 25_000_000
    assert refuse or c.state.removed > 100_000


def test_the_cost_is_that_of_the_source() -> None:
    """300 neurons, 24 features: 39 000 multiply-accumulates a sample, 23.4 M for 600 samples."""
    n, h = 24, 300
    x = 100 * np.eye(h, n, dtype=np.float32) + np.arange(h, dtype=np.float32)[:, None]
    c = CRce(replace(BASELINE, reach=0.01), n, h)
    c.fit(x, np.zeros(h), 1)
    assert c.state.count == h
    before = c.state.distances
    c.fit(np.tile(x[:1], (600, 1)), np.zeros(600), 1)
    per_distance = 5 * n + 10
    assert (c.state.distances - before) * per_distance == 23_400_000
    before = c.state.distances
    c.classify(x[0])
    assert (c.state.distances - before) * per_distance == 39_000


def test_one_class_needs_no_more_than_its_balls() -> None:
    rng = np.random.default_rng(0)
    c = CRce(Settings(), 3, 64)
    for x in rng.normal(0, 0.1, (200, 3)):
        c.learn(x, 5)
    assert c.state.count == 1 and c.classify([0, 0, 0]) == Status.KNOWN and c.result.label == 5
    assert c.classify([9, 9, 9]) == Status.UNKNOWN and c.result.label == 5


def test_nothing_learned_is_unknown_without_a_label() -> None:
    c = CRce(Settings(), 2, 4)
    assert c.classify([1, 2]) == Status.UNKNOWN
    assert (c.result.label, c.result.neuron, c.result.fired) == (NONE, NONE, 0)


def test_constant_features_change_nothing_but_the_unit() -> None:
    c = CRce(Settings(), 2, 8)
    for value, label in ((0.0, 0), (5.0, 1), (0.1, 0), (5.1, 1)):
        c.learn([value, 3.0], label)
    assert c.state.count == 2
    assert c.classify([4.9, 3.0]) == Status.KNOWN and c.result.label == 1


def test_the_first_of_two_labels_at_one_place_stays() -> None:
    c = CRce(Settings(), 2, 8)
    assert [c.learn([1, 1], label) for label in (3, 4, 3)] == [
        Status.ADDED, Status.CONFLICT, Status.KNOWN,
    ]  # fmt: skip
    assert c.state.conflicts == 1 and c.state.count == 1
    assert c.classify([1, 1]) == Status.KNOWN and c.result.label == 3


def test_the_nearest_of_the_balls_that_fire_wins() -> None:
    c = CRce(replace(BASELINE, reach=3.0, bounded=0), 1, 4)
    for value, label in ((0.0, 0), (2.9, 1)):
        c.learn([value], label)
    assert c.neuron("radii")[0] == np.float32(2.9) ** 2  # shrunk; that of label 1 is still 3
    assert c.classify([1.0]) == Status.AMBIGUOUS
    assert (c.result.label, c.result.fired) == (0, 2)
    assert c.classify([2.0]) == Status.AMBIGUOUS and c.result.label == 1


def test_the_least_useful_neuron_makes_room() -> None:
    c = CRce(Settings(reach=0.1, idle=0.1), 1, 3)
    for value in (0.0, 1.0, 2.0, 0.0, 2.0, 2.0):
        c.learn([value], 7)
    assert c.neuron("ages").argmax() == 1, "nobody came back to 1.0"
    assert c.learn([9.0], 7) == Status.REPLACED
    assert list(c.centres[:, 0]) == [0, 9, 2]


def test_small_balls_are_removed_at_the_end_of_an_epoch() -> None:
    c = CRce(Settings(reach=1.0, least=0.5), 1, 8)
    for value, label in ((0.0, 0), (0.3, 1), (5.0, 0)):
        c.learn([value], label)
    assert c.state.count == 3
    assert c.c.ac_rce_end_epoch(c.state) == Status.CHANGED
    assert list(c.centres[:, 0]) == [5.0] and c.state.removed == 2
    assert c.c.ac_rce_end_epoch(c.state) == Status.CONVERGED


def test_what_is_unknown_is_asked_for_and_learned_at_once() -> None:
    sandbox = Sandbox()
    c, meaning = CRce(Settings(), 2, 4, sandbox), Rce(Settings(), 2, 4)
    asked: list[int] = []
    labels = iter([3, -1, 4, 70_000])

    def answer(_: Any, __: Any, guess: int) -> int:
        asked.append(guess)
        return next(labels)

    ask = c.c.library.callback("ac_rce_ask", answer)
    said = iter([3, -1, 4, 70_000])
    seen = []
    for x in ([0, 0], [0, 0.1], [8, 8], [8, 8], [8, 8.1], [-9, 0]):
        vector = sandbox.array(np.array(x, np.float32), np.float32)
        status = c.c.ac_rce_serve(c.state, vector, ask, None, c.result)
        assert (status, c.result.label) == meaning.serve(vector, lambda *_: next(said))
        seen.append((status, c.result.label))
    assert asked == [NONE, 3, 3, 3]
    assert seen == [(Status.ADDED, 3), (Status.KNOWN, 3), (Status.UNKNOWN, 3), (Status.ADDED, 4),
                    (Status.KNOWN, 4), (Status.BAD_CALL, 3)]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    values=st.tuples(*[st.floats(width=32) | st.sampled_from([0.0, 1.0, NAN])] * 5),
    flags=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_settings_are_refused_or_obeyed(values: Any, flags: Any) -> None:
    chosen, c = Settings(*values, *flags), fast_library()
    passed = c.new("ac_rce_settings", **asdict(chosen))
    room = np.zeros(8, np.float32), np.zeros(48, np.uint8)
    started = c.ac_rce_start(c.new("ac_rce"), passed, 2, *room, 4) == 0
    assert started == chosen.possible()


def test_defaults_are_those_of_the_meaning() -> None:
    c = fast_library()
    for function, expected in ((c.ac_rce_defaults, Settings()), (c.ac_rce_baseline, BASELINE)):
        made = c.new("ac_rce_settings")
        function(made)
        for name, value in asdict(expected).items():
            assert getattr(made, name) == np.float32(value), name


def test_calls_without_a_start_have_a_code() -> None:
    c = fast_library()
    state, x, labels = c.new("ac_rce"), np.zeros(2, np.float32), np.zeros(1, np.uint16)
    assert c.ac_rce_learn(state, x, 0) == Status.BAD_CALL
    assert c.ac_rce_fit(state, x, labels, 1, 1) == Status.BAD_CALL
    assert c.ac_rce_classify(state, x, c.new("ac_rce_result")) == Status.BAD_CALL
    assert c.ac_rce_end_epoch(state) == Status.BAD_CALL
    passed = c.new("ac_rce_settings", **asdict(Settings()))
    neurons = np.zeros(48, np.uint8)
    for n, capacity in ((0, 4), (65537, 4), (2, 0), (2, 1_000_001)):
        started = c.ac_rce_start(state, passed, n, x, neurons, capacity)
        assert started == Status.BAD_CALL


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(1, 9))
def test_sums_go_in_order(data: Any, n: int) -> None:
    a, b = (data.draw(arrays(np.float32, n, elements=NUMBERS)) for _ in range(2))
    sandbox = Sandbox()
    pair = sandbox.array(a, np.float32), sandbox.array(b, np.float32)
    with np.errstate(all="ignore"):
        expected = distances(a, b[None])[0], dots(a, b[None])[0]
    c = sandbox.c
    found = c.ac_vector_distance(*pair, n), c.ac_vector_dot(*pair, n)
    np.testing.assert_array_equal(np.float32(found), expected)
