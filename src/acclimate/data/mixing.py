# SPDX-License-Identifier: Apache-2.0
"""Puts noise under speech at a chosen signal-to-noise ratio, a whole batch at once.

Source: the on-device domain adaptation system (pulp-platform/odda-for-kws): noise of index i mod
number of recordings, a random crop, a random time shift of the speech, and a gain from energies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acclimate.data.clips import F32, I64, SAMPLE_RATE_HZ, SILENCE_CLASS
from acclimate.data.noise import NoiseRecording
from acclimate.errors import BadOption, DataError


@dataclass(frozen=True)
class MixSpec:
    """How speech and noise are mixed.

    Attributes:
        snr_low_db: smallest signal-to-noise ratio.
        snr_high_db: largest one; each clip draws uniformly between the two.
        shift_ms: speech moves by up to this, earlier or later.
    """

    snr_low_db: float = 0.0
    snr_high_db: float = 0.0
    shift_ms: float = 200.0

    def __post_init__(self) -> None:
        if self.snr_low_db > self.snr_high_db or self.shift_ms < 0:
            raise BadOption(
                "mixing needs snr_low_db <= snr_high_db, shift_ms >= 0", found=repr(self)
            )


def noise_gain(speech: F32, noise: F32, snr_db: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Gain of the noise that gives the ratio: k = sqrt(Es / (En 10^(SNR / 10))).

    Args:
        speech: s[N,T].
        noise: n[N,T].
        snr_db: one ratio, or one per clip.

    Returns:
        k[N]; 1 where the speech or the noise is silent, because no gain gives the ratio there.
    """
    speech_energy = np.einsum("nt,nt->n", speech, speech, dtype=np.float64)
    noise_energy = np.einsum("nt,nt->n", noise, noise, dtype=np.float64)
    audible = (speech_energy > 0) & (noise_energy > 0)
    wanted = speech_energy / (
        np.where(audible, noise_energy, 1.0) * 10.0 ** (np.asarray(snr_db) / 10)
    )
    return np.where(audible, np.sqrt(wanted), 1.0)


def shift_in_time(samples: F32, steps: I64) -> F32:
    """Moves row i of x[N,T] later by steps[i] samples (earlier if negative); zeros fill the gap."""
    N, T = samples.shape
    limit = int(np.abs(steps).max(initial=0))
    padded = np.pad(samples, ((0, 0), (limit, limit)))
    # windows[i,limit-s] is row i moved by s; the view costs nothing, choosing copies N rows.
    windows = np.lib.stride_tricks.sliding_window_view(padded, T, axis=1)
    return np.asarray(windows[np.arange(N), limit - steps])


def random_crops(noises: Sequence[NoiseRecording], N: int, T: int, rng: np.random.Generator) -> F32:
    """N random pieces of T samples, of recording i mod len(noises): n[N,T].

    Raises:
        DataError: there is no recording, or one is shorter than T.
    """
    short = [f"{n.name}: {len(n.samples)} samples" for n in noises if len(n.samples) < T]
    if short or not noises:
        raise DataError(
            f"noise must be at least {T} samples long", found=", ".join(short) or "no recording"
        )
    crops: F32 = np.empty((N, T), dtype=np.float32)
    for i, noise in enumerate(noises[:N]):
        pieces = np.lib.stride_tricks.sliding_window_view(noise.samples, T)
        mine = crops[i :: len(noises)]
        mine[:] = pieces[rng.integers(len(pieces), size=len(mine))]
    return crops


def mix_clips(
    samples: F32,
    labels: I64,
    noises: Sequence[NoiseRecording],
    spec: MixSpec,
    rng: np.random.Generator,
) -> F32:
    """Speech in noise.

    Args:
        samples: s[N,T], clean.
        labels: y[N]; under noise the silence class is the noise alone, at its recorded level.
        noises: recordings; clip i gets number i mod len(noises).
        spec: ratio and shift.
        rng: draws shifts, crops and ratios; the same seed gives the same mixture.

    Returns:
        x[N,T], not clipped: float32 keeps what is above 1.
    """
    N, T = samples.shape
    limit = round(spec.shift_ms * SAMPLE_RATE_HZ / 1000)
    speech = shift_in_time(samples, np.asarray(rng.integers(-limit, limit + 1, N)))
    noise = random_crops(noises, N, T, rng)
    snr_db = rng.uniform(spec.snr_low_db, spec.snr_high_db, N)
    # A recorded silence clip is itself faint noise; it stays only where no other noise is added.
    replaced = (labels == SILENCE_CLASS) & noise.any(1)
    speech = np.where(replaced[:, None], np.float32(0.0), speech)
    gain = noise_gain(speech, noise, snr_db).astype(np.float32)
    return np.asarray(speech + gain[:, None] * noise, dtype=np.float32)
