# SPDX-License-Identifier: Apache-2.0
"""What mix.c computes, in NumPy with double precision."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

DECIBELS_MAX, GAIN_MAX = 120, 1_000_000
SILENCE = float(np.finfo(np.float32).tiny)  # energy below this is none


class Status(IntEnum):
    """Results, as mix.h explains them."""

    OK = 0
    UNSCALED = 1
    BAD_CALL = -1
    NOT_FINITE = -2


def gain(speech_energy: float, noise_energy: float, snr_db: float) -> float:
    """k = sqrt(Es / (En 10^(SNR / 10))); 1 if one of them is silent."""
    if speech_energy < SILENCE or noise_energy < SILENCE:
        return 1.0
    power = 10.0 ** (np.clip(snr_db, -DECIBELS_MAX, DECIBELS_MAX) / 10)
    return float(min(np.sqrt(speech_energy / noise_energy / power), GAIN_MAX))


def shifted(speech: NDArray[Any], shift: int) -> NDArray[Any]:
    """x[T] moved later by `shift` samples, with zeros in the gap."""
    T = len(speech)
    moved = np.zeros_like(speech)
    by = int(np.clip(shift, -T, T))
    moved[max(by, 0) : T + min(by, 0)] = speech[max(-by, 0) : T - max(by, 0)]
    return moved


def mixed(
    speech: NDArray[Any], noise: NDArray[Any], shift: int, crop: int, snr_db: float
) -> NDArray[np.float64]:
    """x[T] of speech[T] and noise[noise_T], neither rounded nor clipped."""
    moved = shifted(speech, shift).astype(np.float64)
    under = noise[crop : crop + len(speech)].astype(np.float64)
    k = gain(float(moved @ moved), float(under @ under), snr_db)
    return np.asarray(moved + k * under)


def mixed_s16(
    speech: NDArray[np.int16], noise: NDArray[np.int16], shift: int, crop: int, snr_db: float
) -> tuple[NDArray[np.int16], int]:
    """The same on 16-bit samples, and how many saturate."""
    total = mixed(speech, noise, shift, crop, snr_db)
    clean = shifted(speech, shift)
    under = total - clean
    whole = clean + np.sign(under) * np.floor(np.abs(under) + 0.5)
    kept = np.clip(whole, -32768, 32767)
    return kept.astype(np.int16), int((kept != whole).sum())
