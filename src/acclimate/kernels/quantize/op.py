# SPDX-License-Identifier: Apache-2.0
"""Between floats and eight-bit integers: to them, back, and back as the mean over all pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from acclimate.kernels.conv2d_int8.meaning import LOWEST, lowest_of
from acclimate.kernels.cut import Cut
from acclimate.kernels.op import Array, Kernel, Op, Signature

__all__ = ["OPS", "Placed", "Scaled", "find_bridge"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Scaled:
    """What an integer is multiplied by; of `quantize`, what a float is."""

    factor: float


@dataclass(frozen=True)
class Placed(Scaled):
    """The same, and where pixel (0, 0) lies among the zeros around the integers."""

    top: int = 0
    left: int = 0


def _quantize(lowest: int, a: Placed, x: Array, *, U: int, V: int) -> Array:
    """y[N,U,V,C]: x[N,C,H,W] * factor, clipped and rounded, halves up; NaN is the lowest."""
    with np.errstate(invalid="ignore"):
        scaled = (x * x.dtype.type(a.factor)).transpose(0, 2, 3, 1)
    scaled = np.clip(np.where(np.isnan(scaled), lowest, scaled), lowest, lowest + 255)
    half = x.dtype.type(0.5 - lowest)
    N, H, W, C = scaled.shape
    y = np.zeros((N, U, V, C), np.int32)
    inside = y[:, a.top : a.top + H, a.left : a.left + W]
    inside[...] = np.trunc(scaled.astype(x.dtype) + half) + lowest
    return y


def _dequantize(pixels: Callable[[Array], Array], a: Placed, x: Array, *, P: int, Q: int) -> Array:
    """y[N,C,P,Q] = factor * x."""
    inside = pixels(x)[:, a.top : a.top + P, a.left : a.left + Q].transpose(0, 3, 1, 2)
    y: Array = inside.astype(np.float32) * np.float32(a.factor)
    return y


def _mean(pixels: Callable[[Array], Array], a: Scaled, x: Array) -> Array:
    """y[N,C] = factor * sum of x."""
    sums = pixels(x).astype(np.int64).sum(axis=(1, 2))
    y: Array = sums.astype(np.float32) * np.float32(a.factor)
    return y


def _same(pixels: Array) -> Array:
    return pixels


def _of_planes(planes: Array) -> Array:
    return planes.transpose(0, 2, 3, 1)


def _one() -> int:
    return 1


def _depth(C: int) -> int:
    return C


def _plane(U: int, V: int) -> int:
    return U * V


_QUANTIZED = (
    {"N": 1, "C": 1, "H": 49, "W": 10, "U": 58, "V": 12, "factor": 20.0, "top": 4, "left": 1},
    {"N": 2, "C": 3, "H": 4, "W": 5, "U": 4, "V": 5, "factor": 60.0},  # some are clipped
)
_DEQUANTIZED = (
    {"N": 1, "C": 4, "U": 6, "V": 5, "P": 4, "Q": 3, "factor": 0.05, "top": 1, "left": 2},
    {"N": 2, "C": 5, "U": 3, "V": 2, "P": 3, "Q": 2, "factor": 0.5},
)
_MEANS = (
    {"N": 1, "C": 64, "U": 25, "V": 5, "factor": 0.001},
    {"N": 2, "C": 5, "U": 3, "V": 2, "factor": 0.5},
)


def _quantize_op(y: str) -> Op:
    def meaning(a: Placed, x: Array, *, U: int, V: int) -> Array:
        return _quantize(LOWEST[y], a, x, U=U, V=V)

    return Op(
        name=f"quantize_{y}",
        doc="eight bits of x * factor as pixels, with zeros around them",
        signature=Signature.parse(f"x[N,C,H,W] -> y[N,U,V,C]:{y}"),
        meaning=meaning,
        folder=_FOLDER,
        attrs=Placed,
        sizes=("N", "C", "H", "W", "U", "V", "factor", "top", "left", "lo"),
        derived={"lo": lowest_of(y)},
        kernels=(Kernel("ac_quantize_fwd_int8", "quantize_int8.c"),),
        cases=_QUANTIZED,
        cuts=(Cut("N"),),
    )


def _back(x: str, planes: bool, mean: bool) -> Op:
    pixels = _of_planes if planes else _same
    shape = "N,C,U,V" if planes else "N,U,V,C"
    suffix = "_planes" if planes else ""
    steps = {
        "pixel": _one if planes else _depth,
        "channel": _plane if planes else _one,
        "lo": lowest_of(x),
    }
    if mean:
        return Op(
            name=f"mean_{x}{suffix}",
            doc="factor * sum over all pixels of eight bits, as floats",
            signature=Signature.parse(f"x[{shape}]:{x} -> y[N,C]"),
            meaning=partial(_mean, pixels),
            folder=_FOLDER,
            attrs=Scaled,
            sizes=("N", "C", "U", "V", "factor", *steps),
            derived=steps,
            kernels=(Kernel("ac_mean_fwd_int8", "mean_int8.c"),),
            cases=_MEANS,
            cuts=(Cut("N"),),
        )

    def meaning(a: Placed, x: Array, *, P: int, Q: int) -> Array:
        return _dequantize(pixels, a, x, P=P, Q=Q)

    return Op(
        name=f"dequantize_{x}{suffix}",
        doc="factor * x of eight bits, as floats",
        signature=Signature.parse(f"x[{shape}]:{x} -> y[N,C,P,Q]"),
        meaning=meaning,
        folder=_FOLDER,
        attrs=Placed,
        sizes=("N", "C", "U", "V", "P", "Q", "factor", "top", "left", *steps),
        derived=steps,
        kernels=(Kernel("ac_dequantize_fwd_int8", "dequantize_int8.c"),),
        cases=_DEQUANTIZED,
        cuts=(Cut("N"),),
    )


_LAYOUTS = [(x, planes) for x in LOWEST for planes in (False, True)]
OPS = (
    *(_quantize_op(y) for y in LOWEST),
    *(_back(x, planes, mean) for mean in (False, True) for x, planes in _LAYOUTS),
)
_BY_NAME = {op.name: op for op in OPS}


def find_bridge(name: str, dtype: str, planes: bool = False) -> Op:
    """`quantize`, `dequantize` or `mean` for a type and layout of the integers."""
    return _BY_NAME[f"{name}_{dtype}{'_planes' if planes else ''}"]
