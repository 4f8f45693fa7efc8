# SPDX-License-Identifier: Apache-2.0
"""What convolution and its gradients compute, in NumPy: one matrix product per tap and group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acclimate.kernels.op import Array


@dataclass(frozen=True)
class Conv2d:
    """Geometry and activation of a convolution; conv2d.h says what the numbers mean.

    Padding at the bottom and on the right has no attribute: it shows in the sizes of the output.
    """

    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    groups: int = 1
    lo: float = float("-inf")
    hi: float = float("inf")


@dataclass(frozen=True)
class ConvStep(Conv2d):
    """The same with the L2 weight decay of the update."""

    weight_decay: float = 0.0


def forward(a: Conv2d, x: Array, w: Array, b: Array | None, *, P: int, Q: int) -> Array:
    """y[N,K,P,Q] = clamp(x[N,C,H,W] * w[K,C/groups,R,S] + b[K])."""
    N, K, R, S = len(x), len(w), *w.shape[2:]
    canvas = _padded(a, x, R, S, P, Q)
    y = np.zeros((N, a.groups, K // a.groups, P * Q), x.dtype)
    for r, s in np.ndindex(R, S):
        y += _grouped_weights(a, w, r, s) @ _window(a, canvas, r, s, P, Q).reshape(
            N, a.groups, -1, P * Q
        )
    return _biased(a, y.reshape(N, K, P, Q), b)


def input_gradient(a: Conv2d, dy: Array, w: Array, b: Array | None, *, H: int, W: int) -> Array:
    """dx[N,C,H,W]: every dy goes back to the cells that it came from."""
    N, K, P, Q = dy.shape
    C, R, S = w.shape[1] * a.groups, *w.shape[2:]
    canvas = _padded(a, np.zeros((N, C, H, W), dy.dtype), R, S, P, Q)
    grouped = dy.reshape(N, a.groups, K // a.groups, P * Q)
    for r, s in np.ndindex(R, S):
        product = _grouped_weights(a, w, r, s).swapaxes(1, 2) @ grouped
        _window(a, canvas, r, s, P, Q)[...] += product.reshape(N, C, P, Q)
    inside = canvas[:, :, a.pad_top : a.pad_top + H, a.pad_left : a.pad_left + W]
    return _biased(a, inside, b)


def weight_gradient(a: Conv2d, dy: Array, x: Array, *, R: int, S: int) -> tuple[Array, Array]:
    """dw[K,C/groups,R,S] and db[K]."""
    N, K, P, Q = dy.shape
    C = x.shape[1]
    canvas = _padded(a, x, R, S, P, Q)
    dw = np.zeros((K, C // a.groups, R, S), dy.dtype)
    grouped = dy.reshape(N, a.groups, K // a.groups, P * Q)
    for r, s in np.ndindex(R, S):
        seen = _window(a, canvas, r, s, P, Q).reshape(N, a.groups, C // a.groups, P * Q)
        dw[:, :, r, s] = (grouped @ seen.swapaxes(2, 3)).sum(axis=0).reshape(K, C // a.groups)
    return dw, dy.sum(axis=(0, 2, 3))


def step(
    a: ConvStep, w: Array, b: Array | None, dy: Array, x: Array, lr: Array
) -> tuple[Array, Array | None]:
    """w[K,C/groups,R,S] and b[K] after one step of gradient descent."""
    dw, db = weight_gradient(a, dy, x, R=w.shape[2], S=w.shape[3])
    new_w = w - lr * (dw + a.weight_decay * w)
    return new_w, None if b is None else b - lr * (db + a.weight_decay * b)


def _padded(a: Conv2d, x: Array, R: int, S: int, P: int, Q: int) -> Array:
    """A copy of x with zeros around it, large enough for every window."""
    N, C, H, W = x.shape
    height = max(a.pad_top + H, (P - 1) * a.stride_h + (R - 1) * a.dilation_h + 1)
    width = max(a.pad_left + W, (Q - 1) * a.stride_w + (S - 1) * a.dilation_w + 1)
    canvas = np.zeros((N, C, height, width), x.dtype)
    canvas[:, :, a.pad_top : a.pad_top + H, a.pad_left : a.pad_left + W] = x
    return canvas


def _window(a: Conv2d, canvas: Array, r: int, s: int, P: int, Q: int) -> Array:
    """View [N,C,P,Q] of the cells that all outputs see through tap (r, s)."""
    top, left = r * a.dilation_h, s * a.dilation_w
    rows = slice(top, top + (P - 1) * a.stride_h + 1, a.stride_h)
    return canvas[:, :, rows, left : left + (Q - 1) * a.stride_w + 1 : a.stride_w]


def _grouped_weights(a: Conv2d, w: Array, r: int, s: int) -> Array:
    """w[groups,K/groups,C/groups] of one tap."""
    return w[:, :, r, s].reshape(a.groups, len(w) // a.groups, w.shape[1])


def _biased(a: Conv2d, y: Array, b: Array | None) -> Array:
    return np.clip(y if b is None else y + b[:, None, None], a.lo, a.hi)
