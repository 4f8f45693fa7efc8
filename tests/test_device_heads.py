# SPDX-License-Identifier: Apache-2.0
"""The heads that learn sample by sample are in C what their meanings say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.device.centroids import meaning as centroids
from acclimate.device.slda import meaning as slda
from acclimate.device.tinyol import meaning as tinyol
from device_sandbox import Sandbox, fast_library

NAN, INFINITY = float("nan"), float("inf")
FAR = np.finfo(np.float32).max
C = fast_library()
SIZES: Any = {
    "seed": st.integers(0, 2**32 - 1), "n": st.integers(1, 6), "classes": st.integers(1, 4),
}  # fmt: skip


def clusters(seed: int, n: int, classes: int, F: int = 60) -> tuple[Any, Any]:
    """Samples around a centre per class, each feature with its own scale and offset."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, F)
    centres = rng.normal(0, 2, (classes, n))
    x = (centres[labels] + rng.normal(0, 1, (F, n))) * rng.uniform(0.2, 3, n) + rng.normal(0, 1, n)
    return x.astype(np.float32), labels


# ---- centroids


class CCentroids:
    def __init__(self, n: int, classes: int, least_step: float = 0.0) -> None:
        self.sandbox = Sandbox()
        new, array = self.sandbox.new, self.sandbox.array
        self.state, self.result = new("ac_centroids"), new("ac_centroids_result")
        self.means, self.counts = array(classes * n, np.float32), array(classes, np.uint32)
        arguments = (self.state, n, self.means, self.counts, classes, least_step)
        assert self.sandbox.c.ac_centroids_start(*arguments) == 0

    def learn(self, x: Any, label: int) -> int:
        vector = self.sandbox.array(x, np.float32)
        return int(self.sandbox.c.ac_centroids_learn(self.state, vector, label))

    def classify(self, x: Any) -> tuple[int, int, float, float]:
        vector = self.sandbox.array(x, np.float32)
        status = int(self.sandbox.c.ac_centroids_classify(self.state, vector, self.result))
        return status, self.result.label, self.result.distance, self.result.second


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 3), classes=st.integers(1, 4), least=st.sampled_from([0.0, 0.25, 1.0]),
    data=st.data(),
)  # fmt: skip
def test_centroids_are_those_of_the_meaning(n: int, classes: int, least: float, data: Any) -> None:
    c, meaning = CCentroids(n, classes, least), centroids.Centroids(n, classes, least)
    values = st.floats(-9, 9, width=32) | st.sampled_from([0.0, 1.0, 3e38, -3e38, NAN, INFINITY])
    for _ in range(12):
        x = np.array(data.draw(st.tuples(*[values] * n)), np.float32)
        label = data.draw(st.integers(-1, classes))
        before = c.sandbox.accesses
        assert c.learn(x, label) == meaning.learn(x, label)
        np.testing.assert_array_equal(c.means.reshape(classes, n), meaning.means)
        status, found, distance, second = meaning.classify(x)
        answer = c.classify(x)
        assert answer[0] == status
        if status == centroids.Status.OK:
            assert answer[1:] == (found, distance, second)
        assert c.sandbox.accesses - before < 100 + 30 * n * (classes + 1)


def test_a_centroid_is_the_mean_and_the_nearest_wins() -> None:
    x, labels = clusters(0, 4, 3, 200)
    c = CCentroids(4, 3)
    assert c.classify(x[0])[:2] == (centroids.Status.EMPTY, centroids.NONE)
    for vector, label in zip(x[:100], labels[:100], strict=True):
        c.learn(vector, int(label))
    means = np.array([x[:100][labels[:100] == k].mean(0) for k in range(3)])
    np.testing.assert_allclose(c.means.reshape(3, 4), means, rtol=1e-5, atol=1e-5)
    distances = ((x[100:, None] - means) ** 2).sum(2)
    assert [c.classify(v)[1] for v in x[100:]] == list(distances.argmin(1))


def test_a_class_without_samples_is_never_an_answer() -> None:
    c = CCentroids(1, 3)
    c.learn([5.0], 2)
    assert c.classify([0.0]) == (0, 2, 25.0, FAR)


