# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers: forward, input gradient, weight gradient, weight gradient + SGD."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acclimate.kernels.cut import Cut
from acclimate.kernels.linear import pulp, pulp_outer
from acclimate.kernels.op import Array, Kernel, Op, Signature

_FOLDER = Path(__file__).parent
_SIZES = ("N", "C", "K")
_SIMD = frozenset({"simd"})
_FPU = frozenset({"fpu"})  # one float at a time
_PULP = frozenset({"fpu", "xpulp"})
AC_COLUMNS = 16  # ac_tile.h
_CASES = (
    {"N": 1, "C": 1, "K": 1},
    {"N": 1, "C": 640, "K": 12},
    {"N": 3, "C": 17, "K": 5},
    {"N": 8, "C": 33, "K": 70},
)


@dataclass(frozen=True)
class Clamp:
    """The activation in a layer's epilogue: y = min(max(y, lo), hi). ReLU is (0, inf)."""

    lo: float = float("-inf")
    hi: float = float("inf")


@dataclass(frozen=True)
class Decay:
    """Plain gradient descent with L2 weight decay: w <- w - lr * (dw + weight_decay * w)."""

    weight_decay: float = 0.0


def _four_samples(N: int) -> bool:
    return N >= 4


def _eight_samples(N: int) -> bool:
    return N >= 8


def _one_sample(N: int) -> bool:
    return N == 1


def _fwd(a: Clamp, x: Array, w: Array, b: Array | None) -> Array:
    y: Array = np.clip(x @ w.T if b is None else x @ w.T + b, a.lo, a.hi)
    return y


def _step(
    a: Decay, w: Array, b: Array | None, dy: Array, x: Array, lr: Array
) -> tuple[Array, Array | None]:
    new_w = w - lr * (dy.T @ x + a.weight_decay * w)
    return new_w, None if b is None else b - lr * (dy.sum(axis=0) + a.weight_decay * b)


def _bwd_step(
    a: Decay, w: Array, b: Array | None, dy: Array, x: Array, lr: Array
) -> tuple[Array, Array | None, Array]:
    return (*_step(a, w, b, dy, x, lr), dy @ w)


