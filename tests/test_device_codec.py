# SPDX-License-Identifier: Apache-2.0
"""ADPCM and mu-law in C are their meaning, and keep the quality that is stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from acclimate.data.noise import coloured_noise
from acclimate.device.codec.meaning import STEPS, Adpcm, mulaw_decode, mulaw_encode
from data_fixtures import tone_clips
from device_sandbox import Sandbox, fast_library

C = fast_library()
SPEECH_LIKE = {
    "tones": tone_clips().samples[3],
    "pink noise": coloured_noise(1, 1.0, np.random.default_rng(1)),
}


def adpcm_round_trip(x: NDArray[np.int16]) -> NDArray[np.int16]:
    encoder, decoder = C.new("ac_codec_adpcm"), C.new("ac_codec_adpcm")
    codes = [C.ac_codec_adpcm_encode(encoder, int(v)) for v in x]
    return np.array([C.ac_codec_adpcm_decode(decoder, code) for code in codes], np.int16)


def decibels(x: NDArray[np.int16], decoded: NDArray[np.int16]) -> float:
    error = decoded.astype(float) - x
    return float(10 * np.log10((x.astype(float) ** 2).sum() / max((error**2).sum(), 1e-9)))


@settings(max_examples=100, deadline=None)
@given(
    samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=60), index=st.integers(0, 255)
)
def test_adpcm_is_its_meaning_for_any_samples(samples: list[int], index: int) -> None:
    sandbox = Sandbox()
    state = sandbox.new("ac_codec_adpcm", index=index)
    meaning = Adpcm(0, index)
    decoder = sandbox.new("ac_codec_adpcm", index=index)
    for sample in samples:
        code = sandbox.c.ac_codec_adpcm_encode(state, sample)
        assert code == meaning.encode(sample)
        assert state.predicted == meaning.predicted and state.index == meaning.index
        assert sandbox.c.ac_codec_adpcm_decode(decoder, code) == meaning.predicted
    # A clock of its own: 40 accesses a sample for both directions.
    assert sandbox.accesses < 40 * len(samples) + 10


@settings(max_examples=50, deadline=None)
@given(codes=st.binary(min_size=1, max_size=200), predicted=st.integers(-32768, 32767))
def test_adpcm_decodes_any_bytes(codes: bytes, predicted: int) -> None:
    sandbox, meaning = Sandbox(), Adpcm(predicted, 255)
    state = sandbox.new("ac_codec_adpcm", predicted=predicted, index=255)
    for code in codes:
        assert sandbox.c.ac_codec_adpcm_decode(state, code) == meaning.decode(code & 15)


@pytest.mark.parametrize("name", SPEECH_LIKE)
def test_adpcm_keeps_18_db(name: str) -> None:
    x = np.round(SPEECH_LIKE[name] * 32767).astype(np.int16)
    assert decibels(x, adpcm_round_trip(x)) > 18


def test_adpcm_follows_a_slow_ramp_exactly_to_its_smallest_step() -> None:
    ramp = np.arange(-500, 500, dtype=np.int16)
    error = np.abs(adpcm_round_trip(ramp).astype(int) - ramp)[100:]
    assert error.max() <= STEPS[0]


def test_mulaw_is_g711_on_every_sample_and_every_code() -> None:
    x = np.arange(-32768, 32768).astype(np.int16)
    codes = np.array([C.ac_codec_mulaw_encode(int(v)) for v in x], np.uint8)
    np.testing.assert_array_equal(codes, mulaw_encode(x))
    decoded = np.array([C.ac_codec_mulaw_decode(code) for code in range(256)], np.int16)
    np.testing.assert_array_equal(decoded, mulaw_decode(np.arange(256, dtype=np.uint8)))
    # Published pairs of G.711: silence is 0xFF, full scale 0x80 and 0x00.
    assert (codes[32768], codes[-1], codes[0]) == (0xFF, 0x80, 0x00)
    assert decoded[0xFF] == 0 and decoded[0x80] == 32124 and decoded[0x00] == -32124
    kept = mulaw_decode(codes).astype(int)
    inside = np.abs(x.astype(int)) <= 32635
    error = np.abs(kept - x)[inside]
    assert (error <= (np.abs(x.astype(int))[inside] + 132) / 32).all()


@pytest.mark.parametrize("name", SPEECH_LIKE)
def test_mulaw_keeps_35_db(name: str) -> None:
    x = np.round(SPEECH_LIKE[name] * 32767).astype(np.int16)
    assert decibels(x, mulaw_decode(mulaw_encode(x))) > 35
