# SPDX-License-Identifier: Apache-2.0
"""Two-dimensional average pooling: forward and gradient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acclimate.kernels.cut import Cut
from acclimate.kernels.op import Array, Kernel, Op, Signature

_FOLDER = Path(__file__).parent
_SHAPES = ("N", "C", "H", "W", "R", "S", "P", "Q")
_GEOMETRY = ("stride_h", "stride_w", "pad_top", "pad_left", "pad_bottom", "pad_right")
_SIZES = (*_SHAPES, *_GEOMETRY, "count_include_pad", "divisor")

_SIMD = frozenset({"simd"})


@dataclass(frozen=True)
class AvgPool2d:
    """Windows of R x S cells; avg_pool2d.h says what the numbers mean."""

    R: int
    S: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    pad_bottom: int = 0
    pad_right: int = 0
    count_include_pad: int = 1
    divisor: int = 0


def _global(H: int, W: int, R: int, S: int, P: int, Q: int, pad_top: int, pad_left: int) -> bool:
    return (R, S, P, Q, pad_top, pad_left) == (H, W, 1, 1, 0, 0)


def _covers(starts: Array, window: int, size: int) -> Array:
    """[windows,size]: 1.0 where the window that begins at `starts` contains the cell."""
    cells = np.arange(size)
    return ((cells >= starts[:, None]) & (cells < starts[:, None] + window)).astype(np.float64)


def _weights(a: AvgPool2d, P: int, Q: int, H: int, W: int) -> tuple[Array, Array, Array]:
    """Covers [P,H] and [Q,W], and the divisor [P,Q]: y = covers_h x covers_w^T / divisor."""
    rows, columns = np.arange(P) * a.stride_h - a.pad_top, np.arange(Q) * a.stride_w - a.pad_left
    high, wide = _covers(rows, a.R, H), _covers(columns, a.S, W)
    if a.divisor:
        return high, wide, np.full((P, Q), float(a.divisor))
    if a.count_include_pad:
        tall = np.minimum(rows + a.R, H + a.pad_bottom) - rows
        broad = np.minimum(columns + a.S, W + a.pad_right) - columns
        return high, wide, np.multiply.outer(tall, broad).astype(np.float64)
    return high, wide, np.multiply.outer(high.sum(axis=1), wide.sum(axis=1))


def _fwd(a: AvgPool2d, x: Array, *, P: int, Q: int) -> Array:
    high, wide, divisor = _weights(a, P, Q, x.shape[2], x.shape[3])
    y: Array = (high @ x @ wide.T / divisor).astype(x.dtype)
    return y


def _bwd(a: AvgPool2d, dy: Array, *, H: int, W: int) -> Array:
    high, wide, divisor = _weights(a, dy.shape[2], dy.shape[3], H, W)
    dx: Array = (high.T @ (dy / divisor) @ wide).astype(dy.dtype)
    return dx


def _case(
    x: tuple[int, int, int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int] = (0, 0),
    ceil: int = 0,
    **more: int,
) -> dict[str, int]:
    """One case: x is N, C, H, W; pad is vertical, horizontal; ceil = 1 adds a partial window."""
    sizes = [
        (size + 2 * margin - cells) // step + 1 + ceil
        for size, margin, cells, step in zip(x[2:], pad, window, stride, strict=True)
    ]
    shapes = dict(zip(_SHAPES, (*x, *window, *sizes), strict=True))
    return {**shapes, **dict(zip(_GEOMETRY, (*stride, *pad, *pad), strict=True)), **more}


_CASES = (
    _case((1, 1, 1, 1), (1, 1), (1, 1)),
    _case((2, 3, 25, 5), (25, 5), (25, 5)),
    _case((1, 3, 8, 8), (2, 2), (2, 2)),
    _case((1, 3, 9, 7), (3, 3), (2, 2), (1, 1)),
    _case((1, 3, 9, 7), (3, 3), (2, 2), (1, 1), count_include_pad=0),
    _case((1, 2, 8, 9), (3, 4), (2, 3), (1, 1), ceil=1),
    _case((1, 2, 8, 9), (3, 4), (2, 3), (1, 1), ceil=1, count_include_pad=0),
    _case((1, 2, 9, 8), (3, 3), (1, 2), (1, 0), divisor=5),
    _case((1, 2, 9, 9), (2, 2), (4, 3)),  # stride larger than the window
)
_CUTS = (Cut("C"), Cut("N"))
AVG_POOL2D_FWD = Op(
    name="avg_pool2d_fwd",
    doc="y = mean of each window",
    signature=Signature.parse("x[N,C,H,W] -> y[N,C,P,Q]"),
    meaning=_fwd,
    folder=_FOLDER,
    attrs=AvgPool2d,
    sizes=_SIZES,
    kernels=(
        Kernel("ac_avg_pool2d_fwd_f32_global", "avg_pool2d_global.c", _SIMD, _global),
        Kernel("ac_avg_pool2d_fwd_f32", "avg_pool2d_fwd.c"),
    ),
    cases=_CASES,
    cuts=_CUTS,
)
AVG_POOL2D_BWD = Op(
    name="avg_pool2d_bwd",
    doc="dx = each dy shared among the cells of its window",
    signature=Signature.parse("dy[N,C,P,Q] -> dx[N,C,H,W]"),
    meaning=_bwd,
    folder=_FOLDER,
    attrs=AvgPool2d,
    sizes=_SIZES,
    kernels=(
        Kernel("ac_avg_pool2d_bwd_f32_global", "avg_pool2d_global.c", _SIMD, _global),
        Kernel("ac_avg_pool2d_bwd_f32", "avg_pool2d_bwd.c"),
    ),
    cases=_CASES,
    cuts=_CUTS,
)
OPS = (AVG_POOL2D_FWD, AVG_POOL2D_BWD)
