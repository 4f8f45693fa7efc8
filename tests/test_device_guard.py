# SPDX-License-Identifier: Apache-2.0
"""The guard keeps a model only if it is better, and ends every session with a reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.device.guard.meaning import NEW, OLD, Guard, Limits, Reason, Verdict
from device_sandbox import Sandbox, fast_library

NAN, INFINITY = float("nan"), float("inf")


class Both:
    """The guard in C and its meaning, which must agree after every call."""

    def __init__(self, limits: Limits, now: int = 0) -> None:
        self.sandbox = Sandbox()
        c = self.sandbox.c
        self.state = self.sandbox.new("ac_guard")
        self.limits = self.sandbox.new("ac_guard_limits", **asdict(limits))
        assert c.ac_guard_start(self.state, self.limits, now) == Verdict.CONTINUE
        self.meaning = Guard(limits, now)

    def step(self, loss: float, now: int = 0, energy_nj: int = 0) -> Verdict:
        result = self.sandbox.c.ac_guard_step(self.state, loss, now, energy_nj)
        return self.agreed(result, self.meaning.step(loss, now, energy_nj))

    def weights(self, w: Any) -> Verdict:
        w = self.sandbox.array(w, np.float32)
        result = self.sandbox.c.ac_guard_weights(self.state, w, len(w))
        return self.agreed(result, self.meaning.weights(w))

    def answer(self, model: int, scores: Any, label: int, loss: float = 1.0) -> Verdict:
        s = self.sandbox.array(scores, np.float32)
        result = self.sandbox.c.ac_guard_answer(self.state, model, s, len(s), label, loss)
        return self.agreed(result, self.meaning.answer(model, s, label, loss))

    def decide(self) -> tuple[Verdict, Reason]:
        result = self.sandbox.c.ac_guard_decide(self.state)
        return self.agreed(result, self.meaning.decide()), self.meaning.reason

    def agreed(self, result: int, expected: Verdict) -> Verdict:
        state, meaning = self.state, self.meaning
        assert (result, state.reason) == (expected, meaning.reason)
        assert (state.steps, state.ticks, state.energy_nj) == (
            meaning.steps, meaning.ticks, meaning.energy_nj,
        )  # fmt: skip
        # One rounding may be left out where the compiler joins a product and a sum.
        assert state.mean == pytest.approx(float(meaning.mean), rel=1e-6, abs=1e-37)
        assert list(state.right) == meaning.right and list(state.answers) == meaning.answers
        return expected


def test_budgets_end_a_session_with_their_reason() -> None:
    for limits, reason in (
        (Limits(steps=3), Reason.STEPS_SPENT),
        (Limits(ticks=300), Reason.TIME_SPENT),
        (Limits(energy_nj=30), Reason.ENERGY_SPENT),
    ):
        both = Both(limits, now=2**32 - 150)  # the clock wraps around
        clock = [(2**32 - 150 + 100 * i) % 2**32 for i in range(1, 5)]
        verdicts = [both.step(1.0, now, 10) for now in clock]
        assert verdicts == [Verdict.CONTINUE, Verdict.CONTINUE, Verdict.STOP, Verdict.STOP]
        assert both.meaning.reason == reason and both.state.steps == 3


@pytest.mark.parametrize("loss", [NAN, INFINITY, -INFINITY])
def test_a_loss_that_is_no_number_rolls_back(loss: float) -> None:
    both = Both(Limits())
    assert both.step(1.0) == Verdict.CONTINUE
    assert both.step(loss) == Verdict.ROLL_BACK
    assert both.meaning.reason == Reason.LOSS_NOT_FINITE
    assert both.step(1.0) == Verdict.ROLL_BACK, "a verdict stays"
    assert both.decide() == (Verdict.ROLL_BACK, Reason.LOSS_NOT_FINITE)


def test_an_exploding_loss_rolls_back_but_not_at_the_start_nor_near_zero() -> None:
    limits = Limits(explosion=4, warm_up=3, least_mean=0.5)
    both = Both(limits)
    for loss in (0.1, 30.0, 1.0, 1.0):  # within the warm-up, then a falling loss
        assert both.step(loss) == Verdict.CONTINUE
    calm = Both(limits)
    for loss in (0.01, 0.01, 0.01, 1.9):  # 190 times the mean, and still small
        assert calm.step(loss) == Verdict.CONTINUE
    assert calm.step(2.1) == Verdict.ROLL_BACK
    assert calm.meaning.reason == Reason.LOSS_EXPLODED


@pytest.mark.parametrize("bad", [NAN, INFINITY, -INFINITY])
def test_a_weight_that_is_no_number_rolls_back(bad: float) -> None:
    both = Both(Limits())
    assert both.weights([0.0, 1.0, 3e38]) == Verdict.CONTINUE
    assert both.weights([0.0, bad, 1.0]) == Verdict.ROLL_BACK
    assert both.decide() == (Verdict.ROLL_BACK, Reason.WEIGHT_NOT_FINITE)


def scored(limits: Limits, old: int, new: int, *, losses: tuple[float, float] = (1.0, 1.0)) -> Both:
    """Ten answers of each, so many of them right."""
    both = Both(limits)
    for model, right, loss in ((OLD, old, losses[0]), (NEW, new, losses[1])):
        for i in range(10):
            both.answer(model, [0.0, 1.0, 1.0], 1 if i < right else 2, loss)
    return both


@pytest.mark.parametrize(
    ("margin", "new", "reason"),
    [
        (0.0, 6, Reason.GOOD),
        (0.0, 5, Reason.FEWER_RIGHT),
        (0.2, 7, Reason.FEWER_RIGHT),
        (0.2, 8, Reason.GOOD),
        (-0.1, 5, Reason.GOOD),
    ],
)
def test_the_margin_decides(margin: float, new: int, reason: Reason) -> None:
    verdict = Verdict.KEEP if reason == Reason.GOOD else Verdict.ROLL_BACK
    assert scored(Limits(margin=margin), 6, new).decide() == (verdict, reason)


def test_losses_count_if_asked_for() -> None:
    assert scored(Limits(), 6, 6, losses=(1.0, 2.0)).decide()[1] == Reason.GOOD
    higher = scored(Limits(loss_ratio=1.5), 6, 6, losses=(1.0, 2.0))
    assert higher.decide() == (Verdict.ROLL_BACK, Reason.HIGHER_LOSS)
    assert scored(Limits(loss_ratio=1.5), 6, 6, losses=(1.0, 1.4)).decide()[1] == Reason.GOOD


def test_a_model_without_scores_or_with_nan_is_never_kept() -> None:
    assert Both(Limits()).decide() == (Verdict.ROLL_BACK, Reason.NOT_SCORED)
    uneven = scored(Limits(), 5, 10)
    uneven.answer(NEW, [1.0, 0.0], 0)
    assert uneven.decide()[1] == Reason.NOT_SCORED
    broken = scored(Limits(margin=-1), 5, 10)
    broken.answer(OLD, [NAN, 0.0], 0)
    broken.answer(NEW, [NAN, 0.0], 0)
    assert broken.decide()[1] == Reason.SCORE_NOT_FINITE
    recovered = scored(Limits(loss_ratio=1), 5, 10)
    recovered.answer(OLD, [NAN, 0.0], 0)
    recovered.answer(NEW, [1.0, 0.0], 0)
    assert recovered.decide()[1] == Reason.GOOD, "a broken old model is replaced"


def test_wrong_labels_are_refused_and_not_counted() -> None:
    both = Both(Limits())
    for model, label in ((OLD, -1), (OLD, 3), (2, 0), (-1, 0)):
        assert both.answer(model, [1.0, 2.0, 3.0], label) == Verdict.BAD_CALL
    assert both.meaning.answers == [0, 0]


NUMBERS = st.floats(width=32) | st.sampled_from([0.0, 1.0, -1.0, NAN, INFINITY])


@settings(max_examples=200, deadline=None)
@given(values=st.tuples(*[NUMBERS] * 5), budgets=st.tuples(*[st.integers(0, 2**32 - 1)] * 4))
def test_limits_are_refused_or_obeyed(values: tuple[float, ...], budgets: tuple[int, ...]) -> None:
    limits = Limits(*values, *budgets)
    c = fast_library()
    state, passed = c.new("ac_guard"), c.new("ac_guard_limits", **asdict(limits))
    accepted = c.ac_guard_start(state, passed, 0) == Verdict.CONTINUE
    assert accepted == limits.possible()


@settings(max_examples=150, deadline=None)
@given(
    limits=st.builds(
        Limits, margin=st.floats(-1, 1, width=32), loss_ratio=st.sampled_from([0.0, 1.0, 1.5]),
        explosion=st.sampled_from([0.0, 1.5, 4.0]), warm_up=st.integers(0, 3),
        steps=st.integers(0, 30), ticks=st.integers(0, 2**34),
    ),
    losses=st.lists(NUMBERS, max_size=20),
    answers=st.lists(st.tuples(st.integers(-1, 2), st.lists(NUMBERS, min_size=1, max_size=4),
                               st.integers(-1, 4), NUMBERS), max_size=20),
)  # fmt: skip
def test_any_session_ends_as_the_meaning_says(
    limits: Limits, losses: list[float], answers: list[Any]
) -> None:
    both = Both(limits)
    for i, loss in enumerate(losses):
        with np.errstate(all="ignore"):
            both.step(loss, now=i * 2**31 % 2**32, energy_nj=i)
    for model, scores, label, loss in answers:
        with np.errstate(all="ignore"):
            both.answer(model, scores, label, loss)
    with np.errstate(all="ignore"):
        both.decide()
    assert both.sandbox.accesses < 60 * (20 + 20 * 10)
