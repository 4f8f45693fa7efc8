# SPDX-License-Identifier: Apache-2.0
"""The meaning of every operator as PyTorch computes it in float64, gradients by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import harness
import numpy as np
import torch
import torch.nn.functional as F

import sounds

Tensor = torch.Tensor


def check(ex: harness.Example) -> None:
    """Compares the meaning with PyTorch, both in float64: 1e-12 of the largest value is ample.

    Raises:
        AssertionError: they differ.
    """
    tensors = [None if a is None else torch.from_numpy(np.array(a)) for a in ex.inputs]
    tensors = [t.double() if t is not None and t.is_floating_point() else t for t in tensors]
    wide = [None if t is None else t.numpy() for t in tensors]
    found = ex.op.evaluate(ex.attrs, wide, ex.values)
    expected = MEANINGS[ex.op.name](ex.attrs, _Dims(ex.values), *tensors)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for have, want in zip(found, expected, strict=True):
        if have is None or want is None:
            assert have is None and want is None
            continue
        want = want.detach()
        limit = 1e-12 * max(float(want.abs().nan_to_num(0, 0, 0).max()), 1.0)
        if ex.op in harness.log_mel.OPS:  # the logarithm of little energy beside much has less
            limit = limit + 2 * sounds.error_bound(ex.attrs, wide, ex.values, 2.0**-53)
        np.testing.assert_allclose(have / limit, want.numpy() / limit, rtol=0, atol=1)


class _Dims:
    """Dims and attributes as fields: `d.N`."""

    def __init__(self, values: Any) -> None:
        self.__dict__.update(values)


def _gradients(function: Callable[..., Tensor], dy: Tensor, *at: Tensor) -> tuple[Tensor, ...]:
    leaves = [t.clone().requires_grad_() for t in at]
    return torch.autograd.grad(function(*leaves), leaves, dy)


def _conv(a: Any, d: Any, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    high = (d.P - 1) * a.stride_h + (d.R - 1) * a.dilation_h + 1
    wide = (d.Q - 1) * a.stride_w + (d.S - 1) * a.dilation_w + 1
    x = F.pad(x, (a.pad_left, wide, a.pad_top, high))[:, :, :high, :wide]
    return F.conv2d(x, w, b, (a.stride_h, a.stride_w), 0, (a.dilation_h, a.dilation_w), a.groups)


def _conv_fwd(a: Any, d: Any, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    return _conv(a, d, x, w, b).clamp(a.lo, a.hi)


def _conv_bwd_x(a: Any, d: Any, dy: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    x = torch.zeros(d.N, d.C, d.H, d.W, dtype=dy.dtype)
    (dx,) = _gradients(lambda x: _conv(a, d, x, w), dy, x)
    return (dx if b is None else dx + b[:, None, None]).clamp(a.lo, a.hi)


def _conv_bwd_w(a: Any, d: Any, dy: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    w = torch.zeros(d.K, d.C // a.groups, d.R, d.S, dtype=dy.dtype)
    return _gradients(lambda w, b: _conv(a, d, x, w, b), dy, w, torch.zeros(d.K, dtype=dy.dtype))


def _linear_bwd_w(a: Any, d: Any, dy: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    w, b = torch.zeros(d.K, d.C, dtype=dy.dtype), torch.zeros(d.K, dtype=dy.dtype)
    return _gradients(lambda w, b: F.linear(x, w, b), dy, w, b)


def _descend(gradients: Callable[..., tuple[Tensor, ...]]) -> Callable[..., Any]:
    def step(a: Any, d: Any, w: Tensor, b: Tensor | None, dy: Tensor, x: Tensor, lr: Tensor) -> Any:
        parameters = [w.clone().requires_grad_(), (w if b is None else b).clone().requires_grad_()]
        for parameter, gradient in zip(parameters, gradients(a, d, dy, x), strict=True):
            parameter.grad = (
                gradient if gradient.shape == parameter.shape else torch.zeros_like(parameter)
            )
        torch.optim.SGD(parameters, lr=float(lr), weight_decay=a.weight_decay).step()
        return parameters[0], None if b is None else parameters[1]

    return step


def _linear_bwd_step(
    a: Any, d: Any, w: Tensor, b: Tensor | None, dy: Tensor, x: Tensor, lr: Tensor
) -> tuple[Any, ...]:
    stepped = _descend(_linear_bwd_w)(a, d, w, b, dy, x, lr)
    return (*stepped, *_gradients(lambda x: F.linear(x, w), dy, x))


def _max_pool(a: Any, d: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """PyTorch pads both sides alike; ceil_mode yields the last, partly outside, windows."""
    stride, pad, dilation = (
        (a.stride_h, a.stride_w),
        (a.pad_top, a.pad_left),
        (a.dilation_h, a.dilation_w),
    )
    y, at = F.max_pool2d(x, (a.R, a.S), stride, pad, dilation, ceil_mode=True, return_indices=True)
    y, at = y[:, :, : d.P, : d.Q], at[:, :, : d.P, : d.Q]
    rows = at // d.W - torch.arange(d.P)[:, None] * a.stride_h + a.pad_top
    columns = at % d.W - torch.arange(d.Q) * a.stride_w + a.pad_left
    return y, rows // a.dilation_h * a.S + columns // a.dilation_w


def _max_pool_bwd(a: Any, d: Any, dy: Tensor, index: Tensor) -> Tensor:
    """The gradient of gathering each maximum from its cell."""
    r, s = index.long() // a.S, index.long() % a.S
    rows = torch.arange(d.P)[:, None] * a.stride_h - a.pad_top + r * a.dilation_h
    columns = torch.arange(d.Q) * a.stride_w - a.pad_left + s * a.dilation_w
    at = (rows * d.W + columns).flatten(2)
    x = torch.zeros(d.N, d.C, d.H * d.W, dtype=dy.dtype)
    (dx,) = _gradients(lambda x: x.gather(2, at), dy.flatten(2), x)
    return dx.reshape(d.N, d.C, d.H, d.W)


def _avg_pool(a: Any, d: Any, x: Tensor) -> Tensor:
    """See `_max_pool`."""
    return F.avg_pool2d(
        x,
        (a.R, a.S),
        (a.stride_h, a.stride_w),
        (a.pad_top, a.pad_left),
        ceil_mode=True,
        count_include_pad=bool(a.count_include_pad),
        divisor_override=a.divisor or None,
    )[:, :, : d.P, : d.Q]


def _avg_pool_bwd(a: Any, d: Any, dy: Tensor) -> Tensor:
    x = torch.zeros(d.N, d.C, d.H, d.W, dtype=dy.dtype)
    return _gradients(lambda x: _avg_pool(a, d, x), dy, x)[0]


def _log_mel(a: Any, d: Any, x: Tensor, window: Tensor, *tables: Tensor) -> Tensor:
    """Frames begin at multiples of the hop; the window is padded behind, not on both sides."""
    weights, span = tables[3], tables[4]
    padded = F.pad(x.double(), (0, a.fft_size))
    whole = F.pad(window, (0, a.fft_size - len(window)))
    spectrum = torch.stft(
        padded, a.fft_size, a.hop, window=whole, center=False, return_complex=True
    )
    bands = torch.zeros(spectrum.shape[1], len(span), dtype=torch.float64)
    parts = weights.split(span[:, 1].tolist())
    for band, (part, first) in enumerate(zip(parts, span[:, 0].tolist(), strict=True)):
        bands[first : first + len(part), band] = part
    power = spectrum.abs().square()[..., : d.F]  # [N,bins,F]
    return (power.mT @ bands + a.log_floor).log()


MEANINGS: dict[str, Callable[..., Any]] = {
    "linear_fwd": lambda a, d, x, w, b: F.linear(x, w, b).clamp(a.lo, a.hi),
    "linear_bwd_x": lambda a, d, dy, w: _gradients(
        lambda x: F.linear(x, w), dy, torch.zeros(d.N, d.C, dtype=dy.dtype)
    ),
    "linear_bwd_w": _linear_bwd_w,
    "linear_step": _descend(_linear_bwd_w),
    "linear_bwd_step": _linear_bwd_step,
    "matmul_nn": lambda a, d, left, right: torch.bmm(left, right),
    "matmul_nt": lambda a, d, left, right: torch.bmm(left, right.mT),
    "matmul_tn": lambda a, d, left, right: torch.bmm(left.mT, right),
    "conv2d_fwd": _conv_fwd,
    "conv2d_bwd_x": _conv_bwd_x,
    "conv2d_bwd_w": _conv_bwd_w,
    "conv2d_step": _descend(_conv_bwd_w),
    "max_pool2d_fwd": _max_pool,
    "max_pool2d_bwd": _max_pool_bwd,
    "avg_pool2d_fwd": _avg_pool,
    "avg_pool2d_bwd": _avg_pool_bwd,
    "log_mel_fwd": _log_mel,
    "log_mel_fwd_s16": _log_mel,
}
