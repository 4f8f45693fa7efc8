# SPDX-License-Identifier: Apache-2.0
"""LayerNorm, GroupNorm, InstanceNorm and BatchNorm: one normalisation over different axes.

y = (x - mean) * rstd * gamma + beta, mean and variance over some axes of x. Its gradient is
dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = dy * gamma, xhat = (x - mean) * rstd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from acclimate.kernels.loop.expr import Expr, apply
from acclimate.lower.context import Fill, Lowering, Value
from acclimate.lower.registry import rule

_FAMILY = "norm"
_ONE, _ZERO = Fill(1.0, ()), Fill(0.0, ())
Pair = tuple[Value, Value]


@dataclass(frozen=True)
class _Layout:
    """How a norm sees x: its shape, the axes it averages, the shape of gamma and beta in it."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    affine: tuple[int, ...]

    @property
    def count(self) -> int:
        return prod(self.shape[a] for a in self.axes)


def _statistics(
    ctx: Lowering, x: Value, axes: Sequence[int], eps: float
) -> tuple[Value, Value, Value]:
    """Mean, variance and 1 / sqrt(variance + eps), two passes over x."""
    scale = 1.0 / prod(x.shape[a] for a in axes)
    mean = ctx.reduce(
        "norm_mean", "sum", lambda v: v, [x], axes, keepdim=True, post=lambda a: a * scale
    )
    var = ctx.reduce(
        "norm_var", "sum", lambda v, m: (v - m) * (v - m), [x, mean], axes, keepdim=True,
        post=lambda a: a * scale,
    )  # fmt: skip
    rstd = ctx.map("norm_rstd", lambda v: 1.0 / apply("sqrt", v + eps), [var])
    return mean, var, rstd


def _normalised(
    ctx: Lowering,
    x: Value,
    mean: Value,
    rstd: Value,
    gamma: Value | None,
    beta: Value | None,
    layout: _Layout,
) -> Value:
    image = ctx.reshape(x, layout.shape)
    scale, shift = _affine(ctx, gamma, layout, _ONE), _affine(ctx, beta, layout, _ZERO)
    return ctx.map(
        "norm",
        lambda v, m, r, g, b: (v - m) * r * g + b,
        [image, mean, rstd, scale, shift],
        layout.shape,
    )


def _affine(ctx: Lowering, value: Value | None, layout: _Layout, default: Fill) -> Value:
    return default if value is None else ctx.reshape(value, layout.affine)


def _backward(
    ctx: Lowering, dy: Value, x: Value, mean: Value, rstd: Value, gamma: Value | None,
    layout: _Layout, mask: Sequence[bool], fixed: bool = False,
) -> tuple[Value | None, Value | None, Value | None]:  # fmt: skip
    """Gradients for x, gamma and beta; `fixed` statistics do not depend on x."""
    grad, image = ctx.reshape(dy, layout.shape), ctx.reshape(x, layout.shape)
    scale = _affine(ctx, gamma, layout, _ONE)
    operands = [grad, image, mean, rstd]
    dx = dgamma = dbeta = None
    if mask[0] and fixed:
        dx = ctx.map("norm_bwd", lambda g, r, s: g * s * r, [grad, rstd, scale], layout.shape)
    elif mask[0]:
        part = 1.0 / layout.count
        total = ctx.reduce(
            "norm_dsum", "sum", lambda g, s: g * s, [grad, scale], layout.axes, keepdim=True,
            post=lambda a: a * part,
        )  # fmt: skip
        dot = ctx.reduce(
            "norm_ddot", "sum", lambda g, v, m, r, s: g * s * ((v - m) * r), [*operands, scale],
            layout.axes, keepdim=True, post=lambda a: a * part,
        )  # fmt: skip

        def function(g: Expr, v: Expr, m: Expr, r: Expr, s: Expr, t: Expr, d: Expr) -> Expr:
            return r * (g * s - t - (v - m) * r * d)

        dx = ctx.map("norm_bwd", function, [*operands, scale, total, dot], layout.shape)
    rest = [a for a, n in enumerate(layout.affine) if n == 1]
    if mask[1]:
        dgamma = ctx.reduce(
            "norm_dgamma", "sum", lambda g, v, m, r: g * ((v - m) * r), operands, rest
        )
    if mask[2]:
        dbeta = ctx.reduce("norm_dbeta", "sum", lambda g: g, [grad], rest)
    shaped = None if dx is None else ctx.reshape(dx, x.shape)
    return shaped, _flat(ctx, dgamma, gamma), _flat(ctx, dbeta, gamma)


