# SPDX-License-Identifier: Apache-2.0
"""Convolutions in one and two dimensions, transposed too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X, CONV2D_FWD, Conv2d
from acclimate.lower.context import Lowering, Value
from acclimate.lower.registry import rule
from acclimate.program import View

_FAMILY = "convolution"


def _image(ctx: Lowering, x: Value) -> View:
    """x[N,C,T] becomes x[N,C,1,T]."""
    view = ctx.contiguous(x)
    if len(view.shape) == 4:
        return view
    if len(view.shape) != 3:
        raise ctx.unsupported(
            f"convolution over {len(view.shape) - 2} axes has no kernel", "use Conv1d or Conv2d"
        )
    N, C, T = view.shape
    shaped = view.reshape((N, C, 1, T))
    assert shaped is not None
    return shaped


def _attrs(
    stride: Sequence[int], pad: Sequence[int], dilation: Sequence[int], groups: int
) -> Conv2d:
    one = len(stride) == 1
    (sh, sw), (dh, dw) = ((1, stride[0]), (1, dilation[0])) if one else (stride, dilation)
    top, left = (0, pad[0]) if one else pad
    return Conv2d(sh, sw, top, left, dh, dw, groups)


def _shaped(ctx: Lowering, view: View, rank: int) -> View:
    """Back from [N,C,1,T] to [N,C,T]."""
    if rank == 4:
        return view
    shaped = view.reshape((*view.shape[:2], view.shape[3]))
    assert shaped is not None
    return shaped


@rule("convolution.default", family=_FAMILY)
def _convolution(
    ctx: Lowering,
    x: Value,
    w: Value,
    b: Value | None,
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_pad: Sequence[int],
    groups: int,
) -> View:
    assert ctx.node is not None
    result = tuple(ctx.node.meta["val"].shape)
    if len(stride) > 2:
        raise ctx.unsupported(
            f"convolution over {len(stride)} axes has no kernel", "use Conv1d or Conv2d"
        )
    attrs = _attrs(stride, pad, dilation, groups)
    image, weight = _image(ctx, x), _image(ctx, w)
    bias = None if b is None else ctx.contiguous(b)
    out = ctx.new("conv", result if len(result) == 4 else (*result[:2], 1, result[2]))
    # A transposed convolution computes what the input gradient of a convolution computes.
    ctx.call(CONV2D_BWD_X if transposed else CONV2D_FWD, [out], [image, weight, bias], attrs)
    return _shaped(ctx, out, len(result))


@rule("convolution_backward.default", family=_FAMILY)
def _convolution_backward(
    ctx: Lowering,
    dy: Value,
    x: Value,
    w: Value,
    bias_size: Sequence[int] | None,
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_pad: Sequence[int],
    groups: int,
    mask: Sequence[bool],
) -> tuple[View | None, View | None, View | None]:
    attrs = _attrs(stride, pad, dilation, groups)
    rank = len(x.shape)
    grad, image, weight = _image(ctx, dy), _image(ctx, x), _image(ctx, w)
    dx = dw = db = None
    if mask[1]:
        dw = ctx.new("dw", weight.shape)
        db = ctx.new("db", (grad.shape[1],)) if mask[2] and not transposed else None
        operands = [image, grad] if transposed else [grad, image]
        ctx.call(CONV2D_BWD_W, [dw, db], operands, replace(attrs))
        dw = _shaped(ctx, dw, rank)
    if mask[0]:
        dx = ctx.new("dx", image.shape)
        ctx.call(CONV2D_FWD if transposed else CONV2D_BWD_X, [dx], [grad, weight, None], attrs)
        dx = _shaped(ctx, dx, rank)
    if mask[2] and db is None:
        db = ctx.reduce("db", "sum", lambda g: g, [grad], [0, 2, 3])
    return dx, dw, db
