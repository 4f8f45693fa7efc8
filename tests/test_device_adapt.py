# SPDX-License-Identifier: Apache-2.0
"""A whole session of adaptation: C equals its meaning step by step, and every end is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.device.adapt.plan import Did, Outcome, Phase, Plan
from acclimate.device.flash.meaning import Flash
from acclimate.device.guard.meaning import Reason
from acclimate.device.noise.meaning import Status as NoiseStatus
from device_sandbox import Sandbox
from session import FRAME, LIMITS, MODEL_FLASH, NOISE, Device, Linear, T, hiss, words

PLAN = Plan(
    held_out=8, epochs=3, lr=0.05, score_clean=True, held_out_noise=T, heard_frames=24,
    clean_share=0.25, snr_low_db=0.0, snr_high_db=6.0, shift=20, seed=5, piece_bytes=50,
    noise=NOISE, limits=LIMITS,
)  # fmt: skip


def device(**fields: object) -> Device:
    """A device that has never run, with twelve words to learn and eight to be scored by."""
    made = Device(**fields)  # type: ignore[arg-type]
    assert made.boot() == 1
    assert made.log.end == 0
    assert made.append(words(20)) == 0
    return made


def assert_same(made: Device, plan: Plan, disturb: int = 0, energy_nj: int = 0) -> list[Did]:
    """Runs both, step by step."""
    meaning = made.meaning(plan, words(20))
    assert made.start(plan) == 0
    done = []
    for number in range(5000):
        if disturb and number % disturb == 0:
            made.c.ac_adapt_disturb(made.state)
            meaning.disturb()
        done.append(made.step(number, energy_nj))
        assert done[-1] == meaning.step(number, energy_nj), number
        state = made.state
        assert (state.phase, state.outcome, state.next) == (
            meaning.phase, meaning.outcome, meaning.next,
        )  # fmt: skip
        if meaning.phase in (Phase.SCORING_OLD, Phase.LEARNING, Phase.SCORING_NEW):
            assert (state.draw.utterance, state.draw.clean) == meaning.draw
            assert (state.shift, state.crop) == (meaning.shift, meaning.crop)
            assert state.snr_db == pytest.approx(meaning.snr_db, rel=1e-6, abs=1e-6)
        if done[-1] in (Did.READ, Did.MIXED):
            assert np.abs(made.pcm.astype(int) - meaning.pcm).max() <= 1, "mix.h: one step"
        if meaning.phase == Phase.IDLE:
            break
    counts = ("drawn", "trained", "skipped", "disturbed", "heard", "ticks", "energy_nj")
    for name in counts:
        assert getattr(state, name) == getattr(meaning, name), name
    assert (state.guard.verdict, state.guard.reason) == (
        meaning.guard.verdict,
        meaning.guard.reason,
    )
    assert list(state.guard.right) == meaning.guard.right
    np.testing.assert_allclose(list(state.guard.losses), meaning.guard.losses, rtol=1e-3)
    np.testing.assert_allclose(
        np.frombuffer(made.model.save(), np.float32),
        np.frombuffer(meaning.model.save(), np.float32), rtol=1e-3, atol=1e-3,
    )  # fmt: skip
    content = meaning.store.content
    assert (made.store.length == 0) == (content is None)
    return done


@pytest.mark.parametrize("balanced", [False, True])
def test_c_does_what_the_meaning_says(balanced: bool) -> None:
    made = device(balanced=balanced)
    done = assert_same(made, PLAN)
    assert made.outcome == Outcome.ADAPTED
    # Four sectors in two slots: two are erased for the old model, two for the new one.
    counts = {did: done.count(did) for did in Did}
    assert counts[Did.ERASED] == 4 and counts[Did.COMMITTED] == 2
    assert counts[Did.WROTE] == 2 * 3  # 144 bytes in pieces of 50
    assert counts[Did.TRAINED] == 12 * 3 and counts[Did.SCORED] == 2 * 2 * 8
    # A quarter of the draws and half of the held-out utterances stay clean.
    assert counts[Did.MIXED] == 9 * 3 + 2 * 8
    assert made.c.ac_store_open(made.store, made.flashes[0], 0xADA97) == 0
    rebooted = Device(model_flash=made.model_flash)
    assert rebooted.boot() == 0
    assert rebooted.model.save() == made.model.save() != Linear().save()


@settings(max_examples=40, deadline=None)
@given(
    epochs=st.integers(1, 3),
    lr=st.sampled_from([0.0, 0.01, 0.3]),
    clean=st.floats(0, 1),
    snr=st.floats(-20, 40),
    spread=st.floats(0, 20),
    shift=st.integers(0, T),
    held_out=st.integers(1, 19),
    score_clean=st.booleans(),
    own_noise=st.sampled_from([0, T, T + 17]),
    silence=st.integers(-1, 3),
    seed=st.integers(0, 2**32 - 1),
    piece=st.integers(0, 200),
    balanced=st.booleans(),
    disturb=st.sampled_from([0, 3, 4, 7, 50]),
    steps=st.sampled_from([0, 5]),
    energy=st.sampled_from([0, 900]),
)
def test_any_plan_goes_as_the_meaning_says(
    epochs: int, lr: float, clean: float, snr: float, spread: float, shift: int, held_out: int,
    score_clean: bool, own_noise: int, silence: int, seed: int, piece: int, balanced: bool,
    disturb: int, steps: int, energy: int,
) -> None:  # fmt: skip
    low, high = np.float32(snr), np.float32(snr + spread)
    limits = replace(LIMITS, steps=steps, ticks=1500, energy_nj=200_000 if energy else 0)
    plan = replace(
        PLAN, epochs=epochs, lr=float(np.float32(lr)), clean_share=float(np.float32(clean)),
        snr_low_db=float(low), snr_high_db=float(high), shift=shift, held_out=held_out,
        score_clean=score_clean, held_out_noise=own_noise, silence=silence, seed=seed,
        piece_bytes=piece, limits=limits,
    )  # fmt: skip
    assert_same(device(balanced=balanced), plan, disturb, energy)


def test_nothing_outside_of_what_was_given_is_touched() -> None:
    sandbox = Sandbox()
    made = device(sandbox=sandbox, balanced=True)
    before = sandbox.accesses
    assert made.run(PLAN)[-1] == Did.COMMITTED
    most = 0
    made.frames = hiss(24)
    made.start(PLAN)
    while made.state.phase != Phase.IDLE:
        before = sandbox.accesses
        made.step()
        most = max(most, sandbox.accesses - before)
    # The longest piece puts a ring of 16 frames in order and looks at it three times.
    assert most < 12 * 16 * FRAME


# ---- every end


def test_without_a_better_model_the_old_one_comes_back_bit_by_bit() -> None:
    made = device()
    made.run(replace(PLAN, limits=replace(LIMITS, margin=1.0)))
    assert made.outcome == Outcome.ROLLED_BACK
    assert made.state.guard.reason == Reason.FEWER_RIGHT
    assert made.model.save() == Linear().save()
    assert made.state.trained == 36


def test_the_old_model_is_kept_once_and_replaced_only_by_a_better_one() -> None:
    made = device()
    made.run(replace(PLAN, limits=replace(LIMITS, margin=1.0)))
    first = bytes(made.model_flash.content)
    made.frames = hiss(24)
    done = made.run(replace(PLAN, limits=replace(LIMITS, margin=1.0)))
    assert Did.ERASED not in done and bytes(made.model_flash.content) == first
    made.frames = hiss(24)
    assert made.run(PLAN)[-1] == Did.COMMITTED


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ([np.zeros(FRAME, np.int16)] * 24, NoiseStatus.SILENT),
        ([np.full(FRAME, 1234, np.int16)] * 24, NoiseStatus.SILENT),
        ([np.full(FRAME, 32767, np.int16)] * 24, NoiseStatus.SILENT),
        (hiss(24, loudness=1e6), NoiseStatus.CLIPPED),
        (hiss(7), NoiseStatus.TOO_SHORT),
    ],
    ids=["silence", "dc", "full scale dc", "clipping", "short"],
)
def test_noise_that_is_none_is_refused(frames: list[np.ndarray], status: NoiseStatus) -> None:
    made = device(frames=list(frames))
    made.run(replace(PLAN, heard_frames=len(frames)))
    assert (made.outcome, made.state.noise_status) == (Outcome.NOISE_REFUSED, status)
    assert made.model.save() == Linear().save()
    assert made.model_flash.writes == 0


class NotFinite(Linear):
    """Features are NaN."""

    def features(self, pcm: np.ndarray) -> np.ndarray:
        return np.full(8, np.nan, np.float32)


class Exploding(Linear):
    """Learns with a rate that is infinite."""

    def train(self, x: np.ndarray, label: int, lr: float) -> float:
        with np.errstate(all="ignore"):
            return super().train(x, label, lr * 1e40)


class Deaf(Linear):
    """Its features fail."""

    def features(self, pcm: np.ndarray) -> None:
        return None


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        (NotFinite, {Reason.LOSS_NOT_FINITE}),
        (Exploding, {Reason.LOSS_NOT_FINITE, Reason.LOSS_EXPLODED, Reason.WEIGHT_NOT_FINITE}),
        (Deaf, set[Reason]()),
    ],
)
def test_a_model_that_goes_wrong_is_rolled_back(model: type[Linear], reasons: set[Reason]) -> None:
    made = device(model=model())
    made.run(PLAN)
    assert made.model.save() == Linear().save()
    if reasons:
        assert made.outcome == Outcome.ROLLED_BACK and made.state.guard.reason in reasons
    else:
        assert made.outcome == Outcome.OUT_OF_BUDGET and made.state.skipped > 0


@pytest.mark.parametrize("seed", range(8))
def test_wrong_labels_are_rolled_back(seed: int) -> None:
    """Held-out utterances have the right ones; a model that has learned comes first."""
    made = device()
    assert made.run(replace(PLAN, epochs=8))[-1] == Did.COMMITTED
    good = made.model.save()
    rng = np.random.default_rng(seed)
    made.c.ac_utterances_clear(made.log)
    stored = words(28)
    made.append(stored[:8])
    made.append((int(rng.integers(4)), sound) for _, sound in stored[8:])
    made.frames = hiss(24)
    made.run(replace(PLAN, epochs=8, lr=0.3, seed=seed))
    assert made.outcome == Outcome.ROLLED_BACK
    assert made.state.guard.reason in (Reason.FEWER_RIGHT, Reason.LOSS_EXPLODED)
    assert made.model.save() == good


@pytest.mark.parametrize("sound", [np.zeros(T), np.full(T, 32767), np.full(T, -32768)])
def test_hostile_utterances_end_with_a_verdict(sound: np.ndarray) -> None:
    made = device()
    made.c.ac_utterances_clear(made.log)
    made.append((i % 4, sound.astype(np.int16)) for i in range(20))
    made.run(PLAN)
    assert made.outcome in (Outcome.ADAPTED, Outcome.ROLLED_BACK)
    if made.outcome == Outcome.ROLLED_BACK:
        assert made.model.save() == Linear().save()


def test_damaged_and_foreign_utterances_are_passed_over() -> None:
    made = device()
    made.c.ac_utterances_clear(made.log)
    stored = words(20)
    stored[9] = (9, stored[9][1])  # no class
    stored[10] = (2, np.tile(stored[10][1], 2))  # too long
    stored[11] = (3, stored[11][1][:100])  # short: silence follows
    made.append(stored)
    entry = made.c.header.types["ac_utterances_entry"] * 20
    at = entry.from_buffer(made.index)[12].at
    made.sound_flash.content[at + 40] ^= 1  # rotten
    made.run(PLAN)
    assert made.outcome == Outcome.ADAPTED
    assert made.state.skipped == 3 * 3 and made.state.trained == 9 * 3


def test_utterances_that_rot_between_the_scores_are_no_reason_to_keep() -> None:
    made = device()
    assert made.start(PLAN) == 0
    while made.state.phase != Phase.SCORING_NEW:
        made.step()
    made.sound_flash.content[40] ^= 1
    while made.state.phase != Phase.IDLE:
        made.step()
    assert (made.outcome, made.state.guard.reason) == (Outcome.ROLLED_BACK, Reason.NOT_SCORED)
    assert made.model.save() == Linear().save()


def test_a_microphone_that_is_silent_for_ever_ends_with_the_budget() -> None:
    made = device(frames=[])
    made.start(replace(PLAN, limits=replace(LIMITS, ticks=1000)))
    steps = [made.step(10 * i) for i in range(1, 101)]
    assert steps == [Did.WAITED] * 99 + [Did.SPENT]
    assert made.outcome == Outcome.OUT_OF_BUDGET


@pytest.mark.parametrize("limit", ["ticks", "energy_nj"])
def test_budgets_end_learning_and_what_was_learned_is_judged(limit: str) -> None:
    made = device()
    made.start(replace(PLAN, limits=replace(LIMITS, **{limit: 2000})))
    now = 0
    while made.state.phase != Phase.IDLE:
        now += 10
        made.step(now, 10)
    assert 0 < made.state.trained < 36
    assert made.outcome in (Outcome.ADAPTED, Outcome.ROLLED_BACK)
    assert made.state.ticks < 2 * 2000 + 200


def test_a_session_that_is_always_disturbed_ends_with_the_old_model() -> None:
    made = device()
    made.start(replace(PLAN, clean_share=0.0, limits=replace(LIMITS, ticks=2000)))
    now = 0
    while made.state.phase != Phase.IDLE:
        now += 10
        if made.state.phase == Phase.SCORING_NEW:
            made.c.ac_adapt_disturb(made.state)
        made.step(now)
    assert made.outcome == Outcome.OUT_OF_BUDGET and made.state.trained > 0
    assert made.model.save() == Linear().save()


@pytest.mark.parametrize("after", [3, 40, 120, 260])
def test_stopping_brings_the_old_model_back(after: int) -> None:
    made = device()
    made.start(PLAN)
    for _ in range(after):
        made.step()
    made.c.ac_adapt_stop(made.state)
    while made.state.phase != Phase.IDLE:
        made.step()
    assert made.outcome == Outcome.STOPPED
    assert made.model.save() == Linear().save()


class Broken(Flash):
    """Erases and writes fail from one operation on."""

    def __init__(self, good: int) -> None:
        super().__init__(*MODEL_FLASH)
        self.good = good

    def write(self, at: int, data: bytes) -> None:
        self._fail()
        super().write(at, data)

    def erase(self, at: int, size: int) -> None:
        self._fail()
        super().erase(at, size)

    def _fail(self) -> None:
        if self.writes >= self.good:
            raise OSError("worn out")


def test_a_store_that_fails_leaves_the_old_model() -> None:
    outcomes = []
    for good in range(48):
        made = device(model_flash=Broken(good))
        made.run(PLAN)
        outcomes.append(made.outcome)
        if made.outcome != Outcome.ADAPTED:
            assert made.model.save() == Linear().save()
    whole = 2 + 18 + 1  # sectors, grains of the model, header
    assert outcomes == (
        [Outcome.NOT_KEPT] * whole
        + [Outcome.NOT_SAVED] * whole
        + [Outcome.ADAPTED] * (48 - 2 * whole)
    )


def test_a_model_that_cannot_be_loaded_again_is_lost_and_says_so() -> None:
    made = device()
    made.start(replace(PLAN, limits=replace(LIMITS, margin=1.0)))
    while made.state.phase != Phase.ROLLING_BACK:
        made.step()
    made.store.current = -1
    assert made.step() == Did.FAILED
    assert made.outcome == Outcome.LOST


@pytest.mark.parametrize(
    "change",
    [
        {"held_out": 0}, {"held_out": 20}, {"epochs": 0}, {"epochs": 2**32 - 1},
        {"heard_frames": 0}, {"lr": float("nan")}, {"lr": -1.0}, {"clean_share": 1.5},
        {"snr_low_db": float("nan")}, {"snr_low_db": 9.0}, {"snr_high_db": float("inf")},
        {"shift": -1}, {"shift": T + 1},
        {"held_out_noise": T - 1}, {"noise": replace(NOISE, frame=512)},
        {"noise": replace(NOISE, warm_up=0)}, {"limits": replace(LIMITS, margin=float("nan"))},
    ],
    ids=str,
)  # fmt: skip
def test_plans_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    made = device()
    assert made.start(replace(PLAN, **change)) == Did.BAD_CALL  # type: ignore[arg-type]
    assert made.step() == Did.NOTHING


def test_parts_that_are_missing_are_refused() -> None:
    made = device()
    for name in ("model", "store", "log", "ring", "pcm", "x", "scores"):
        kept = getattr(made.parts, name)
        setattr(made.parts, name, None)
        assert made.start(PLAN) == Did.BAD_CALL, name
        setattr(made.parts, name, kept)
    for name in ("samples", "inputs", "classes"):
        kept = getattr(made.functions, name)
        setattr(made.functions, name, 0)
        assert made.start(PLAN) == Did.BAD_CALL, name
        setattr(made.functions, name, kept)
    assert made.start(PLAN) == 0
