# SPDX-License-Identifier: Apache-2.0
"""Drawn sounds for the log-mel kernels, and the bound of their errors in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from acclimate.kernels.log_mel.op import OPS as LOG_MEL
from acclimate.kernels.log_mel.op import filters, powers, triangles
from acclimate.kernels.log_mel.tables import make_tables
from acclimate.kernels.op import DTYPES, Array, Op

UNIT_ROUNDOFF = 2.0**-24
FULL_SCALE = 32767.0


def _voiced(rng: np.random.Generator, t: Array) -> Array:
    """Harmonics of a gliding pitch that fade in and out, over a little noise."""
    phase = np.cumsum(rng.uniform(0.005, 0.02) + 0.002 * np.sin(t * rng.uniform(0.001, 0.01)))
    tones = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 9))
    loudness = np.sin(np.pi * t / max(len(t), 1)) ** 2
    return 0.4 * loudness * tones + 1e-3 * rng.standard_normal(len(t))


def _impulses(rng: np.random.Generator, t: Array) -> Array:
    x = np.zeros(len(t))
    x[rng.integers(0, len(t), 3)] = rng.choice([-1.0, 1.0], 3)
    return x


SOUNDS: Mapping[str, Callable[[np.random.Generator, Array], Array]] = {
    "voiced": _voiced,
    "noise": lambda rng, t: 0.1 * rng.standard_normal(len(t)),
    "silence": lambda rng, t: np.zeros(len(t)),
    "full scale": lambda rng, t: rng.choice([-1.0, 1.0], len(t)),
    "impulses": _impulses,
    "constant": lambda rng, t: np.full(len(t), rng.uniform(-1, 1)),
}


def sound(kind: str, rng: np.random.Generator, count: int, dtype: Any = np.float32) -> Array:
    """One clip x[count] within -1 .. 1, of int16 as PCM."""
    x = np.clip(SOUNDS[kind](rng, np.arange(count)), -1.0, 1.0)
    return np.round(FULL_SCALE * x).astype(dtype) if dtype == np.int16 else x.astype(dtype)


def operands(
    dtype: Any, values: Mapping[str, Any], seed: int, kinds: Sequence[str] = tuple(SOUNDS)
) -> list[Array]:
    """Inputs of `log_mel_fwd`: another kind of sound in every clip, triangles as filters."""
    rng = np.random.default_rng(seed)
    clips = [
        sound(kinds[(seed + n) % len(kinds)], rng, values["T"], dtype) for n in range(values["N"])
    ]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(values["W"]) + 0.5) / values["W"])
    scale = 1.0 / 32768.0 if dtype == np.int16 else 1.0
    used = values.get("used", values["K"])
    tables = make_tables(values["fft_size"], triangles(values["fft_size"], values["M"], used))
    return [
        np.stack(clips), (scale * window).astype(np.float32), tables.twiddle, tables.split,
        tables.order, tables.weights, tables.span,
    ]  # fmt: skip


def named_operands(
    op: Op, values: Mapping[str, Any], seed: int = 0, kinds: Sequence[str] = tuple(SOUNDS)
) -> dict[str, Array]:
    """The same by the names of the signature; nothing for operators that take no sound."""
    if op not in LOG_MEL:
        return {}
    inputs = op.signature.inputs
    found = operands(DTYPES[inputs[0].dtype], values, seed, kinds)
    return {operand.name: array for operand, array in zip(inputs, found, strict=True)}


def error_bound(
    attrs: Any, inputs: list[Array], values: Mapping[str, Any], unit: float = UNIT_ROUNDOFF
) -> Array:
    """Bound of the error of y[N,F,M] in float32, or in floats of another unit roundoff.

    The norm of the error of a transform is at most t h / (1 - t h) of that of its result, with t
    levels of butterflies and h = 6.7 u for roots rounded to u = 2^-24 (Higham 2002, Accuracy and
    Stability of Numerical Algorithms, theorem 24.2); 8 u here, since a - w b as 2 a - p rounds once
    more, and two levels more for the window and the split. The errors spread over the bins: each is
    given twice its even share, 16 u t |x|. An energy adds the rounding of its sum, the logarithm
    the relative error of what it is taken of, and its own: below 4 u of it.
    """
    x, window, _, _, _, weights, span = inputs
    power = powers(attrs, x, window, values["F"])
    bands = filters(weights, span, power.shape[-1])
    frames = np.lib.stride_tricks.sliding_window_view(x, len(window), axis=1)
    frames = frames[:, :: attrs.hop][:, : values["F"]] * window
    levels = np.log2(attrs.fft_size) + 2
    off = 16 * unit * levels * np.sqrt((frames**2).sum(-1, keepdims=True))
    energy, terms = power @ bands, span[:, 1].max() + 8
    wrong = (2 * np.sqrt(power) * off + off**2) @ bands + terms * unit * energy
    floor = attrs.log_floor
    lower = np.maximum(energy - wrong, 0.0) + floor
    rounded = 4 * unit * (1 + np.abs(np.log(energy + floor)))
    bound: Array = np.log((energy + floor + wrong) / lower) + rounded
    return bound
