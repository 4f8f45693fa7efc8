# SPDX-License-Identifier: Apache-2.0
"""The fast MFCC equals its definition, written out slowly in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from acclimate.data.features import FrontEnd, MfccSpec, Normalisation, mel_matrix, mfcc
from acclimate.errors import BadExample

SPEC = MfccSpec()


def direct_mfcc(x: np.ndarray, t: int) -> list[float]:
    """The ten coefficients of frame t, by the sums of the definition."""
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / 640) for i in range(640)]
    s = np.array([float(x[320 * t + i]) * window[i] for i in range(640)])
    k = np.arange(513)
    power = np.abs(np.exp(-2j * np.pi * np.outer(k, np.arange(640)) / 1024) @ s) ** 2

    def mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    step = (mel(4000) - mel(20)) / 41
    edges = [mel(20) + i * step for i in range(42)]
    log_mel = []
    for m in range(40):
        energy = 0.0
        for bin_ in range(1, 513):
            at = mel(bin_ * 16000 / 1024)
            up, down = (at - edges[m]) / step, (edges[m + 2] - at) / step
            energy += power[bin_] * max(0.0, min(up, down))
        log_mel.append(math.log(energy + 1e-6))
    return [
        math.sqrt((1 if q == 0 else 2) / 40)
        * sum(g * math.cos(math.pi * q * (2 * m + 1) / 80) for m, g in enumerate(log_mel))
        for q in range(10)
    ]


@pytest.mark.parametrize("loudness", [1.0, 0.01])
@pytest.mark.parametrize("t", [0, 17, 48])
def test_mfcc_is_its_definition(t: int, loudness: float) -> None:
    x = loudness * np.random.default_rng(1).uniform(-1, 1, 16000).astype(np.float32)
    # Sums of 640 float32 products: 1e-4 of coefficients that reach 60.
    np.testing.assert_allclose(mfcc(x[None], SPEC)[0, t], direct_mfcc(x, t), atol=2e-4, rtol=1e-5)


def test_mfcc_has_49_frames_of_float32() -> None:
    features = mfcc(np.zeros((3, 16000), np.float32), SPEC)
    assert (features.shape, features.dtype) == ((3, 49, 10), np.float32)


def test_mfcc_of_silence_is_the_floor() -> None:
    features = mfcc(np.zeros((1, 16000), np.float32), SPEC)
    np.testing.assert_allclose(features[..., 0], math.log(1e-6) * math.sqrt(40), rtol=1e-5)
    np.testing.assert_allclose(features[..., 1:], 0.0, atol=2e-4)


def test_mfcc_of_a_clip_does_not_depend_on_its_batch() -> None:
    x = np.random.default_rng(2).standard_normal((300, 16000)).astype(np.float32)
    np.testing.assert_allclose(mfcc(x[270:], SPEC), mfcc(x, SPEC)[270:], atol=1e-4)


def test_mel_triangles_have_peak_one_and_stop_at_4_khz() -> None:
    triangles = mel_matrix(SPEC)
    bins_hz = np.arange(513) * 15.625
    assert triangles.max() <= 1.0 and not triangles[bins_hz > 4000].any()
    assert triangles[0].max() == 0.0 and (triangles.sum(0) > 0).all()


def test_mfcc_refuses_other_lengths() -> None:
    with pytest.raises(BadExample, match=r"x\[N,16000\]"):
        mfcc(np.zeros((1, 8000), np.float32), SPEC)


def test_normalised_features_have_mean_zero_and_deviation_one() -> None:
    x = np.random.default_rng(3).standard_normal((20, 16000)).astype(np.float32)
    front_end = FrontEnd(SPEC, Normalisation.measure(mfcc(x, SPEC)))
    y = front_end(x)
    assert (y.shape, y.dtype) == ((20, 1, 49, 10), np.float32)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0.0, atol=1e-3)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1.0, atol=1e-3)