def _flat(ctx: Lowering, value: Value | None, like: Value | None) -> Value | None:
    return None if value is None or like is None else ctx.reshape(value, like.shape)


def _layer_layout(x: Value, shape: Sequence[int]) -> _Layout:
    outer = len(x.shape) - len(shape)
    return _Layout(x.shape, tuple(range(outer, len(x.shape))), (*(1,) * outer, *shape))


@rule("native_layer_norm.default", family=_FAMILY)
def _layer_norm(
    ctx: Lowering,
    x: Value,
    shape: Sequence[int],
    gamma: Value | None,
    beta: Value | None,
    eps: float,
) -> tuple[Value, Value, Value]:
    layout = _layer_layout(x, shape)
    mean, _, rstd = _statistics(ctx, x, layout.axes, eps)
    return _normalised(ctx, x, mean, rstd, gamma, beta, layout), mean, rstd


@rule("native_layer_norm_backward.default", family=_FAMILY)
def _layer_norm_backward(
    ctx: Lowering, dy: Value, x: Value, shape: Sequence[int], mean: Value, rstd: Value,
    gamma: Value | None, beta: Value | None, mask: Sequence[bool],
) -> Any:  # fmt: skip
    return _backward(ctx, dy, x, mean, rstd, gamma, _layer_layout(x, shape), mask)


