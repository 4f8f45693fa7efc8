# SPDX-License-Identifier: Apache-2.0
"""Shape operators: views cost nothing, cat and pad copy once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from acclimate.kernels.loop.expr import Const, Index, apply
from acclimate.lower.context import Fill, Lowering, Value, dtype_of
from acclimate.lower.registry import rule
from acclimate.program import View

_FAMILY = "shape"


@rule("detach.default", "clone.default", "alias.default", "contiguous.default", family=_FAMILY)
def _same(ctx: Lowering, x: Value, **_: Any) -> Value:
    return x


@rule("view.default", "_unsafe_view.default", "reshape.default", family=_FAMILY)
def _view(ctx: Lowering, x: Value, shape: Sequence[int]) -> Value:
    assert ctx.node is not None
    return ctx.reshape(x, tuple(ctx.node.meta["val"].shape))


@rule("permute.default", family=_FAMILY)
def _permute(ctx: Lowering, x: Value, axes: Sequence[int]) -> Value:
    axes = [axis % len(x.shape) for axis in axes]
    if isinstance(x, Fill):
        return replace(x, shape=tuple(x.shape[axis] for axis in axes))
    return x.permute(axes)


@rule("t.default", family=_FAMILY)
def _t(ctx: Lowering, x: Value) -> Value:
    return x if len(x.shape) < 2 else _permute(ctx, x, [1, 0])


@rule("transpose.int", family=_FAMILY)
def _transpose(ctx: Lowering, x: Value, a: int, b: int) -> Value:
    axes = list(range(len(x.shape)))
    if axes:
        axes[a], axes[b] = axes[b], axes[a]
    return _permute(ctx, x, axes)


@rule("expand.default", family=_FAMILY)
def _expand(ctx: Lowering, x: Value, shape: Sequence[int], **_: Any) -> Value:
    assert ctx.node is not None
    full = tuple(ctx.node.meta["val"].shape)
    return replace(x, shape=full) if isinstance(x, Fill) else x.expand(full)


@rule("squeeze.dim", "squeeze.dims", "squeeze.default", "unsqueeze.default", family=_FAMILY)
def _unit_axes(ctx: Lowering, x: Value, *_: Any) -> Value:
    assert ctx.node is not None
    return ctx.reshape(x, tuple(ctx.node.meta["val"].shape))


@rule("select.int", family=_FAMILY)
def _select(ctx: Lowering, x: Value, axis: int, index: int) -> Value:
    axis %= len(x.shape)
    if isinstance(x, Fill):
        return replace(x, shape=x.shape[:axis] + x.shape[axis + 1 :])
    return x.slice(axis, index % x.shape[axis], 1).drop(axis)


def _bounds(size: int, start: int | None, end: int | None, step: int) -> tuple[int, int]:
    low, high, _ = slice(start, end).indices(size)
    return low, max(0, -(-(high - low) // step))


@rule("slice.Tensor", family=_FAMILY)
def piece(
    ctx: Lowering,
    x: Value,
    axis: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Value:
    """A window of one axis, as x[start:end:step]."""
    axis %= len(x.shape)
    low, length = _bounds(x.shape[axis], start, end, step)
    if isinstance(x, Fill):
        return replace(x, shape=(*x.shape[:axis], length, *x.shape[axis + 1 :]))
    return x.slice(axis, low, length, step)


@rule("flip.default", family=_FAMILY)
def flip(ctx: Lowering, x: Value, axes: Sequence[int]) -> Value:
    """A window that walks backwards."""
    if isinstance(x, Fill):
        return x
    for axis in axes:
        step = x.strides[axis]
        strides = [-s if a == axis % len(x.shape) else s for a, s in enumerate(x.strides)]
        x = replace(x, offset=x.offset + (x.shape[axis] - 1) * step, strides=tuple(strides))
    return x


def _pieces(ctx: Lowering, x: Value, sizes: Sequence[int], axis: int) -> tuple[Value, ...]:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(piece(ctx, x, axis, low, low + n) for low, n in zip(starts, sizes, strict=True))


@rule("split.Tensor", "unsafe_split.Tensor", family=_FAMILY)
def _split(ctx: Lowering, x: Value, size: int, axis: int = 0) -> tuple[Value, ...]:
    total = x.shape[axis]
    sizes = [min(size, total - low) for low in range(0, total, size)]
    return _pieces(ctx, x, sizes, axis)


@rule("split_with_sizes.default", "unsafe_split_with_sizes.default", family=_FAMILY)
def _split_sizes(ctx: Lowering, x: Value, sizes: Sequence[int], axis: int = 0) -> tuple[Value, ...]:
    return _pieces(ctx, x, sizes, axis)


@rule("unbind.int", family=_FAMILY)
def _unbind(ctx: Lowering, x: Value, axis: int = 0) -> tuple[Value, ...]:
    return tuple(_select(ctx, x, axis, index) for index in range(x.shape[axis]))


@rule("cat.default", family=_FAMILY)
def cat(ctx: Lowering, tensors: Sequence[Value], axis: int = 0) -> Value:
    """Each part is written to its window of the result."""
    parts = [part for part in tensors if part.shape != (0,)]
    axis %= len(parts[0].shape)
    size = sum(part.shape[axis] for part in parts)
    shape = (*parts[0].shape[:axis], size, *parts[0].shape[axis + 1 :])
    out = ctx.new("cat", shape, ctx.dtype(parts[0]))
    low = 0
    for part in parts:
        ctx.copy(part, into=out.slice(axis, low, part.shape[axis]))
        low += part.shape[axis]
    return out


@rule("stack.default", family=_FAMILY)
def _stack(ctx: Lowering, tensors: Sequence[Value], axis: int = 0) -> Value:
    axis %= len(tensors[0].shape) + 1
    shape = (*tensors[0].shape[:axis], len(tensors), *tensors[0].shape[axis:])
    out = ctx.new("stack", shape, ctx.dtype(tensors[0]))
    for index, part in enumerate(tensors):
        ctx.copy(part, into=out.slice(axis, index, 1).drop(axis))
    return out


@rule("repeat.default", family=_FAMILY)
def _repeat(ctx: Lowering, x: Value, counts: Sequence[int]) -> Value:
    """Repeats by broadcasting over new axes: [a, b] x (2, 3) -> [2, a, 3, b]."""
    lead = len(counts) - len(x.shape)
    sizes = (1,) * lead + x.shape
    pairs = [size for n in sizes for size in (1, n)]
    spread = [size for n, count in zip(sizes, counts, strict=True) for size in (count, n)]
    wide = ctx.expand(ctx.reshape(x, pairs), spread)
    return ctx.reshape(wide, [n * count for n, count in zip(sizes, counts, strict=True)])


@rule("roll.default", family=_FAMILY)
def _roll(ctx: Lowering, x: Value, shifts: Sequence[int], axes: Sequence[int] = ()) -> Value:
    """What leaves at one end comes back at the other: both parts of every axis change places."""
    if not axes:
        flat = ctx.reshape(x, (prod(x.shape),))
        return ctx.reshape(_roll(ctx, flat, shifts, [0]), x.shape)
    for shift, axis in zip(shifts, axes, strict=True):
        size = x.shape[axis]
        if cut := -shift % size if size else 0:
            x = cat(ctx, [piece(ctx, x, axis, cut, size), piece(ctx, x, axis, 0, cut)], axis)
    return x


@rule("constant_pad_nd.default", family=_FAMILY)
def _pad(ctx: Lowering, x: Value, pads: Sequence[int], value: float = 0.0) -> Value:
    """Positive pads copy into a larger buffer; negative pads are a window."""
    axes = len(x.shape)
    inner = x
    for i in range(0, len(pads), 2):
        axis = axes - 1 - i // 2
        low, high = min(pads[i], 0), min(pads[i + 1], 0)
        inner = piece(ctx, inner, axis, -low, inner.shape[axis] + high)
    grown = [(max(pads[i], 0), max(pads[i + 1], 0)) for i in range(0, len(pads), 2)]
    if not any(a or b for a, b in grown):
        return inner
    before = [0] * axes
    shape = list(inner.shape)
    for i, (a, b) in enumerate(grown):
        before[axes - 1 - i] = a
        shape[axes - 1 - i] += a + b
    return _embed(ctx, "pad", inner, shape, before, value)


def _embed(
    ctx: Lowering,
    label: str,
    x: Value,
    shape: Sequence[int],
    starts: Sequence[int],
    value: float = 0.0,
) -> View:
    """A tensor of one value with `x` written into a window of it."""
    out = ctx.map(label, lambda: Const(value), [], shape)
    window = out
    for axis, (start, size) in enumerate(zip(starts, x.shape, strict=True)):
        window = window.slice(axis, start, size)
    ctx.copy(x, into=window)
    return out


@rule("select_backward.default", family=_FAMILY)
def _select_backward(
    ctx: Lowering, dy: Value, shape: Sequence[int], axis: int, index: int
) -> Value:
    axis %= len(shape)
    full = (*dy.shape[:axis], 1, *dy.shape[axis:])
    starts = [index % shape[axis] if a == axis else 0 for a in range(len(shape))]
    return _embed(ctx, "select_bwd", ctx.reshape(dy, full), shape, starts)


@rule("slice_backward.default", family=_FAMILY)
def _slice_backward(
    ctx: Lowering, dy: Value, shape: Sequence[int], axis: int, start: int, end: int, step: int
) -> Value:
    axis %= len(shape)
    low, length = _bounds(shape[axis], start, end, step)
    out = ctx.map("slice_bwd", lambda: Const(0.0), [], shape)
    ctx.copy(dy, into=out.slice(axis, low, length, step))
    return out


def _filled(ctx: Lowering, value: float) -> Fill:
    assert ctx.node is not None
    result = ctx.node.meta["val"]
    return Fill(value, tuple(result.shape), dtype_of(result.dtype, ctx.source))


@rule(
    "zeros.default",
    "zeros_like.default",
    "new_zeros.default",
    "empty_like.default",
    "empty.memory_format",
    family="constant",
)
def _zeros(ctx: Lowering, *_: Any, **__: Any) -> Fill:
    return _filled(ctx, 0.0)


@rule("ones.default", "ones_like.default", "new_ones.default", family="constant")
def _ones(ctx: Lowering, *_: Any, **__: Any) -> Fill:
    return _filled(ctx, 1.0)


@rule("full.default", "full_like.default", "fill.Scalar", "new_full.default", family="constant")
def _full(ctx: Lowering, *operands: Any, **_: Any) -> Fill:
    return _filled(ctx, operands[-1])


@rule("scalar_tensor.default", family="constant")
def _scalar(ctx: Lowering, value: float, **_: Any) -> Fill:
    return _filled(ctx, value)


@rule("prims.iota.default", family="constant")
def _iota(ctx: Lowering, length: int, *, start: int, step: int, **_: Any) -> Value:
    """start + step i; what uses it computes it, so that it needs no memory where it is fused."""
    return ctx.map("arange", lambda: Index(0) * step + start, [], (length,), dtype="s32")


@rule("_assert_tensor_metadata.default", family=_FAMILY)
def _assert(*_: Any, **__: Any) -> None:
    """What torch.export checked already."""


@rule("_to_copy.default", family=_FAMILY)
def _to_copy(ctx: Lowering, x: Value, **_: Any) -> Value:
    """A conversion between element types."""
    assert ctx.node is not None
    dtype = dtype_of(ctx.node.meta["val"].dtype, ctx.source)
    if dtype == ctx.dtype(x):
        return x
    return ctx.map(f"to_{dtype}", lambda v: apply(dtype, v), [x], dtype=dtype)
