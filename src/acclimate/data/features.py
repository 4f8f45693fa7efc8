# SPDX-License-Identifier: Apache-2.0
"""MFCC of one second of sound: x[N,16000] -> features[N,49,10].

The definition, exact, so that C can repeat it. Samples are within -1 .. 1. For frame t = 0 .. 48:

1. s[i] = x[320 t + i] * w[i], i = 0 .. 639, w[i] = 0.5 - 0.5 cos(2 pi i / 640): periodic Hann,
   no padding at the ends of the clip, no pre-emphasis, no dither;
2. P[k] = |sum over i of s[i] exp(-2 pi j i k / 1024)|^2, k = 0 .. 512: zeros follow the 640
   samples, power is not divided by anything;
3. E[m] = sum over k >= 1 of P[k] max(0, min(M(k) - L[m], L[m+2] - M(k)) / D), m = 0 .. 39, with
   M(k) = 1127 ln(1 + f / 700), f = k * 16000 / 1024 Hz, and L[0] .. L[41] at equal distances D
   from M(20 Hz) to M(4000 Hz): triangles straight in mel, peak 1, no area normalisation;
4. G[m] = ln(E[m] + 1e-6);
5. c[q] = a[q] * sum over m of G[m] cos(pi q (2 m + 1) / 80), q = 0 .. 9, a[0] = sqrt(1 / 40), else
   sqrt(2 / 40): DCT-II, orthonormal.

Triangles and constants follow `tf.signal`, which the published keyword spotters use. Everything is
float32; matrices are made in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from acclimate.data.clips import CLIP_SAMPLES, F32, SAMPLE_RATE_HZ
from acclimate.errors import BadExample

_CHUNK = 256  # clips at once: 13 M spectrum values, so that memory stays small


@dataclass(frozen=True)
class MfccSpec:
    """Every number in the definition of the MFCC."""

    sample_rate_hz: int = SAMPLE_RATE_HZ
    clip_samples: int = CLIP_SAMPLES
    window_ms: int = 40
    hop_ms: int = 20
    fft_size: int = 1024
    mel_bins: int = 40
    mel_low_hz: float = 20.0
    mel_high_hz: float = 4000.0
    log_floor: float = 1e-6
    coefficients: int = 10

    @property
    def window_samples(self) -> int:
        """Length of one window [samples]."""
        return self.sample_rate_hz * self.window_ms // 1000

    @property
    def hop_samples(self) -> int:
        """Distance between windows [samples]."""
        return self.sample_rate_hz * self.hop_ms // 1000

    @property
    def frames(self) -> int:
        """Windows that lie wholly within a clip."""
        return 1 + (self.clip_samples - self.window_samples) // self.hop_samples


def hann_window(spec: MfccSpec) -> NDArray[np.float64]:
    """Periodic Hann window w[window_samples]."""
    i = np.arange(spec.window_samples)
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * i / spec.window_samples))


def mel(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mel of frequencies: 1127 ln(1 + f / 700)."""
    return np.asarray(1127.0 * np.log1p(frequency_hz / 700.0))


def mel_matrix(spec: MfccSpec) -> NDArray[np.float64]:
    """Triangles over the spectrum, w[fft_size/2+1,mel_bins]; the row of 0 Hz is zero."""
    bins_hz = np.arange(spec.fft_size // 2 + 1) * spec.sample_rate_hz / spec.fft_size
    low, high = mel(np.array([spec.mel_low_hz, spec.mel_high_hz]))
    edges = np.linspace(low, high, spec.mel_bins + 2)
    width = edges[1] - edges[0]
    at = mel(bins_hz)[:, None]
    triangles = np.minimum(at - edges[:-2], edges[2:] - at) / width
    triangles[0] = 0.0
    return np.asarray(np.maximum(triangles, 0.0))


def dct_matrix(spec: MfccSpec) -> NDArray[np.float64]:
    """Orthonormal DCT-II, first coefficients: w[mel_bins,coefficients]."""
    m, q = np.arange(spec.mel_bins)[:, None], np.arange(spec.coefficients)
    scale = np.where(q == 0, np.sqrt(1.0 / spec.mel_bins), np.sqrt(2.0 / spec.mel_bins))
    return np.asarray(scale * np.cos(np.pi * q * (2 * m + 1) / (2 * spec.mel_bins)))


@lru_cache(maxsize=8)
def _matrices(spec: MfccSpec) -> tuple[F32, F32, F32]:
    triangles = mel_matrix(spec)
    used = int(np.flatnonzero(triangles.any(1))[-1]) + 1  # nothing above 4 kHz is needed
    window, dct = hann_window(spec), dct_matrix(spec)
    return window.astype(np.float32), triangles[:used].astype(np.float32), dct.astype(np.float32)


def mfcc(samples: F32, spec: MfccSpec) -> F32:
    """MFCC of whole clips.

    Args:
        samples: x[N,clip_samples] within -1 .. 1.
        spec: the definition.

    Returns:
        features[N,frames,coefficients].

    Raises:
        BadExample: the clips have another length.
    """
    if samples.ndim != 2 or samples.shape[1] != spec.clip_samples:
        raise BadExample(
            f"MFCC needs clips x[N,{spec.clip_samples}]", found=f"shape {samples.shape}"
        )
    window, triangles, dct = _matrices(spec)
    out: F32 = np.empty((len(samples), spec.frames, spec.coefficients), dtype=np.float32)
    for start in range(0, len(samples), _CHUNK):
        x = samples[start : start + _CHUNK].astype(np.float32, copy=False)
        frames = np.lib.stride_tricks.sliding_window_view(x, spec.window_samples, axis=1)
        frames = frames[:, :: spec.hop_samples] * window  # [n,frames,window]
        spectrum = np.fft.rfft(frames, spec.fft_size)[..., : len(triangles)]
        power = spectrum.real**2 + spectrum.imag**2  # [n,frames,bins]
        log_mel = np.log(power @ triangles + np.float32(spec.log_floor))
        out[start : start + len(x)] = log_mel @ dct
    return out


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of every coefficient over the training features."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def measure(cls, features: F32) -> Normalisation:
        """Mean and standard deviation over clips and frames of features[N,frames,coefficients]."""
        flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
        # Seven digits are what float32 keeps; they make the sidecar of a checkpoint readable.
        mean = tuple(float(f"{v:.7g}") for v in flat.mean(0))
        return cls(mean, tuple(float(f"{v:.7g}") for v in flat.std(0)))

    def apply(self, features: F32) -> F32:
        """(features - mean) / std, per coefficient."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return np.asarray((features - mean) / std, dtype=np.float32)


@dataclass(frozen=True)
class FrontEnd:
    """Everything between the microphone and the network: MFCC, then normalisation."""

    spec: MfccSpec
    normalisation: Normalisation

    def __call__(self, samples: F32) -> F32:
        """samples[N,clip_samples] -> x[N,1,frames,coefficients]."""
        return self.normalisation.apply(mfcc(samples, self.spec))[:, None]