def _group_layout(N: int, C: int, HW: int, groups: int) -> _Layout:
    return _Layout((N, groups, C // groups, HW), (2, 3), (1, groups, C // groups, 1))


@rule("native_group_norm.default", family=_FAMILY)
def _group_norm(
    ctx: Lowering, x: Value, gamma: Value | None, beta: Value | None,
    N: int, C: int, HW: int, groups: int, eps: float,
) -> tuple[Value, Value, Value]:  # fmt: skip
    layout = _group_layout(N, C, HW, groups)
    image = ctx.reshape(x, layout.shape)
    mean, _, rstd = _statistics(ctx, image, layout.axes, eps)
    y = _normalised(ctx, image, mean, rstd, gamma, beta, layout)
    return ctx.reshape(y, x.shape), mean, rstd


@rule("native_group_norm_backward.default", family=_FAMILY)
def _group_norm_backward(
    ctx: Lowering, dy: Value, x: Value, mean: Value, rstd: Value, gamma: Value | None,
    N: int, C: int, HW: int, groups: int, mask: Sequence[bool],
) -> Any:  # fmt: skip
    return _backward(ctx, dy, x, mean, rstd, gamma, _group_layout(N, C, HW, groups), mask)


def _batch_layout(x: Value) -> _Layout:
    axes = tuple(a for a in range(len(x.shape)) if a != 1)
    return _Layout(x.shape, axes, tuple(n if a == 1 else 1 for a, n in enumerate(x.shape)))


def _check_batch(ctx: Lowering, layout: _Layout) -> None:
    if layout.count == 1:
        raise ctx.unsupported(
            "BatchNorm in train mode has one value per channel, so its variance is zero",
            "model.eval() before ac.compile (keeps the running statistics), or use GroupNorm",
        )


@rule("_native_batch_norm_legit_functional.default", family=_FAMILY)
def _batch_norm(
    ctx: Lowering, x: Value, gamma: Value | None, beta: Value | None, mean: Value, var: Value,
    training: bool, momentum: float, eps: float,
) -> tuple[Value, ...]:  # fmt: skip
    """Train mode: statistics of the batch, and new running statistics."""
    layout = _batch_layout(x)
    _check_batch(ctx, layout)
    here, spread, rstd = _statistics(ctx, x, layout.axes, eps)
    y = _normalised(ctx, x, here, rstd, gamma, beta, layout)
    unbiased = layout.count / (layout.count - 1)
    new_mean = _running(ctx, mean, here, momentum, 1.0)
    new_var = _running(ctx, var, spread, momentum, unbiased)
    return y, here, rstd, new_mean, new_var


def _running(ctx: Lowering, old: Value, new: Value, momentum: float, factor: float) -> Value:
    """(1 - momentum) old + momentum * factor * new."""
    flat = ctx.reshape(new, old.shape)
    return ctx.map(
        "running", lambda o, n: (1.0 - momentum) * o + (momentum * factor) * n, [old, flat]
    )


@rule("_native_batch_norm_legit.no_stats", family=_FAMILY)
def _instance_norm(
    ctx: Lowering, x: Value, gamma: Value | None, beta: Value | None,
    training: bool, momentum: float, eps: float,
) -> tuple[Value, Value, Value]:  # fmt: skip
    layout = _batch_layout(x)
    _check_batch(ctx, layout)
    mean, _, rstd = _statistics(ctx, x, layout.axes, eps)
    return _normalised(ctx, x, mean, rstd, gamma, beta, layout), mean, rstd


@rule("_native_batch_norm_legit_no_training.default", family=_FAMILY)
def _batch_norm_eval(
    ctx: Lowering, x: Value, gamma: Value | None, beta: Value | None, mean: Value, var: Value,
    momentum: float, eps: float,
) -> tuple[Value, Fill, Fill]:  # fmt: skip
    """Eval mode where the norm could not be folded into the layer before it."""
    layout = _batch_layout(x)
    fixed_mean, rstd = _fixed(ctx, mean, var, eps, layout)
    y = _normalised(ctx, x, fixed_mean, rstd, gamma, beta, layout)
    return y, Fill(0.0, (0,)), Fill(0.0, (0,))


@rule("native_batch_norm.default", family=_FAMILY)
def _batch_norm_of_inference(
    ctx: Lowering, x: Value, gamma: Value | None, beta: Value | None, mean: Value | None,
    var: Value | None, training: bool, momentum: float, eps: float,
) -> tuple[Value, ...]:  # fmt: skip
    """What PyTorch calls when no gradient is wanted: InstanceNorm, or BatchNorm in eval mode."""
    if training or mean is None or var is None:
        return _instance_norm(ctx, x, gamma, beta, training, momentum, eps)
    return _batch_norm_eval(ctx, x, gamma, beta, mean, var, momentum, eps)


def _fixed(ctx: Lowering, mean: Value, var: Value, eps: float, layout: _Layout) -> Pair:
    spread = ctx.reshape(var, layout.affine)
    rstd = ctx.map("norm_rstd", lambda v: 1.0 / apply("sqrt", v + eps), [spread])
    return ctx.reshape(mean, layout.affine), rstd


@rule("native_batch_norm_backward.default", family=_FAMILY)
def _batch_norm_backward(
    ctx: Lowering, dy: Value, x: Value, gamma: Value | None, mean: Value | None, var: Value | None,
    saved_mean: Value, saved_rstd: Value, training: bool, eps: float, mask: Sequence[bool],
) -> Any:  # fmt: skip
    layout = _batch_layout(x)
    if training:
        return _backward(ctx, dy, x, saved_mean, saved_rstd, gamma, layout, mask)
    assert mean is not None and var is not None
    fixed_mean, rstd = _fixed(ctx, mean, var, eps, layout)
    return _backward(ctx, dy, x, fixed_mean, rstd, gamma, layout, mask, fixed=True)
