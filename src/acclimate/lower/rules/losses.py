# SPDX-License-Identifier: Apache-2.0
"""Losses and their gradients."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from acclimate.kernels.loop.expr import Expr, Index, apply
from acclimate.lower.context import Fill, Lowering, Value
from acclimate.lower.registry import rule
from acclimate.lower.rules.pointwise import exp, log1p, maximum, where
from acclimate.program import Role, View

_FAMILY = "loss"
_NONE, _MEAN = 0, 1


def _reduced(
    ctx: Lowering, label: str, function: Any, inputs: list[Value], reduction: int
) -> Value:
    """Mean, sum or every value of an element-wise loss."""
    if reduction == _NONE:
        return ctx.map(label, function, inputs)
    shape = inputs[0].shape
    scale = 1.0 / prod(shape) if reduction == _MEAN else 1.0
    post = None if scale == 1.0 else lambda acc: acc * scale
    return ctx.reduce(label, "sum", function, inputs, range(len(shape)), post=post)


def _scale(inputs: Value, reduction: int) -> float:
    return 1.0 / prod(inputs.shape) if reduction == _MEAN else 1.0


@rule("mse_loss.default", family=_FAMILY)
def _mse(ctx: Lowering, x: Value, t: Value, reduction: int = _MEAN) -> Value:
    return _reduced(ctx, "mse_loss", lambda a, b: (a - b) * (a - b), [x, t], reduction)


@rule("mse_loss_backward.default", family=_FAMILY)
def _mse_backward(ctx: Lowering, dy: Value, x: Value, t: Value, reduction: int) -> Value:
    factor = 2.0 * _scale(x, reduction)
    return ctx.map("mse_loss_bwd", lambda g, a, b: factor * (a - b) * g, [dy, x, t])


def _huber_value(a: Expr, b: Expr, delta: float) -> Expr:
    r = apply("abs", a - b)
    return where(apply("lt", r, delta), 0.5 * (r * r), delta * (r - 0.5 * delta))


@rule("huber_loss.default", family=_FAMILY)
def _huber(ctx: Lowering, x: Value, t: Value, reduction: int = _MEAN, delta: float = 1.0) -> Value:
    return _reduced(ctx, "huber_loss", lambda a, b: _huber_value(a, b, delta), [x, t], reduction)


@rule("huber_loss_backward.default", family=_FAMILY)
def _huber_backward(
    ctx: Lowering, dy: Value, x: Value, t: Value, reduction: int, delta: float
) -> Value:
    scale = _scale(x, reduction)

    def function(g: Expr, a: Expr, b: Expr) -> Expr:
        limited = apply("min", apply("max", a - b, -delta), delta)
        return scale * limited * g

    return ctx.map("huber_loss_bwd", function, [dy, x, t])


@rule("smooth_l1_loss.default", family=_FAMILY)
def _smooth_l1(
    ctx: Lowering, x: Value, t: Value, reduction: int = _MEAN, beta: float = 1.0
) -> Value:
    if beta == 0:
        return _reduced(ctx, "l1_loss", lambda a, b: apply("abs", a - b), [x, t], reduction)
    function = lambda a, b: _huber_value(a, b, beta) / beta  # noqa: E731
    return _reduced(ctx, "smooth_l1_loss", function, [x, t], reduction)


@rule("smooth_l1_loss_backward.default", family=_FAMILY)
def _smooth_l1_backward(
    ctx: Lowering, dy: Value, x: Value, t: Value, reduction: int, beta: float
) -> Value:
    scale = _scale(x, reduction)

    def function(g: Expr, a: Expr, b: Expr) -> Expr:
        if beta == 0:
            return scale * apply("sign", a - b) * g
        limited = apply("min", apply("max", (a - b) / beta, -1.0), 1.0)
        return scale * limited * g

    return ctx.map("smooth_l1_loss_bwd", function, [dy, x, t])


def _logit_loss(x: Expr, target: Expr) -> Expr:
    """BCE with logits: max(x, 0) - x t + log(1 + e^-|x|)."""
    return maximum(x, 0.0) - x * target + log1p(exp(-apply("abs", x)))


@rule("binary_cross_entropy_with_logits.default", family=_FAMILY)
def _bce(
    ctx: Lowering, x: Value, t: Value, weight: Value | None = None, pos_weight: Value | None = None,
    reduction: int = _MEAN,
) -> Value:  # fmt: skip
    if pos_weight is not None:
        raise ctx.unsupported("pos_weight of BCE with logits has no kernel", "use weight=")
    if weight is None:
        return _reduced(ctx, "bce_loss", _logit_loss, [x, t], reduction)
    return _reduced(
        ctx, "bce_loss", lambda a, b, w: w * _logit_loss(a, b), [x, t, weight], reduction
    )


def _picked(classes: int, value: Expr, target: Expr) -> Expr:
    """The value at the target class, zero elsewhere."""
    return where(apply("eq", Index(classes), target), value, 0.0)


def _class_axes(x: Value, target: Value) -> tuple[int, tuple[int, ...]]:
    """Axis of the classes, and the shape of the target with a class axis of size 1."""
    axis = 1 if len(x.shape) > 1 else 0
    shape = list(x.shape)
    shape[axis] = 1
    return axis, tuple(shape)


def _check_ignore(ctx: Lowering, x: Value, ignore: int) -> None:
    axis = 1 if len(x.shape) > 1 else 0
    if 0 <= ignore < x.shape[axis]:
        raise ctx.unsupported(
            f"ignore_index={ignore} is one of the classes", "leave such samples out on the host"
        )


_UNUSED = -100  # what `ignore_index` is where nobody asks for it


def _limit(ctx: Lowering, target: Value, classes: int, ignore: int) -> None:
    """Class numbers end at `classes`; callers check what they pass."""
    if isinstance(target, View) and ctx.buffers[target.buffer].role is Role.TARGET:
        ctx.buffers[target.buffer] = replace(
            ctx.buffers[target.buffer], limit=classes, ignored=None if ignore == _UNUSED else ignore
        )


@rule("nll_loss_forward.default", "nll_loss2d_forward.default", family=_FAMILY)
def _nll(
    ctx: Lowering, logp: Value, target: Value, weight: Value | None, reduction: int, ignore: int
) -> tuple[Value, Value]:
    """-log p of the target class; the second result is the sum of the weights of the targets.

    NOTE: without an `ignore_index` of its own, a target outside 0..classes-1 adds nothing to the
    loss but still counts in the mean. The host device refuses such targets.
    """
    _check_ignore(ctx, logp, ignore)
    axis, shape = _class_axes(logp, target)
    _limit(ctx, target, logp.shape[axis], ignore)
    at = ctx.reshape(target, shape)
    everything = range(len(logp.shape))
    if weight is None:
        count = prod(shape)
        counted = ignore != _UNUSED
        total: Value = Fill(float(count), ())
        if counted:
            total = ctx.reduce(
                "nll_count", "sum", lambda t: apply("f32", apply("ne", t, ignore)), [at], everything
            )
        scale = 1.0 / count if reduction == _MEAN and not counted else 1.0
        axes = [axis] if reduction == _NONE else everything
        loss: Value = ctx.reduce(
            "nll_loss", "sum", lambda v, t: _picked(axis, -v, t), [logp, at], axes,
            post=lambda acc: acc * scale,
        )  # fmt: skip
        if counted and reduction == _MEAN:
            loss = ctx.map("nll_mean", lambda s, n: s / n, [loss, total])
        return loss, total
    spread = ctx.reshape(weight, [logp.shape[axis] if a == axis else 1 for a in everything])
    if reduction == _NONE:
        raise ctx.unsupported(
            "class weights with reduction='none' have no kernel", "use reduction='mean'"
        )
    summed = ctx.reduce(
        "nll_loss", "sum", lambda v, t, w: _picked(axis, -v * w, t), [logp, at, spread], everything
    )
    filled = ctx.reduce(
        "nll_weight", "sum", lambda t, w, v: _picked(axis, w, t), [at, spread, logp], everything
    )
    if reduction != _MEAN:
        return summed, filled
    return ctx.map("nll_mean", lambda s, w: s / w, [summed, filled]), filled


@rule("nll_loss_backward.default", "nll_loss2d_backward.default", family=_FAMILY)
def _nll_backward(
    ctx: Lowering, dy: Value, logp: Value, target: Value, weight: Value | None,
    reduction: int, ignore: int, total: Value,
) -> Value:  # fmt: skip
    axis, shape = _class_axes(logp, target)
    at = ctx.reshape(target, shape)
    if reduction == _NONE:
        dy = ctx.reshape(dy, shape)
    divisor = total if reduction == _MEAN else Fill(1.0, ())
    if weight is None:
        return ctx.map(
            "nll_loss_bwd", lambda g, t, n: _picked(axis, -g / n, t), [dy, at, divisor], logp.shape
        )
    spread = ctx.reshape(
        weight, [logp.shape[axis] if a == axis else 1 for a in range(len(logp.shape))]
    )
    return ctx.map(
        "nll_loss_bwd",
        lambda g, t, n, w: _picked(axis, -(g * w) / n, t),
        [dy, at, divisor, spread],
        logp.shape,
    )
