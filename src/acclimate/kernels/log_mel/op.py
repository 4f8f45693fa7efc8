# SPDX-License-Identifier: Apache-2.0
"""Log-mel energies of sound: window, power spectrum, bands, logarithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acclimate.kernels.cut import Cut, Range
from acclimate.kernels.log_mel.tables import blocks, make_tables
from acclimate.kernels.op import Array, Kernel, Op, Signature

_FOLDER = Path(__file__).parent
# P = 2: re and im, or first and count.
_TABLES = "twiddle[J,P,P], split[K,P], order[S]:s16, weights[B], span[M,P]:s16"


@dataclass(frozen=True)
class LogMel:
    """Frames and transform; log_mel.h says what the numbers mean."""

    hop: int
    fft_size: int
    log_floor: float


def filters(weights: Array, span: Array, bins: int) -> Array:
    """Weight of every bin in every band, [bins,M], of the compressed ones."""
    full, at = np.zeros((bins, len(span)), weights.dtype), 0
    for band, (first, count) in enumerate(span):
        full[first : first + count, band] = weights[at : at + count]
        at += count
    return full


def powers(a: LogMel, x: Array, window: Array, F: int) -> Array:
    """Power spectrum of every frame, [N,F,fft_size/2+1], in the precision of the window."""
    frames = np.lib.stride_tricks.sliding_window_view(x, len(window), axis=1)
    spectrum = np.fft.rfft(frames[:, :: a.hop][:, :F] * window, a.fft_size)
    power: Array = spectrum.real**2 + spectrum.imag**2
    return power


def _fwd(
    a: LogMel,
    x: Array,
    window: Array,
    twiddle: Array,
    split: Array,
    order: Array,
    weights: Array,
    span: Array,
    *,
    F: int,
) -> Array:
    """The tables of the transform have no meaning of their own: it is the one of NumPy."""
    power = powers(a, x, window, F)
    energy = power @ filters(weights, span, power.shape[-1])
    y: Array = np.log(energy + weights.dtype.type(a.log_floor))
    return y


def _scratch(fft_size: int, K: int) -> int:
    """The transform, its bins of the upper half, and two words against meeting in one bank."""
    return fft_size + max(K - fft_size // 4, 0) + 2


def _macs(N: int, F: int, W: int, K: int, B: int, fft_size: int) -> int:
    """Real products: window, stages of radix 4, split and power, bands."""
    stages = blocks(fft_size).bit_length() // 2
    return N * F * (W + stages * fft_size // 8 * 16 + K * 6 + B)


def _samples(hop: int, W: int, start: int, stop: int) -> Mapping[str, Range | int]:
    """What frames from `start` to `stop` are made of."""
    return {"T": (start * hop, (stop - 1) * hop + W)}


def triangles(fft_size: int, M: int, used: int) -> Array:
    """Filters of equal width over the bins 1 .. used - 1, [fft_size/2+1,M]: those of the cases."""
    bins = np.arange(fft_size // 2 + 1)[:, None]
    width = used / (M + 1)
    weights = 1.0 - np.abs(bins / width - np.arange(1, M + 1))
    return np.where((bins > 0) & (bins < used), np.maximum(weights, 0.0), 0.0)


def case(
    W: int,
    hop: int,
    fft_size: int,
    M: int,
    used: int,
    F: int = 3,
    N: int = 1,
    log_floor: float = 1e-6,
) -> dict[str, int | float]:
    """One case: F frames of W samples, and half a hop behind them."""
    tables = make_tables(fft_size, triangles(fft_size, M, used))
    return {
        "N": N, "T": (F - 1) * hop + W + hop // 2, "F": F, "W": W, "M": M, "hop": hop,
        "fft_size": fft_size, "log_floor": log_floor, "K": len(tables.split),
        "B": len(tables.weights), "J": fft_size // 8, "P": 2, "S": blocks(fft_size),
    }  # fmt: skip


_CASES = (
    case(W=640, hop=320, fft_size=1024, M=40, used=256, F=9),  # 16 kHz: five points of eight
    case(W=512, hop=160, fft_size=512, M=20, used=256, N=2),  # no zeros, all bins
    case(W=400, hop=160, fft_size=512, M=13, used=200),
    case(W=551, hop=220, fft_size=2048, M=30, used=700),  # odd; blocks of 8 points
    case(W=5, hop=7, fft_size=64, M=4, used=32),  # most points are zero; gaps between frames
    case(W=32, hop=1, fft_size=32, M=12, used=11, F=1),  # bands without any bin
    case(W=128, hop=64, fft_size=128, M=1, used=3, log_floor=1.0),
)


def _op(name: str, dtype: str, doc: str) -> Op:
    return Op(
        name=name,
        doc=doc,
        signature=Signature.parse(f"x[N,T]:{dtype}, window[W], {_TABLES} -> y[N,F,M]"),
        meaning=_fwd,
        folder=_FOLDER,
        attrs=LogMel,
        macs=_macs,
        sizes=("N", "T", "F", "M", "W", "K", "hop", "fft_size", "log_floor"),
        kernels=(Kernel(f"ac_log_mel_fwd_{dtype}", f"log_mel_{dtype}.c", scratch=_scratch),),
        cases=_CASES,
        cuts=(Cut("F", _samples), Cut("N")),
    )


LOG_MEL_FWD = _op("log_mel_fwd", "f32", "log of the power of a frame in bands")
LOG_MEL_FWD_S16 = _op("log_mel_fwd_s16", "s16", "the same of 16-bit samples")
OPS = (LOG_MEL_FWD, LOG_MEL_FWD_S16)
