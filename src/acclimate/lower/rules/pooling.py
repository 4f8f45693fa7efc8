# SPDX-License-Identifier: Apache-2.0
"""Max and average pooling in one and two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from acclimate.kernels.avg_pool2d.op import AVG_POOL2D_BWD, AVG_POOL2D_FWD, AvgPool2d
from acclimate.kernels.loop.expr import Expr, Index, apply
from acclimate.kernels.max_pool2d.op import MAX_POOL2D_BWD, MAX_POOL2D_FWD, MaxPool2d
from acclimate.lower.context import Lowering, Value
from acclimate.lower.registry import rule
from acclimate.program import View

_FAMILY = "pooling"


def _pair(values: Sequence[int] | int) -> tuple[int, int]:
    both = [values] if isinstance(values, int) else list(values)
    return (both[0], both[-1])


def _batched(ctx: Lowering, x: Value) -> View:
    view = ctx.contiguous(x)
    if len(view.shape) == 4:
        return view
    shaped = view.reshape((1, *view.shape))
    assert shaped is not None
    return shaped


def _max_attrs(
    ctx: Lowering,
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
) -> MaxPool2d:
    (R, S), (top, left), (dh, dw) = _pair(kernel), _pair(pad), _pair(dilation)
    if R * S > 256:
        raise ctx.unsupported(
            f"max pooling over {R}x{S} = {R * S} cells; one byte holds positions up to 256",
            "pool in two steps, or use AdaptiveMaxPool2d(1)",
        )
    sh, sw = _pair(stride) if stride else (R, S)
    return MaxPool2d(R, S, sh, sw, top, left, dh, dw)


@rule("max_pool2d_with_indices.default", family=_FAMILY)
def _max_pool(
    ctx: Lowering,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    pad: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Value, View]:
    assert ctx.node is not None
    attrs = _max_attrs(ctx, kernel, stride, pad, dilation)
    image = _batched(ctx, x)
    shape = tuple(ctx.node.meta["val"][0].shape)
    for size, count, R, step, before, apart in (
        (image.shape[2], shape[-2], attrs.R, attrs.stride_h, attrs.pad_top, attrs.dilation_h),
        (image.shape[3], shape[-1], attrs.S, attrs.stride_w, attrs.pad_left, attrs.dilation_w),
    ):
        starts = (i * step - before for i in range(count))
        if not all(any(0 <= at + r * apart < size for r in range(R)) for at in starts):
            raise ctx.unsupported(
                "a window of the max pooling lies in the padding only", "use a smaller dilation"
            )
    out = ctx.new("max_pool", (*image.shape[:2], *shape[-2:]))
    index = ctx.new("max_pool_at", out.shape, "u8")
    ctx.call(MAX_POOL2D_FWD, [out, index], [image], attrs)
    return ctx.reshape(out, shape), index


@rule("max_pool2d_with_indices_backward.default", family=_FAMILY)
def _max_pool_backward(
    ctx: Lowering,
    dy: Value,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    index: View,
) -> Value:
    attrs = _max_attrs(ctx, kernel, stride, pad, dilation)
    grad = _batched(ctx, dy)
    dx = ctx.new("max_pool_dx", (*grad.shape[:2], *x.shape[-2:]))
    ctx.call(MAX_POOL2D_BWD, [dx], [grad, index], attrs)
    return ctx.reshape(dx, x.shape)


def _avg_attrs(
    x: Value, out: Sequence[int], kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int],
    count_include_pad: bool, divisor: int | None,
) -> AvgPool2d:  # fmt: skip
    (R, S), (top, left) = _pair(kernel), _pair(pad)
    sh, sw = _pair(stride) if stride else (R, S)
    return AvgPool2d(
        R=R, S=S, stride_h=sh, stride_w=sw,
        pad_top=top, pad_left=left, pad_bottom=top, pad_right=left,
        count_include_pad=int(count_include_pad), divisor=divisor or 0,
    )  # fmt: skip


@rule("avg_pool2d.default", family=_FAMILY)
def _avg_pool(
    ctx: Lowering,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    pad: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Value:
    assert ctx.node is not None
    shape = tuple(ctx.node.meta["val"].shape)
    attrs = _avg_attrs(x, shape, kernel, stride, pad, count_include_pad, divisor)
    image = _batched(ctx, x)
    out = ctx.new("avg_pool", (*image.shape[:2], *shape[-2:]))
    ctx.call(AVG_POOL2D_FWD, [out], [image], attrs)
    return ctx.reshape(out, shape)


@rule("avg_pool2d_backward.default", family=_FAMILY)
def _avg_pool_backward(
    ctx: Lowering,
    dy: Value,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Value:
    attrs = _avg_attrs(x, dy.shape, kernel, stride, pad, count_include_pad, divisor)
    grad = _batched(ctx, dy)
    dx = ctx.new("avg_pool_dx", (*grad.shape[:2], *x.shape[-2:]))
    ctx.call(AVG_POOL2D_BWD, [dx], [grad], attrs)
    return ctx.reshape(dx, x.shape)


def _cells(ctx: Lowering, x: Value, out: Sequence[int]) -> tuple[int, int]:
    H, W = x.shape[-2:]
    if H % out[0] or W % out[1]:
        raise ctx.unsupported(
            f"adaptive pooling of {H}x{W} to {out[0]}x{out[1]} has windows of different sizes",
            f"use a kernel and stride: AvgPool2d(({-(-H // out[0])}, {-(-W // out[1])}))",
        )
    return H // out[0], W // out[1]


@rule("_adaptive_avg_pool2d.default", family=_FAMILY)
def _adaptive_avg(ctx: Lowering, x: Value, out: Sequence[int]) -> Value:
    return _avg_pool(ctx, x, _cells(ctx, x, out))


@rule("_adaptive_avg_pool2d_backward.default", family=_FAMILY)
def _adaptive_avg_backward(ctx: Lowering, dy: Value, x: Value) -> Value:
    cells = _cells(ctx, x, dy.shape[-2:])
    return _avg_pool_backward(ctx, dy, x, cells, cells, (0, 0), False, True, None)


@rule("adaptive_max_pool2d.default", family=_FAMILY)
def _adaptive_max(ctx: Lowering, x: Value, out: Sequence[int]) -> tuple[Value, View]:
    R, S = _cells(ctx, x, out)
    lead = x.shape[:-2]
    blocks = ctx.reshape(x, (*lead, out[0], R, out[1], S))
    axes = [len(lead) + 1, len(lead) + 3]
    top = ctx.reduce("max_pool", "max", lambda v: v, [blocks], axes)
    at = ctx.reduce("max_pool_at", "argmax", lambda v: v, [blocks], axes)
    return top, at


@rule("adaptive_max_pool2d_backward.default", family=_FAMILY)
def _adaptive_max_backward(ctx: Lowering, dy: Value, x: Value, at: View) -> Value:
    """The gradient goes to the first maximum of each window."""
    P, Q = dy.shape[-2:]
    R, S = _cells(ctx, x, (P, Q))
    lead = x.shape[:-2]
    rank = len(lead)
    spread = (*lead, P, 1, Q, 1)
    full = (*lead, P, R, Q, S)

    def function(g: Expr, index: Expr) -> Expr:
        here = apply("add", apply("mul", Index(rank + 1), S), Index(rank + 3))
        return apply("where", apply("eq", here, index), g, 0.0)

    operands = [ctx.reshape(dy, spread), ctx.reshape(at, spread)]
    dx = ctx.map("max_pool_bwd", function, operands, full)
    assert dx.size == prod(x.shape)
    return ctx.reshape(dx, x.shape)