@pytest.mark.parametrize(("least_step", "low", "high"), [(0.1, 0.99, 1.0), (0.0, 0.333, 0.334)])
def test_old_samples_fade_if_asked_for(least_step: float, low: float, high: float) -> None:
    c = CCentroids(1, 1, least_step)
    for value in [0.0] * 100 + [1.0] * 50:
        c.learn([value], 0)
    assert low < c.means[0] <= high


def test_centroids_refuse_what_cannot_be() -> None:
    state, means, counts = C.new("ac_centroids"), np.zeros(4, np.float32), np.zeros(2, np.uint32)
    result = C.new("ac_centroids_result")
    assert C.ac_centroids_learn(state, means, 0) == -1
    assert C.ac_centroids_classify(state, means, result) == -1
    for n, classes, step in ((0, 2, 0), (65537, 2, 0), (2, 0, 0), (2, 65537, 0), (2, 2, -0.1),
                             (2, 2, 1.1), (2, 2, NAN)):  # fmt: skip
        assert C.ac_centroids_start(state, n, means, counts, classes, step) == -1


# ---- slda


class CSlda:
    def __init__(self, n: int, classes: int, shrink: float, sandbox: Sandbox | None = None) -> None:
        self.c: Any = sandbox.c if sandbox else C
        self.array = sandbox.array if sandbox else np.array
        self.state = (sandbox or C).new("ac_slda")
        count = self.c.ac_slda_floats(n, classes)
        assert count == slda.floats(n, classes)
        self.memory = sandbox.array(count, np.float32) if sandbox else np.zeros(count, np.float32)
        self.classes = classes
        assert self.c.ac_slda_start(self.state, n, classes, shrink, self.memory) == 0

    def learn(self, x: Any, label: int) -> int:
        return int(self.c.ac_slda_learn(self.state, self.array(x, np.float32), label))

    def classify(self, x: Any) -> tuple[int, int, Any]:
        scores = self.array(np.zeros(self.classes), np.float32)
        label = self.array(np.zeros(1), np.int32)
        vector = self.array(x, np.float32)
        return self.c.ac_slda_classify(self.state, vector, scores, label), int(label[0]), scores


@settings(max_examples=40, deadline=None)
@given(**SIZES, shrink=st.sampled_from([0.01, 0.1, 1.0]))
def test_streaming_discriminant_analysis_is_that_of_all_samples(
    seed: int, n: int, classes: int, shrink: float
) -> None:
    x, labels = clusters(seed, n, classes, 30)
    c, meaning = CSlda(n, classes, shrink, Sandbox()), slda.Slda(n, classes, shrink)
    for vector, label in zip(x, labels, strict=True):
        assert c.learn(vector, int(label)) == meaning.learn(vector, int(label)) == 0
    assert c.c.ac_slda_solve(c.state) == 0
    expected = meaning.scores(x)
    # Rounding of S and of the elimination grows with the condition of A, at most 1 / shrink here.
    bound = 1e-5 * (1 + np.abs(expected[np.isfinite(expected)]).max()) / shrink
    for vector, row in zip(x[:5], expected, strict=False):
        status, label, scores = c.classify(vector)
        seen = np.isfinite(row)
        np.testing.assert_allclose(scores[seen], row[seen], rtol=0, atol=bound)
        assert (scores[~seen] == -FAR).all()
        assert status == 0 and row[label] >= row.max() - 2 * bound


