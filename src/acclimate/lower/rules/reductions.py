# SPDX-License-Identifier: Apache-2.0
"""Sums, means, maxima and softmax along axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from acclimate.kernels.loop.expr import Expr, Index, apply
from acclimate.lower.context import Fill, Lowering, Value
from acclimate.lower.registry import rule
from acclimate.lower.rules.pointwise import exp, log, where

_FAMILY = "reduction"


def _axes(x: Value, axes: Sequence[int] | int | None) -> list[int]:
    if axes is None or (not isinstance(axes, int) and not list(axes)):
        return list(range(len(x.shape)))
    listed = [axes] if isinstance(axes, int) else axes
    return [axis % len(x.shape) for axis in listed] if x.shape else []


def _real(v: Expr) -> Expr:
    return apply("f32", v)


def _sum(
    ctx: Lowering, x: Value, axes: Sequence[int], keepdim: bool, scale: float, label: str
) -> Value:
    """scale * sum of x over axes."""
    count = prod(x.shape[axis] for axis in axes)
    kept = [1 if a in axes else n for a, n in enumerate(x.shape)]
    if isinstance(x, Fill):
        shape = kept if keepdim else [n for a, n in enumerate(x.shape) if a not in axes]
        return Fill(float(x.value) * count * scale, tuple(shape))
    if count == 1 and scale == 1.0:
        return ctx.reshape(
            x, kept if keepdim else [n for a, n in enumerate(x.shape) if a not in axes]
        )
    post = None if scale == 1.0 else lambda acc: acc * scale
    return ctx.reduce(label, "sum", _real, [x], axes, keepdim=keepdim, post=post)


@rule("sum.default", "sum.dim_IntList", family=_FAMILY)
def _sum_rule(ctx: Lowering, x: Value, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _sum(ctx, x, _axes(x, axes), keepdim, 1.0, "sum")


@rule("mean.default", "mean.dim", family=_FAMILY)
def _mean(ctx: Lowering, x: Value, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    listed = _axes(x, axes)
    return _sum(ctx, x, listed, keepdim, 1.0 / prod(x.shape[a] for a in listed), "mean")


@rule("amax.default", family=_FAMILY)
def _amax(ctx: Lowering, x: Value, axes: Any = (), keepdim: bool = False) -> Value:
    return ctx.reduce("max", "max", _real, [x], _axes(x, axes), keepdim=keepdim)


@rule("amin.default", family=_FAMILY)
def _amin(ctx: Lowering, x: Value, axes: Any = (), keepdim: bool = False) -> Value:
    return ctx.reduce("min", "min", _real, [x], _axes(x, axes), keepdim=keepdim)


@rule("max.default", family=_FAMILY)
def _max(ctx: Lowering, x: Value) -> Value:
    return _amax(ctx, x)


@rule("min.default", family=_FAMILY)
def _min(ctx: Lowering, x: Value) -> Value:
    return _amin(ctx, x)


@rule("argmax.default", family=_FAMILY)
def _argmax(ctx: Lowering, x: Value, axis: int | None = None, keepdim: bool = False) -> Value:
    return ctx.reduce("argmax", "argmax", _real, [x], _axes(x, axis), keepdim=keepdim)


@rule("max.dim", family=_FAMILY)
def _max_dim(ctx: Lowering, x: Value, axis: int, keepdim: bool = False) -> tuple[Value, Value]:
    return _amax(ctx, x, axis, keepdim), _argmax(ctx, x, axis, keepdim)


@rule("argmin.default", family=_FAMILY)
def _argmin(ctx: Lowering, x: Value, axis: int | None = None, keepdim: bool = False) -> Value:
    axes = _axes(x, axis)
    return ctx.reduce("argmin", "argmax", lambda v: -_real(v), [x], axes, keepdim=keepdim)


@rule("min.dim", family=_FAMILY)
def _min_dim(ctx: Lowering, x: Value, axis: int, keepdim: bool = False) -> tuple[Value, Value]:
    return _amin(ctx, x, axis, keepdim), _argmin(ctx, x, axis, keepdim)


@rule("var.correction", family=_FAMILY)
def _var(
    ctx: Lowering,
    x: Value,
    axes: Any = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Value:
    listed = _axes(x, axes)
    count = prod(x.shape[a] for a in listed)
    mean = _mean(ctx, x, listed, True)
    scale = 1.0 / (count - (1 if correction is None else correction))
    return ctx.reduce(
        "var", "sum", lambda v, m: (v - m) * (v - m), [x, mean], listed, keepdim=keepdim,
        post=lambda acc: acc * scale,
    )  # fmt: skip


@rule("cumsum.default", family=_FAMILY)
def _cumsum(ctx: Lowering, x: Value, axis: int, **_: Any) -> Value:
    """y[t] = sum over k <= t of x[k]; cores and steps need not wait for each other."""
    if not x.shape:
        return x
    axis %= len(x.shape)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    wide = ctx.expand(ctx.reshape(x, shape), (*x.shape[:axis], x.shape[axis], *x.shape[axis:]))

    def function(v: Expr) -> Expr:
        return where(apply("le", Index(axis + 1), Index(axis)), _real(v), 0.0)

    return ctx.reduce("cumsum", "sum", function, [wide], [axis + 1])


@rule("_softmax.default", "_safe_softmax.default", family="softmax")
def _softmax(ctx: Lowering, x: Value, axis: int, *_: Any) -> Value:
    top = ctx.reduce("softmax_max", "max", lambda v: v, [x], [axis], keepdim=True)
    raised = ctx.map("softmax_exp", lambda v, m: exp(v - m), [x, top])
    total = ctx.reduce("softmax_sum", "sum", lambda v: v, [raised], [axis], keepdim=True)
    return ctx.map("softmax", lambda e, s: e / s, [raised, total])


@rule("_softmax_backward_data.default", family="softmax")
def _softmax_backward(ctx: Lowering, dy: Value, y: Value, axis: int, *_: Any) -> Value:
    inner = ctx.reduce("softmax_dot", "sum", lambda g, v: g * v, [dy, y], [axis], keepdim=True)
    return ctx.map("softmax_bwd", lambda g, v, s: (g - s) * v, [dy, y, inner])


@rule("_log_softmax.default", family="softmax")
def _log_softmax(ctx: Lowering, x: Value, axis: int, *_: Any) -> Value:
    """x - m - log(sum of e^(x - m)), m the maximum."""
    top = ctx.reduce("log_softmax_max", "max", lambda v: v, [x], [axis], keepdim=True)
    total = ctx.reduce(
        "log_softmax_sum", "sum", lambda v, m: exp(v - m), [x, top], [axis], keepdim=True, post=log
    )
    return ctx.map("log_softmax", lambda v, m, s: (v - m) - s, [x, top, total])


@rule("_log_softmax_backward_data.default", family="softmax")
def _log_softmax_backward(ctx: Lowering, dy: Value, y: Value, axis: int, *_: Any) -> Value:
    total = ctx.reduce("log_softmax_dsum", "sum", _real, [dy], [axis], keepdim=True)
    return ctx.map("log_softmax_bwd", lambda g, v, s: g - exp(v) * s, [dy, y, total])
