# SPDX-License-Identifier: Apache-2.0
"""Operators that are written in others before autograd, which then differentiates those.

PyTorch differentiates them by operators of their own, or not at all, and has no decomposition of
these; or its own one ends in strided copies.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch._decomp import get_decompositions

_aten: Any = torch.ops.aten


def _copy(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    return source.to(target.dtype).expand(target.shape)


def _index_put(
    x: Tensor, indices: list[Tensor | None], values: Tensor, accumulate: bool = False
) -> Any:
    """x[mask] = number, which chooses; other indices are left as they are."""
    (mask, *others) = indices
    if others or mask is None or mask.dtype != torch.bool or values.numel() != 1 or accumulate:
        return NotImplemented
    mask = mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim))
    return torch.where(mask, values.to(x.dtype).reshape(()), x)


def _slice_scatter(
    x: Tensor, part: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Any:  # fmt: skip
    """x with x[start:end] replaced, which is joined of three parts."""
    if step != 1:
        return NotImplemented
    size = x.shape[dim]
    low, high, _ = slice(start, end).indices(size)
    high = max(low, high)  # x[3:1] is empty
    parts = (x.narrow(dim, 0, low), part, x.narrow(dim, high, size - high))
    return torch.cat([p for p in parts if p.shape[dim]], dim)


def _select_scatter(x: Tensor, part: Tensor, dim: int, index: int) -> Any:
    """x with x[index] replaced."""
    at = index % x.shape[dim]
    return _slice_scatter(x, part.unsqueeze(dim), dim, at, at + 1)


def _distances(a: Tensor, b: Tensor, p: float) -> Tensor:
    """Distances between the rows of a[..,P,M] and b[..,R,M]; like points have no gradient."""
    apart = (a.unsqueeze(-2) - b.unsqueeze(-3)).abs()
    if p == 0:
        return (apart != 0).to(a.dtype).sum(-1)
    if p == 1:
        return apart.sum(-1)
    if p == float("inf"):
        return apart.amax(-1)
    total = apart.pow(p).sum(-1)
    same = total == 0
    return torch.where(same, 0.0, torch.where(same, 1.0, total).pow(1 / p))


def _bilinear(a: Tensor, b: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..,k] = sum over i and j of a[..,i] weight[k,i,j] b[..,j], plus bias."""
    K, C, D = weight.shape
    rows = (a @ weight.permute(1, 0, 2).reshape(C, K * D)).reshape(*b.shape[:-1], K, D)
    y: Tensor = (rows * b.unsqueeze(-2)).sum(-1)
    return y if bias is None else y + bias


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """v scaled to the norm g of every slice along `dim`; to one of all of v where dim is -1."""
    axes = [axis for axis in range(v.ndim) if axis != dim]
    norm: Tensor = (v * v).sum(axes, keepdim=True).sqrt()
    return v * (g / norm)


def _diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Every (W + 1)-th element of a matrix that is laid out as one row."""
    x = x.movedim((dim1, dim2), (-2, -1))
    H, W = x.shape[-2:]
    length = max(min(H, W - offset) if offset >= 0 else min(H + offset, W), 0)
    start = offset if offset >= 0 else -offset * W
    return x.flatten(-2)[..., start : start + length * (W + 1) : W + 1][..., :length]


def _unfold(x: Tensor, dim: int, size: int, step: int) -> Tensor:
    """Windows of an axis; their elements are the last axis."""
    dim %= max(x.ndim, 1)
    end = x.shape[dim] - size + 1
    places = [x.narrow(dim, k, end)[(slice(None),) * dim + (slice(None, None, step),)]
              for k in range(size)]  # fmt: skip
    return torch.stack(places, -1)


def _pad(x: Tensor, pads: list[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Zeros, or parts of x beside it: its edge, its mirror image, or its other end."""
    if mode == "constant":
        padded: Tensor = _aten.constant_pad_nd(x, pads, 0.0 if value is None else value)
        return padded
    for number in range(len(pads) // 2):
        axis, (before, after) = x.ndim - 1 - number, pads[2 * number : 2 * number + 2]
        size = x.shape[axis]
        if mode == "replicate":
            parts = [x.narrow(axis, at, 1).expand([n if a == axis else -1 for a in range(x.ndim)])
                     for at, n in ((0, before), (size - 1, after))]  # fmt: skip
        elif mode == "reflect":
            parts = [x.narrow(axis, 1, before).flip(axis),
                     x.narrow(axis, size - 1 - after, after).flip(axis)]  # fmt: skip
        else:
            parts = [x.narrow(axis, size - before, before), x.narrow(axis, 0, after)]
        x = torch.cat([part for part in (parts[0], x, parts[1]) if part.shape[axis]], axis)
    return x


def _product(x: Tensor, axis: int, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """One factor after the other, so that a zero among them has a gradient."""
    found = reduce(torch.mul, x.unbind(axis))
    return found.unsqueeze(axis) if keepdim else found


def _grid_sampler(x: Tensor, grid: Tensor, mode: int, padding: int, corners: bool) -> Tensor:
    (sample,) = get_decompositions([_aten.grid_sampler_2d.default]).values()
    found: Tensor = sample(x, grid, mode, padding, corners)
    return found


def _arange(start: float, end: float, step: float = 1, **options: Any) -> Tensor:
    """In float32 where floats are asked for; PyTorch computes them in float64 and rounds."""
    dtype = options.get("dtype")
    if dtype is None:
        whole = all(isinstance(n, int) for n in (start, end, step))
        dtype = torch.int64 if whole else torch.get_default_dtype()
    count = max(-int((start - end) // step), 0)
    steps: Tensor = torch.ops.prims.iota.default(
        count, start=0, step=1, dtype=torch.int64, device=torch.device("cpu"), requires_grad=False
    )
    return steps.to(dtype) * step + start if dtype.is_floating_point else steps * step + start


BEFORE_AUTOGRAD: dict[Any, Callable[..., Any]] = {
    _aten.copy.default: _copy,
    _aten.fill.Tensor: _copy,
    _aten.slice_scatter.default: _slice_scatter,
    _aten.select_scatter.default: _select_scatter,
    _aten.index_put.default: _index_put,
    _aten.pad.default: _pad,
    _aten.cdist.default: lambda a, b, p=2.0, mode=None: _distances(a, b, p),
    _aten.bilinear.default: _bilinear,
    _aten._weight_norm.default: _weight_norm,
    _aten.diagonal.default: _diagonal,
    _aten.trace.default: lambda x: _diagonal(x).sum(),
    _aten.unfold.default: _unfold,
    _aten.prod.default: lambda x, *, dtype=None: _product(x.flatten(), 0),
    _aten.prod.dim_int: _product,
    _aten.grid_sampler.default: _grid_sampler,
    _aten.arange.default: lambda end, **options: _arange(0, end, **options),
    _aten.arange.start: _arange,
    _aten.arange.start_step: _arange,
}