def test_discriminant_analysis_uses_the_covariance() -> None:
    """Two long clusters side by side: the nearest mean fails, this does not."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    along = rng.normal(0, 5, 400)
    x = np.stack([along, along + labels + rng.normal(0, 0.1, 400)], 1).astype(np.float32)
    head, mean = CSlda(2, 2, 1e-3), CCentroids(2, 2)
    for vector, label in zip(x[:200], labels[:200], strict=True):
        head.learn(vector, int(label))
        mean.learn(vector, int(label))
    head.c.ac_slda_solve(head.state)
    right = [head.classify(v)[1] == k for v, k in zip(x[200:], labels[200:], strict=True)]
    nearest = [mean.classify(v)[1] == k for v, k in zip(x[200:], labels[200:], strict=True)]
    assert np.mean(right) > 0.99 > 0.7 > np.mean(nearest)


def test_one_class_constant_features_and_unseen_classes_are_defined() -> None:
    head = CSlda(2, 3, 0.01, Sandbox())
    assert head.classify([1, 1])[:2] == (slda.Status.EMPTY, slda.NONE)
    assert head.c.ac_slda_solve(head.state) == slda.Status.EMPTY
    for value in (1.0, 2.0, 3.0):
        head.learn([value, 7.0], 1)
    assert head.classify([1, 1])[:2] == (slda.Status.EMPTY, slda.NONE), "not solved for yet"
    assert head.c.ac_slda_solve(head.state) == slda.Status.OK
    status, label, scores = head.classify([1, 1])
    assert (status, label) == (0, 1) and scores[0] == scores[2] == -FAR


def test_what_cannot_be_inverted_leaves_the_old_classifier() -> None:
    head = CSlda(2, 1, 1e-6, Sandbox())
    head.learn([0, 0], 0)
    assert head.c.ac_slda_solve(head.state) == slda.Status.OK
    head.learn([1e15, 1e15], 0)
    head.learn([-1e15, -1e15], 0)
    assert head.c.ac_slda_solve(head.state) == slda.Status.SINGULAR
    assert head.state.solved == 1


def test_discriminant_analysis_refuses_what_cannot_be() -> None:
    head = CSlda(2, 2, 0.1, Sandbox())
    for bad in (NAN, INFINITY, 2e15):
        assert head.learn([0, bad], 0) == head.classify([bad, 0])[0] == slda.Status.NOT_FINITE
    assert head.learn([0, 0], 2) == head.learn([0, 0], -1) == slda.Status.BAD_CALL
    assert head.state.samples == 0
    state, memory = C.new("ac_slda"), np.zeros(64, np.float32)
    assert C.ac_slda_learn(state, memory, 0) == C.ac_slda_solve(state) == -1
    for n, classes, shrink in ((0, 2, 0.1), (1025, 2, 0.1), (2, 0, 0.1), (2, 4097, 0.1),
                               (2, 2, 0.0), (2, 2, 1.5), (2, 2, NAN)):  # fmt: skip
        assert C.ac_slda_start(state, n, classes, shrink, memory) == slda.Status.BAD_CALL


def test_time_of_discriminant_analysis_is_bounded() -> None:
    sandbox = Sandbox()
    n, classes = 8, 3
    head = CSlda(n, classes, 0.1, sandbox)
    x, labels = clusters(0, n, classes, 10)
    for vector, label in zip(x, labels, strict=True):
        head.learn(vector, int(label))
    before = sandbox.accesses
    head.learn(x[0], 0)
    learned = sandbox.accesses
    head.c.ac_slda_solve(head.state)
    assert learned - before < 12 * n * n + 40 * n
    assert sandbox.accesses - learned < 12 * (n**3 + classes * n * n)


# ---- tinyol


class CTinyOl:
    def __init__(self, n: int, capacity: int, decay: float = 0.0) -> None:
        self.sandbox = Sandbox()
        c, self.n, self.capacity = self.sandbox.c, n, capacity
        self.state = self.sandbox.new("ac_tinyol")
        count = c.ac_tinyol_floats(n, capacity)
        assert count == tinyol.floats(n, capacity)
        self.memory = self.sandbox.array(count, np.float32)
        self.labels = self.sandbox.array(capacity, np.uint16)
        assert c.ac_tinyol_start(self.state, n, capacity, decay, self.memory, self.labels) == 0

    def learn(self, x: Any, label: int, lr: float) -> int:
        vector = self.sandbox.array(x, np.float32)
        return int(self.sandbox.c.ac_tinyol_learn(self.state, vector, label, lr))

    def classify(self, x: Any) -> tuple[int, int, Any]:
        vector, out = self.sandbox.array(x, np.float32), self.sandbox.array(1, np.int32)
        chances = self.sandbox.array(self.capacity, np.float32)
        status = self.sandbox.c.ac_tinyol_classify(self.state, vector, chances, out)
        return int(status), int(out[0]), chances

    @property
    def w(self) -> Any:
        return self.memory[: self.capacity * self.n].reshape(self.capacity, self.n)


@settings(max_examples=30, deadline=None)
@given(
    **SIZES, decay=st.sampled_from([0.0, 0.1]), lr=st.sampled_from([0.0, 0.05, 0.5]),
    frozen=st.booleans(),
)  # fmt: skip
def test_the_layer_learns_as_its_meaning(
    seed: int, n: int, classes: int, decay: float, lr: float, frozen: bool
) -> None:
    x, labels = clusters(seed, n, classes, 20)
    c, meaning = CTinyOl(n, classes, decay), tinyol.TinyOl(n, classes, decay)
    if frozen:
        statistics = x.mean(0), x.var(0)
        passed = [c.sandbox.array(values, np.float32) for values in statistics]
        assert c.sandbox.c.ac_tinyol_standardise(c.state, *passed) == 0
        meaning.standardise(*passed)
    for vector, label in zip(x, labels, strict=True):
        named = 100 * int(label)
        assert c.learn(vector, named, lr) == meaning.learn(vector, named, lr)
        K = len(meaning.labels)
        np.testing.assert_allclose(c.w, meaning.w, rtol=1e-3, atol=1e-4)
        status, found, chances = c.classify(vector)
        expected = meaning.probabilities(vector)
        np.testing.assert_allclose(chances[:K], expected, rtol=1e-3, atol=1e-4)
        assert status == 0 and (chances[K:] == 0).all() and list(c.labels[:K]) == meaning.labels
        assert expected[meaning.labels.index(found)] >= expected.max() - 2e-4


def test_the_layer_separates_classes_and_grows_within_its_memory() -> None:
    x, labels = clusters(1, 5, 3, 300)
    head = CTinyOl(5, 2)
    codes = [head.learn(v, int(k), 0.1) for v, k in zip(x, labels, strict=True)]
    assert codes.count(tinyol.Status.GREW) == 2
    assert codes.count(tinyol.Status.FULL) == (labels == next(
        k for k in range(3) if k not in head.labels)).sum()  # fmt: skip
    known = np.isin(labels, head.labels)
    right = [head.classify(v)[1] == k for v, k in zip(x[known], labels[known], strict=True)]
    assert np.mean(right) > 0.95


def test_one_label_and_constant_features_are_defined() -> None:
    head = CTinyOl(2, 3)
    assert head.classify([1, 2])[:2] == (tinyol.Status.EMPTY, tinyol.NONE)
    for _ in range(5):
        assert head.learn([4.0, 4.0], 9, 0.1) >= 0
    status, label, chances = head.classify([4.0, 4.0])
    assert (status, label, list(chances)) == (0, 9, [1, 0, 0])


def test_the_layer_refuses_what_cannot_be() -> None:
    head = CTinyOl(2, 2)
    head.learn([1.0, 2.0], 0, 0.1)
    before = head.memory.copy()
    for bad in (NAN, INFINITY, 2e15):
        assert head.learn([0, bad], 0, 0.1) == head.classify([bad, 0])[0] == -2
    for label, lr in ((-1, 0.1), (65536, 0.1), (0, -0.1), (0, 1.1), (0, NAN)):
        assert head.learn([0, 0], label, lr) == tinyol.Status.BAD_CALL
    np.testing.assert_array_equal(head.memory, before)
    head.w[0] = 3e38
    assert head.learn([1e15, 1e15], 0, 0.1) == tinyol.Status.NOT_FINITE
    np.testing.assert_array_equal(head.w[0], np.float32(3e38))
    state, labels = C.new("ac_tinyol"), np.zeros(2, np.uint16)
    memory = np.zeros(64, np.float32)
    assert C.ac_tinyol_learn(state, memory, 0, 0.1) == -1
    for n, capacity, decay in ((0, 2, 0), (65537, 2, 0), (2, 0, 0), (2, 4097, 0), (2, 2, -1),
                               (2, 2, 1.1), (2, 2, NAN)):  # fmt: skip
        assert C.ac_tinyol_start(state, n, capacity, decay, memory, labels) == -1
    wrong = head.sandbox.array([1.0, -1.0], np.float32)
    assert head.sandbox.c.ac_tinyol_standardise(head.state, wrong, wrong) == -1


def test_time_of_the_layer_is_bounded() -> None:
    head = CTinyOl(7, 4)
    for label in range(4):
        head.learn(np.ones(7), label, 0.1)
    before = head.sandbox.accesses
    head.learn(np.ones(7), 3, 0.1)
    assert head.sandbox.accesses - before < 40 * 7 * 4
