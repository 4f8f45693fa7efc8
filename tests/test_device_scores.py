# SPDX-License-Identifier: Apache-2.0
"""Exponentials, logarithms, probabilities and losses without libm, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from acclimate.device.scores.meaning import Status, cross_entropy, exp, softmax
from device_sandbox import Sandbox, fast_library

SCORES = hnp.arrays(
    np.float32, st.integers(1, 12), elements=st.floats(-(2.0**40), 2.0**40, width=32)
)
HOSTILE = hnp.arrays(np.float32, st.integers(1, 12), elements=st.floats(width=32))


def test_the_exponential_is_right_to_a_millionth() -> None:
    v = np.concatenate([np.linspace(-87, 88, 20001), np.linspace(-1, 1, 5001)]).astype(np.float32)
    found = np.array([fast_library().ac_scores_exp(float(x)) for x in v])
    np.testing.assert_allclose(found, np.exp(v.astype(np.float64)), rtol=1e-6)


def test_the_logarithm_is_right_to_a_millionth() -> None:
    v = np.concatenate([np.geomspace(1.2e-38, 3.4e38, 20001), np.linspace(0.5, 2, 5001)])
    v = v.astype(np.float32)
    found = np.array([fast_library().ac_scores_log(float(x)) for x in v])
    np.testing.assert_allclose(found, np.log(v.astype(np.float64)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("v", [float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 0.0])
def test_any_number_has_a_bounded_result(v: float) -> None:
    c = Sandbox().c
    low = -87.0 if v != v else v
    assert c.ac_scores_exp(v) == pytest.approx(exp(low), rel=1e-6)
    assert -87.4 < c.ac_scores_log(v) < 88.8


@settings(max_examples=200, deadline=None)
@given(scores=SCORES, data=st.data())
def test_probabilities_and_loss_are_those_of_the_meaning(
    scores: np.ndarray, data: st.DataObject
) -> None:
    sandbox, N = Sandbox(), len(scores)
    given_scores, p = sandbox.array(scores, np.float32), sandbox.array(N, np.float32)
    assert sandbox.c.ac_scores_softmax(p, given_scores, N) == Status.OK
    np.testing.assert_allclose(p, softmax(scores), rtol=1e-5, atol=1e-37)
    label = data.draw(st.integers(0, N - 1))
    loss = sandbox.array(1, np.float32)
    assert sandbox.c.ac_scores_cross_entropy(loss, given_scores, N, label) == Status.OK
    assert loss[0] == pytest.approx(cross_entropy(scores, label), rel=1e-5, abs=1e-6)
    assert sandbox.c.ac_scores_softmax(given_scores, given_scores, N) == Status.OK
    assert (given_scores == p).all(), "in place"


@settings(max_examples=200, deadline=None)
@given(scores=HOSTILE, classes=st.integers(-1, 12), label=st.integers(-2, 13))
def test_hostile_scores_do_no_harm(scores: np.ndarray, classes: int, label: int) -> None:
    sandbox, classes = Sandbox(), min(classes, len(scores))
    given_scores = sandbox.array(scores, np.float32)
    p, loss = sandbox.array(np.full(12, 7), np.float32), sandbox.array([7], np.float32)
    status = sandbox.c.ac_scores_softmax(p, given_scores, classes)
    finite = np.isfinite(scores[: max(classes, 0)]).all()
    expected = Status.BAD_CALL if classes <= 0 else Status.OK if finite else Status.NOT_FINITE
    assert status == expected
    assert (status == Status.OK) != (p == 7).all()
    status = sandbox.c.ac_scores_cross_entropy(loss, given_scores, classes, label)
    assert status == (expected if 0 <= label < classes else Status.BAD_CALL)
    assert status == Status.OK or loss[0] == 7
