# SPDX-License-Identifier: Apache-2.0
"""Mixtures in C are those of the training data, on float and on 16-bit samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from acclimate.data.mixing import noise_gain, shift_in_time
from acclimate.device.mix import meaning
from acclimate.device.mix.meaning import Status
from data_fixtures import tone_clips
from device_sandbox import Sandbox, fast_library

C = fast_library()
T = 16_000
SPEECH = tone_clips().samples[7]
NOISE = (0.05 * np.random.default_rng(3).standard_normal(40_000)).astype(np.float32)
S16 = st.integers(-32768, 32767)


def as_s16(x: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.round(x * 32767), -32768, 32767).astype(np.int16)


def test_square_root_is_right_within_its_bound() -> None:
    exponents = np.arange(-126, 128, dtype=np.float64)
    mantissas = 1 + np.arange(257) / 257.5
    values = (2.0 ** exponents[:, None] * mantissas).astype(np.float32).ravel()
    found = np.array([C.ac_mix_sqrt(float(v)) for v in values])
    assert np.abs(found / np.sqrt(values.astype(np.float64)) - 1).max() < 2**-22
    assert C.ac_mix_sqrt(0.0) == C.ac_mix_sqrt(-1.0) == C.ac_mix_sqrt(float("nan")) == 0.0


def test_amplitude_is_right_within_its_bound() -> None:
    values = np.linspace(-120, 120, 24_001).astype(np.float32)
    found = np.array([C.ac_mix_amplitude(float(v)) for v in values])
    assert np.abs(found / 10 ** (values.astype(np.float64) / 20) - 1).max() < 2e-6
    assert C.ac_mix_amplitude(0.0) == 1.0
    c = Sandbox().c
    for beyond, end in ((1e30, 120.0), (-1e30, -120.0), (float("inf"), 120.0)):
        assert c.ac_mix_amplitude(beyond) == c.ac_mix_amplitude(end)
    assert c.ac_mix_amplitude(float("nan")) == c.ac_mix_amplitude(-120.0)


@settings(max_examples=200, deadline=None)
@given(
    speech=st.floats(2**-120, 2**120, width=32),
    noise=st.floats(2**-120, 2**120, width=32),
    snr_db=st.floats(-200, 200, width=32),
)
def test_gain_is_right_within_its_bound(speech: float, noise: float, snr_db: float) -> None:
    expected = meaning.gain(speech, noise, snr_db)
    assert C.ac_mix_gain(speech, noise, snr_db) == pytest.approx(expected, rel=3e-6)


def test_there_is_no_singularity_at_0_db_nor_in_silence() -> None:
    """The published code divides by the difference of the ratios in dB."""
    assert C.ac_mix_gain(4.0, 4.0, 0.0) == pytest.approx(1.0, rel=1e-6)
    assert C.ac_mix_gain(0.0, 4.0, 0.0) == C.ac_mix_gain(4.0, 0.0, 0.0) == 1.0


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 7.5, 30.0])
@pytest.mark.parametrize("shift", [-3200, 0, 1, 3200])
def test_f32_is_the_mixture_of_the_training_data(snr_db: float, shift: int) -> None:
    out = np.zeros(T, np.float32)
    crop = 12_345
    status = C.ac_mix_f32(out, SPEECH, NOISE, T, len(NOISE), shift, crop, snr_db)
    moved = shift_in_time(SPEECH[None], np.array([shift]))
    under = NOISE[None, crop : crop + T]
    expected = moved + noise_gain(moved, under, snr_db)[:, None] * under
    assert status == Status.OK
    # 1e-5 of the largest noise sample, and half a unit in the last place of the sum.
    bound = 1e-5 * np.abs(expected - moved).max() + 1e-7 * np.abs(expected).max()
    assert np.abs(out - expected).max() < bound
    np.testing.assert_allclose(meaning.mixed(SPEECH, NOISE, shift, crop, snr_db), expected[0])


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 7.5, 30.0])
@pytest.mark.parametrize("shift", [-3200, 0, 3200])
def test_s16_is_the_mixture_within_one_step(snr_db: float, shift: int) -> None:
    speech, noise = as_s16(SPEECH), as_s16(NOISE)
    out, clipped = np.zeros(T, np.int16), np.zeros(1, np.int32)
    status = C.ac_mix_s16(out, speech, noise, T, len(noise), shift, 99, snr_db, clipped)
    expected, saturated = meaning.mixed_s16(speech, noise, shift, 99, snr_db)
    assert status == Status.OK
    difference = np.abs(out.astype(int) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.002
    assert clipped[0] == saturated


@settings(max_examples=200, deadline=None)
@given(
    speech=st.lists(S16, min_size=1, max_size=30),
    shift=st.integers(-40, 40),
    snr_db=st.floats(-30, 30, width=32),
)
def test_a_mixture_in_place_of_its_speech_is_the_same(
    speech: list[int], shift: int, snr_db: float
) -> None:
    count = len(speech)
    noise = np.random.default_rng(1).integers(-999, 999, 40).astype(np.int16)
    for function, dtype in ((C.ac_mix_s16, np.int16), (C.ac_mix_f32, np.float32)):
        x, under = np.array(speech, dtype), noise.astype(dtype)
        out = np.zeros(count, dtype)
        more = (None,) if dtype is np.int16 else ()
        sizes = (count, 40, shift, 40 - count, snr_db, *more)
        assert function(out, x, under, *sizes) == function(x, x, under, *sizes)
        np.testing.assert_array_equal(out, x)


def test_s16_saturates_and_counts_it() -> None:
    speech = np.array([30000, -30000, 0, 1], np.int16)
    noise = np.array([9000, -9000, 9000, -9000], np.int16)
    out, clipped = np.zeros(4, np.int16), np.zeros(1, np.int32)
    C.ac_mix_s16(out, speech, noise, 4, 4, 0, 0, 0.0, clipped)
    assert list(out[:2]) == [32767, -32768] and clipped[0] == 2
    loud = np.zeros(4, np.int16)
    C.ac_mix_s16(loud, speech, noise, 4, 4, 0, 0, -120.0, None)
    assert list(loud) == [32767, -32768, 32767, -32768]


@pytest.mark.parametrize("silent", ["speech", "noise", "shifted away"])
def test_in_silence_the_noise_keeps_its_level(silent: str) -> None:
    speech = SPEECH * (silent != "speech")
    noise = NOISE * (silent != "noise")
    shift = T if silent == "shifted away" else 0
    out = np.full(T, 9, np.float32)
    assert C.ac_mix_f32(out, speech, noise, T, len(noise), shift, 0, 5.0) == Status.UNSCALED
    expected = noise[:T] if silent != "noise" else speech
    np.testing.assert_array_equal(out, expected)


def test_bad_calls_leave_the_output_as_it_was() -> None:
    out = np.full(4, 7, np.float32)
    x = np.ones(4, np.float32)
    nan = np.array([1, np.nan, 1, 1], np.float32)
    huge = np.full(4, 1e20, np.float32)
    for T_, noise_T, crop, snr_db in (
        (0, 4, 0, 0.0), (-1, 4, 0, 0.0), (4, 3, 0, 0.0), (4, 4, 1, 0.0), (4, 4, -1, 0.0),
        (4, 4, 0, float("nan")), (4, -(2**31), 0, 0.0), (4, 4, 2**31 - 1, 0.0),
    ):  # fmt: skip
        assert C.ac_mix_f32(out, x, x, T_, noise_T, 0, crop, snr_db) == Status.BAD_CALL
    assert C.ac_mix_f32(out, None, x, 4, 4, 0, 0, 0.0) == Status.BAD_CALL
    for speech, noise in ((nan, x), (x, nan), (huge, x)):
        assert C.ac_mix_f32(out, speech, noise, 4, 4, 0, 0, 0.0) == Status.NOT_FINITE
    assert (out == 7).all()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_f32_does_no_harm_whatever_it_is_given(data: Any) -> None:
    T_, noise_T = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 60))
    numbers = st.floats(width=32) | st.just(0.0)
    speech = data.draw(st.lists(numbers, min_size=T_, max_size=T_))
    noise = data.draw(st.lists(numbers, min_size=noise_T, max_size=noise_T))
    shift = data.draw(st.integers(-50, 50) | st.integers(-(2**31), 2**31 - 1))
    crop = data.draw(st.integers(-2, 60) | st.sampled_from([-(2**31), 2**31 - 1]))
    sandbox = Sandbox()
    out = sandbox.array(T_, np.float32)
    s, n = sandbox.array(speech, np.float32), sandbox.array(noise, np.float32)
    snr_db = data.draw(st.floats(width=32))
    status = sandbox.c.ac_mix_f32(out, s, n, T_, noise_T, shift, crop, snr_db)
    possible = 0 <= crop <= noise_T - T_ and not np.isnan(snr_db)
    assert (status == Status.BAD_CALL) == (not possible)
    assert sandbox.accesses < 200 + 12 * T_
    if status >= 0 and np.abs([*speech, *noise]).max() < 1e10:
        assert np.isfinite(out).all()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_s16_is_its_meaning_for_any_samples(data: Any) -> None:
    T_ = data.draw(st.integers(1, 40))
    extra = data.draw(st.integers(0, 20))
    speech = np.array(data.draw(st.lists(S16, min_size=T_, max_size=T_)), np.int16)
    noise = np.array(data.draw(st.lists(S16, min_size=T_ + extra, max_size=T_ + extra)), np.int16)
    shift = data.draw(st.integers(-50, 50) | st.sampled_from([-(2**31), 2**31 - 1]))
    crop, snr_db = data.draw(st.integers(0, extra)), data.draw(st.floats(-130, 130, width=32))
    sandbox = Sandbox()
    out, clipped = sandbox.array(T_, np.int16), sandbox.array(1, np.int32)
    s, n = sandbox.array(speech, np.int16), sandbox.array(noise, np.int16)
    sandbox.c.ac_mix_s16(out, s, n, T_, len(noise), shift, crop, snr_db, clipped)
    expected, _ = meaning.mixed_s16(speech, noise, shift, crop, snr_db)
    assert np.abs(out.astype(int) - expected).max() <= 1
    assert sandbox.accesses < 700 + 24 * T_
