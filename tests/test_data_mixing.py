# SPDX-License-Identifier: Apache-2.0
"""Mixtures have the ratio that was asked for, and repeat with the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.data.clips import SILENCE_CLASS
from acclimate.data.mixing import MixSpec, mix_clips, noise_gain, random_crops, shift_in_time
from acclimate.data.noise import (
    QUIET,
    NoiseRecording,
    babble,
    babble_place,
    generated_places,
    split_in_time,
)
from acclimate.errors import BadOption, DataError
from data_fixtures import tone_clips

CLIPS = tone_clips()
HISS = NoiseRecording("hiss", np.random.default_rng(5).standard_normal(40_000).astype(np.float32))
NO_SHIFT = MixSpec(0.0, 0.0, shift_ms=0)


@settings(max_examples=20, deadline=None)
@given(snr_db=st.floats(-20, 20), seed=st.integers(0, 1000))
def test_gain_gives_the_ratio(snr_db: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    speech, noise = rng.standard_normal((2, 3, 500)).astype(np.float32)
    scaled = noise_gain(speech, noise, snr_db)[:, None] * noise
    ratio = (speech.astype(np.float64) ** 2).sum(1) / (scaled**2).sum(1)
    np.testing.assert_allclose(10 * np.log10(ratio), snr_db, atol=1e-5)


@pytest.mark.parametrize("silent", ["speech", "noise"])
def test_gain_is_one_where_something_is_silent(silent: str) -> None:
    speech, noise = np.ones((2, 1, 10), np.float32)
    (speech if silent == "speech" else noise)[:] = 0
    assert noise_gain(speech, noise, 10.0) == [1.0]


def test_silence_class_is_the_noise_at_its_recorded_level() -> None:
    mixed = mix_clips(
        CLIPS.samples, CLIPS.labels, [HISS], MixSpec(30, 30, 0), np.random.default_rng(0)
    )
    crops = random_crops([HISS], len(CLIPS), 16_000, np.random.default_rng(0))
    alone = mixed[CLIPS.labels == SILENCE_CLASS]
    assert 0.9 < alone.std() < 1.1 and crops.shape == mixed.shape


def test_quiet_leaves_every_clip_as_it_is() -> None:
    mixed = mix_clips(CLIPS.samples, CLIPS.labels, [QUIET], NO_SHIFT, np.random.default_rng(0))
    np.testing.assert_array_equal(mixed, CLIPS.samples)


def test_mixture_repeats_with_the_seed_and_only_then() -> None:
    first, again, other = (
        mix_clips(CLIPS.samples, CLIPS.labels, [HISS], MixSpec(), np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(1).all() and first.dtype == np.float32


def test_shift_moves_each_row_and_fills_with_zeros() -> None:
    x = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    moved = shift_in_time(x, np.array([0, 1, -3]))
    np.testing.assert_array_equal(moved, [[1, 2, 3, 4], [0, 5, 6, 7], [12, 0, 0, 0]])


def test_crops_take_recordings_in_turn() -> None:
    ramps = [NoiseRecording(str(i), np.arange(50, dtype=np.float32) + 100 * i) for i in range(3)]
    crops = random_crops(ramps, 7, 10, np.random.default_rng(0))
    assert list(crops[:, 0] // 100) == [0, 1, 2, 0, 1, 2, 0]
    assert (np.diff(crops, axis=1) == 1).all()


def test_short_noise_is_refused() -> None:
    with pytest.raises(DataError, match="tick: 9 samples"):
        random_crops(
            [NoiseRecording("tick", np.zeros(9, np.float32))], 1, 10, np.random.default_rng()
        )


def test_mix_spec_refuses_an_empty_range() -> None:
    with pytest.raises(BadOption):
        MixSpec(5.0, 0.0)


def test_parts_of_a_place_share_no_moment() -> None:
    ramp = NoiseRecording("ramp", np.arange(100, dtype=np.float32))
    place = split_in_time(ramp, "made")
    assert (len(place.train.samples), len(place.test.samples)) == (60, 40)
    assert place.train.samples.max() < place.test.samples.min()


def test_babble_is_loud_everywhere_and_has_no_single_voice() -> None:
    noise = babble("mixed voices", CLIPS, np.random.default_rng(0))
    seconds = noise.samples.reshape(-1, 16_000)
    assert len(seconds) == 30 and (seconds.std(1) > 0.05).all()


def test_babble_needs_five_speakers() -> None:
    with pytest.raises(DataError, match="found: 2"):
        babble("mixed voices", tone_clips(speakers=2), np.random.default_rng(0))


def test_generated_places_repeat_with_the_seed() -> None:
    voices = tone_clips(speakers=12)
    first, again = generated_places(voices, 1), generated_places(voices, 1)
    assert {"coffee shop", "city", "wind"} <= {p.name for p in first}
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.train.samples, b.train.samples)
        assert a.train.samples.dtype == np.float32 and a.train.samples.std() > 0.01


def test_babble_place_splits_the_speakers() -> None:
    place = babble_place(tone_clips(speakers=12), 0)
    assert (place.train.samples[:16_000] != place.test.samples[:16_000]).any()
