# SPDX-License-Identifier: Apache-2.0
"""Two-dimensional maximum pooling: forward with the position of the maximum, and gradient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acclimate.kernels.cut import Cut
from acclimate.kernels.op import Array, Kernel, Op, Signature

_FOLDER = Path(__file__).parent
_SHAPES = ("N", "C", "H", "W", "R", "S", "P", "Q")
_GEOMETRY = ("stride_h", "stride_w", "pad_top", "pad_left", "dilation_h", "dilation_w")
_SIZES = (*_SHAPES, *_GEOMETRY)


@dataclass(frozen=True)
class MaxPool2d:
    """Windows of R x S <= 256 cells; max_pool2d.h says what the numbers mean."""

    R: int
    S: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_h: int = 1
    dilation_w: int = 1


def _cells(a: MaxPool2d, r: int, s: int, P: int, Q: int) -> tuple[Array, Array]:
    """Row [P,1] and column [1,Q] of the input cell that each window sees through tap (r, s)."""
    rows = np.arange(P) * a.stride_h - a.pad_top + r * a.dilation_h
    columns = np.arange(Q) * a.stride_w - a.pad_left + s * a.dilation_w
    return rows[:, None], columns[None, :]


def _fwd(a: MaxPool2d, x: Array, *, P: int, Q: int) -> tuple[Array, Array]:
    N, C, H, W = x.shape
    y = np.full((N, C, P, Q), -np.inf, x.dtype)
    index = np.full((N, C, P, Q), -1, np.int32)
    for r, s in np.ndindex(a.R, a.S):
        rows, columns = _cells(a, r, s, P, Q)
        inside = (rows >= 0) & (rows < H) & (columns >= 0) & (columns < W)
        seen = x[:, :, np.clip(rows, 0, H - 1), np.clip(columns, 0, W - 1)]
        better = inside & ((index < 0) | (seen > y) | np.isnan(seen))
        y = np.where(better, seen, y)
        index = np.where(better, r * a.S + s, index)
    return y, index.astype(np.uint8)


def _bwd(a: MaxPool2d, dy: Array, index: Array, *, H: int, W: int) -> Array:
    N, C, P, Q = dy.shape
    dx = np.zeros((N, C, H * W), dy.dtype)
    first_rows, first_columns = _cells(a, 0, 0, P, Q)
    rows = first_rows + index.astype(np.int64) // a.S * a.dilation_h
    columns = first_columns + index.astype(np.int64) % a.S * a.dilation_w
    n, c = np.ogrid[:N, :C]
    np.add.at(dx, (n[..., None, None], c[..., None, None], rows * W + columns), dy)
    return dx.reshape(N, C, H, W)


def _case(
    x: tuple[int, int, int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> dict[str, int]:
    """One case: x is N, C, H, W; pad is top, bottom, left, right."""
    (H, W), (R, S) = x[2:], window
    P = (H + pad[0] + pad[1] - dilation[0] * (R - 1) - 1) // stride[0] + 1
    Q = (W + pad[2] + pad[3] - dilation[1] * (S - 1) - 1) // stride[1] + 1
    geometry = dict(zip(_GEOMETRY, (*stride, pad[0], pad[2], *dilation), strict=True))
    return {**dict(zip(_SHAPES, (*x, R, S, P, Q), strict=True)), **geometry}


_CASES = (
    _case((1, 1, 1, 1), (1, 1), (1, 1)),
    _case((2, 3, 8, 6), (2, 2), (2, 2)),
    _case((1, 3, 9, 7), (3, 3), (2, 2), (1, 1, 1, 1)),  # overlapping windows
    _case((1, 2, 8, 8), (3, 2), (3, 2), (0, 2, 0, 1)),  # ceil_mode
    _case((1, 2, 10, 12), (3, 3), (1, 2), (1, 1, 1, 1), (2, 3)),
    _case((1, 1, 1, 40), (1, 4), (1, 4)),
    _case((1, 2, 16, 16), (16, 16), (16, 16)),  # 256 cells
    _case((1, 2, 9, 9), (2, 2), (4, 3)),  # stride larger than the window
)
_CUTS = (Cut("C"), Cut("N"))
MAX_POOL2D_FWD = Op(
    name="max_pool2d_fwd",
    doc="y = largest cell of each window, index = its place in the window",
    signature=Signature.parse("x[N,C,H,W] -> y[N,C,P,Q], index[N,C,P,Q]:u8?"),
    meaning=_fwd,
    folder=_FOLDER,
    attrs=MaxPool2d,
    sizes=_SIZES,
    kernels=(
        Kernel("ac_max_pool2d_fwd_f32_lanes", "max_pool2d_fwd_lanes.c", frozenset({"simd"})),
        Kernel("ac_max_pool2d_fwd_f32", "max_pool2d_fwd.c"),
    ),
    cases=_CASES,
    cuts=_CUTS,
)
MAX_POOL2D_BWD = Op(
    name="max_pool2d_bwd",
    doc="dx = dy at the cell that was the maximum, overlapping windows add",
    signature=Signature.parse("dy[N,C,P,Q], index[N,C,P,Q]:u8 -> dx[N,C,H,W]"),
    meaning=_bwd,
    folder=_FOLDER,
    attrs=MaxPool2d,
    sizes=_SIZES,
    kernels=(Kernel("ac_max_pool2d_bwd_f32", "max_pool2d_bwd.c"),),
    cases=_CASES,
    cuts=_CUTS,
)
OPS = (MAX_POOL2D_FWD, MAX_POOL2D_BWD)
