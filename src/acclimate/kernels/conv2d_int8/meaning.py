# SPDX-License-Identifier: Apache-2.0
"""What convolutions of eight-bit integers compute, in NumPy, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from acclimate.kernels.op import Array

LOWEST = {"u8": 0, "s8": -128}  # values of eight bits begin there


def lowest_of(dtype: str) -> Callable[[], int]:
    """The derived scalar of an operator: where the values of a type begin."""
    return lambda: LOWEST[dtype]


@dataclass(frozen=True)
class ConvInt8:
    """Geometry of a convolution without padding: x and y have zeros around them where they need it.

    Args:
        S: columns of the kernel.
        P: rows that are computed.
        Q: columns that are computed.
        stride_h: rows of x from output to output.
        stride_w: columns of x from output to output.
        dilation_h: rows of x from tap to tap.
        dilation_w: columns of x from tap to tap.
        first_h: row of x where the first window begins.
        first_w: column of x where the first window begins.
        top: row of y where the first output goes.
        left: column of y where the first output goes.
    """

    S: int
    P: int
    Q: int
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    first_h: int = 0
    first_w: int = 0
    top: int = 0
    left: int = 0


def requantize(sums: Array, scale: Array, lowest: int) -> Array:
    """Eight bits of sums[...,K]: clip((sums + scale[K,0]) >> scale[K,1]); the shift rounds down.

    The bias has the half that makes it round to the nearest. Nothing may overflow 32 bits.
    """
    wide = sums.astype(np.int64) + scale[:, 0]
    assert wide.size == 0 or np.abs(wide).max() < 2**31
    shifted: Array = np.clip(wide >> scale[:, 1], lowest, lowest + 255)
    return shifted


def conv2d(a: ConvInt8, x: Array, w: Array, scale: Array, *, U: int, V: int, lowest: int) -> Array:
    """y[N,U,V,K] of x[N,H,W,C] and w[K,R,T]."""
    N, C, K = len(x), x.shape[3], len(w)
    sums = np.zeros((N, a.P, a.Q, K))
    for r, s in np.ndindex(w.shape[1], a.S):
        # Sums of products of eight bits are exact in float64, whose matrix product is the fastest.
        sums += _window(a, x, r, s).astype(float) @ w[:, r, s * C : (s + 1) * C].T.astype(float)
    return _placed(a, requantize(sums, scale, lowest), U, V)


def depthwise(
    a: ConvInt8, x: Array, w: Array, scale: Array, *, U: int, V: int, lowest: int
) -> Array:
    """y[N,U,V,C] of planes x[N,C,H,W] and w[C,R,T]."""
    pixels = x.transpose(0, 2, 3, 1)
    sums = np.zeros((len(x), a.P, a.Q, len(w)), np.int64)
    for r, s in np.ndindex(w.shape[1], a.S):
        sums += _window(a, pixels, r, s).astype(np.int64) * w[:, r, s]
    return _placed(a, requantize(sums, scale, lowest), U, V)


def _window(a: ConvInt8, x: Array, r: int, s: int) -> Array:
    """View [N,P,Q,C] of the pixels that all outputs see through tap (r, s)."""
    down, right = (
        _seen(a.first_h + r * a.dilation_h, a.P, a.stride_h),
        _seen(a.first_w + s * a.dilation_w, a.Q, a.stride_w),
    )
    return x[:, down, right]


def _seen(first: int, count: int, stride: int) -> slice:
    return slice(first, first + (count - 1) * stride + 1, stride)


def _placed(a: ConvInt8, values: Array, U: int, V: int) -> Array:
    """values[N,P,Q,K] with zeros around them."""
    N, P, Q, K = values.shape
    y = np.zeros((N, U, V, K), values.dtype)
    y[:, a.top : a.top + P, a.left : a.left + Q] = values
    return y


def to_planes(pixels: Array) -> Array:
    """[N,H,W,C] -> [N,C,H,W]."""
    return pixels.transpose(0, 3, 1, 2)