LINEAR_FWD = Op(
    name="linear_fwd",
    doc="y = clamp(x W^T + b)",
    signature=Signature.parse("x[N,C], w[K,C], b[K]? -> y[N,K]"),
    meaning=_fwd,
    folder=_FOLDER,
    attrs=Clamp,
    macs=lambda N, C, K: N * C * K,
    sizes=(*_SIZES, "lo", "hi"),
    kernels=(
        Kernel("ac_linear_fwd_f32_dots", "linear_fwd_dots.c", _SIMD),
        Kernel("ac_linear_fwd_f32_pulp", "", _PULP, generator=pulp.FORWARD),
        Kernel("ac_linear_fwd_f32_block", "linear_fwd_block.c", _FPU),
        Kernel("ac_linear_fwd_f32", "linear_fwd.c"),
    ),
    cases=(
        *_CASES,
        {"N": 2, "C": 9, "K": 6, "lo": 0.0},
        {"N": 1, "C": 8, "K": 4, "lo": 0.0, "hi": 6.0},
    ),
    cuts=(Cut("K"), Cut("N")),
)
LINEAR_BWD_X = Op(
    name="linear_bwd_x",
    doc="dx = dy W",
    signature=Signature.parse("dy[N,K], w[K,C] -> dx[N,C]"),
    meaning=lambda a, dy, w: dy @ w,
    folder=_FOLDER,
    macs=lambda N, C, K: N * C * K,
    sizes=_SIZES,
    kernels=(
        Kernel(
            "ac_linear_bwd_x_f32_tile",
            "linear_tile.c",
            _SIMD,
            _four_samples,
            lambda K: K * AC_COLUMNS,
        ),
        Kernel("ac_linear_bwd_x_f32", "linear_bwd_x.c", _SIMD),  # the compiler vectorises it
        Kernel("ac_linear_bwd_x_f32_pulp", "", _PULP, generator=pulp.INPUT_GRADIENT),
        Kernel("ac_linear_bwd_x_f32_block", "linear_bwd_x_block.c", _FPU),
        Kernel("ac_linear_bwd_x_f32", "linear_bwd_x.c"),
    ),
    cases=_CASES,
    cuts=(Cut("C"), Cut("N")),
)
LINEAR_BWD_W = Op(
    name="linear_bwd_w",
    doc="dW = dy^T x, db = sum of dy over N",
    signature=Signature.parse("dy[N,K], x[N,C] -> dw[K,C], db[K]?"),
    meaning=lambda a, dy, x: (dy.T @ x, dy.sum(axis=0)),
    folder=_FOLDER,
    macs=lambda N, C, K: N * C * K,
    sizes=_SIZES,
    accumulates=True,
    kernels=(
        Kernel(
            "ac_linear_bwd_w_f32_tile",
            "linear_tile.c",
            _SIMD,
            _eight_samples,
            lambda N: N * AC_COLUMNS,
        ),
        Kernel("ac_linear_bwd_w_f32", "linear_bwd_w.c", _SIMD),  # the compiler vectorises it
        Kernel("ac_linear_bwd_w_f32_pulp_outer", "", _PULP, generator=pulp_outer.WEIGHTS),
        Kernel("ac_linear_bwd_w_f32_pulp", "", _PULP, generator=pulp.WEIGHT_GRADIENT),
        Kernel("ac_linear_bwd_w_f32_block", "linear_bwd_w_block.c", _FPU),
        Kernel("ac_linear_bwd_w_f32", "linear_bwd_w.c"),
    ),
    cases=_CASES,
    cuts=(Cut("K"), Cut("C", once=frozenset({"db"})), Cut("N", adds=True)),
)
LINEAR_STEP = Op(
    name="linear_step",
    doc="W <- W - lr (dy^T x + decay W), b likewise: weight gradient and SGD, no gradient buffer",
    signature=Signature.parse("w[K,C], b[K]?, dy[N,K], x[N,C], lr[] -> w[K,C], b[K]?"),
    meaning=_step,
    folder=_FOLDER,
    attrs=Decay,
    macs=lambda N, C, K: N * C * K,
    sizes=(*_SIZES, "weight_decay"),
    kernels=(
        Kernel(
            "ac_linear_step_f32_tile",
            "linear_tile.c",
            _SIMD,
            _eight_samples,
            lambda N: N * AC_COLUMNS,
        ),
        Kernel("ac_linear_step_f32", "linear_bwd_w.c", _SIMD),  # the compiler vectorises it
        Kernel("ac_linear_step_f32_pulp_outer", "", _PULP, generator=pulp_outer.WEIGHTS),
        Kernel("ac_linear_step_f32_pulp", "", _PULP, generator=pulp.WEIGHT_GRADIENT),
        Kernel("ac_linear_step_f32_block", "linear_bwd_w_block.c", _FPU),
        Kernel("ac_linear_step_f32", "linear_bwd_w.c"),
    ),
    cases=(*_CASES, {"N": 2, "C": 9, "K": 6, "weight_decay": 0.1}),
    cuts=(Cut("K"), Cut("C", once=frozenset({"b"}))),
)
LINEAR_BWD_STEP = Op(
    name="linear_bwd_step",
    doc="dx = dy W, then W and b as linear_step: the whole backward of a layer in one pass over W",
    signature=Signature.parse("w[K,C], b[K]?, dy[N,K], x[N,C], lr[] -> w[K,C], b[K]?, dx[N,C]"),
    meaning=_bwd_step,
    folder=_FOLDER,
    attrs=Decay,
    macs=lambda N, C, K: 2 * N * C * K,
    sizes=(*_SIZES, "weight_decay"),
    accumulates=True,
    kernels=(
        Kernel("ac_linear_bwd_step_f32_lanes", "linear_bwd_step_lanes.c", _SIMD, _one_sample),
        Kernel("ac_linear_bwd_step_f32_pulp", "", _PULP, generator=pulp_outer.WEIGHTS_AND_INPUT),
        Kernel("ac_linear_bwd_step_f32_block", "linear_bwd_step_block.c", _FPU, _one_sample),
        Kernel("ac_linear_bwd_step_f32", "linear_bwd_step.c"),
    ),
    cases=(
        *_CASES,
        {"N": 1, "C": 31, "K": 9, "weight_decay": 0.1},
        {"N": 2, "C": 9, "K": 6, "weight_decay": 0.1},
    ),
    cuts=(Cut("K", adds=True), Cut("C", once=frozenset({"b"}))),
)
OPS = (LINEAR_FWD, LINEAR_BWD_X, LINEAR_BWD_W, LINEAR_STEP, LINEAR_BWD_STEP)
