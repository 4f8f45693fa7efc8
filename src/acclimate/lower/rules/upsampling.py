# SPDX-License-Identifier: Apache-2.0
"""Upsampling: nearest neighbours are broadcasting, linear weights are a hat over the inputs.

Along one axis y[p] = sum over k of hat(s(p) - k) x[k], where s(p) is the place of p among the
inputs and hat(d) = max(0, 1 - |d|), which two neighbours share. The weights are computed where they
are used and take no memory. Where the factor is whole, only the inputs beside p are read; else the
whole axis is, of which all but two have weight zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acclimate.kernels.loop.expr import Expr, Index, apply
from acclimate.lower.context import Lowering, Value
from acclimate.lower.registry import rule
from acclimate.lower.rules.pointwise import clamp, maximum
from acclimate.lower.rules.shape import pad, piece

_FAMILY = "upsampling"


@rule(
    "upsample_nearest1d.vec",
    "upsample_nearest1d.default",
    "upsample_nearest2d.vec",
    "upsample_nearest2d.default",
    family=_FAMILY,
)
def _nearest(ctx: Lowering, x: Value, *_: Any) -> Value:
    assert ctx.node is not None
    target: tuple[int, ...] = tuple(ctx.node.meta["val"].shape)
    pairs, wide = _blocks(ctx, x.shape, target)
    return ctx.reshape(ctx.expand(ctx.reshape(x, pairs), wide), target)


@rule("upsample_nearest1d_backward.default", "upsample_nearest2d_backward.default", family=_FAMILY)
def _nearest_backward(
    ctx: Lowering, dy: Value, size: Sequence[int], shape: Sequence[int], *_: Any
) -> Value:
    wide = _blocks(ctx, shape, dy.shape)[1]
    axes = range(3, len(wide), 2)
    return ctx.reduce("upsample_bwd", "sum", lambda g: g, [ctx.reshape(dy, wide)], axes)


def _blocks(
    ctx: Lowering, shape: Sequence[int], target: Sequence[int]
) -> tuple[list[int], list[int]]:
    """[N, C, H] -> [N, C, H, 1] and [N, C, H, factor]; the same for every axis after C."""
    pairs: list[int] = list(shape[:2])
    wide: list[int] = list(shape[:2])
    for H, P in zip(shape[2:], target[2:], strict=True):
        if P % H:
            raise ctx.unsupported(
                f"nearest upsampling of {H} to {P} is not by a whole factor",
                "use scale_factor=2, mode='bilinear', or ConvTranspose2d",
            )
        pairs += [H, 1]
        wide += [H, P // H]
    return pairs, wide


@dataclass(frozen=True)
class _Places:
    """Where the outputs of an axis are among its inputs.

    Attributes:
        H: inputs.
        P: outputs.
        corners: the first and the last of both are at the same places.
        scale: inputs per output as the caller gave it; 0 for H / P.
    """

    H: int
    P: int
    corners: bool
    scale: float

    @property
    def factor(self) -> int:
        """Outputs per input if only neighbours are read, else 0."""
        whole = not self.corners and self.P % self.H == 0 and self.step * self.P == self.H
        return self.P // self.H if whole else 0

    @property
    def step(self) -> float:
        """Inputs per output."""
        if self.corners:
            return (self.H - 1) / max(self.P - 1, 1)
        return self.scale or self.H / self.P

    def weight(self, p: Expr, k: Expr) -> Expr:
        """Share of input k in output p; both s32."""
        place = apply("f32", p) * self.step + (0.0 if self.corners else 0.5 * self.step - 0.5)
        inside = clamp(place, 0.0, float(self.H - 1))
        return maximum(1.0 - apply("abs", inside - apply("f32", k)), 0.0)


def _along(ctx: Lowering, x: Value, axis: int, places: _Places) -> Value:
    """One axis of x upsampled."""
    if places.H == places.P:
        return x
    if places.factor:
        return _near(ctx, x, axis, places)
    p, k = Index(axis), Index(axis + 1)
    wide = ctx.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))
    wide = ctx.expand(wide, (*x.shape[:axis], places.P, *x.shape[axis:]))
    return ctx.reduce("upsample", "sum", lambda v: v * places.weight(p, k), [wide], [axis + 1])


def _along_backward(ctx: Lowering, dy: Value, axis: int, places: _Places) -> Value:
    """Gradient of one axis: the same sum over the other side of the weights."""
    if places.H == places.P:
        return dy
    if places.factor:
        return _near_backward(ctx, dy, axis, places)
    k, p = Index(axis), Index(axis + 1)
    wide = ctx.reshape(dy, (*dy.shape[:axis], 1, *dy.shape[axis:]))
    wide = ctx.expand(wide, (*dy.shape[:axis], places.H, *dy.shape[axis:]))
    return ctx.reduce("upsample_bwd", "sum", lambda g: g * places.weight(p, k), [wide], [axis + 1])


_BESIDE = (-1, 0, 1)


def _near(ctx: Lowering, x: Value, axis: int, places: _Places) -> Value:
    """y[h factor + r] = sum over d of -1, 0, 1 of weight x[h + d]."""
    h, r = Index(axis), Index(axis + 1)
    full = (*x.shape[: axis + 1], places.factor, *x.shape[axis + 1 :])

    def function(*beside: Expr) -> Expr:
        p = h * places.factor + r
        first, *rest = (v * places.weight(p, h + d) for v, d in zip(beside, _BESIDE, strict=True))
        return first + rest[0] + rest[1]

    beside = _shifted(ctx, ctx.reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :])), axis)
    y = ctx.map("upsample", function, beside, full)
    return ctx.reshape(y, (*x.shape[:axis], places.P, *x.shape[axis + 1 :]))


def _near_backward(ctx: Lowering, dy: Value, axis: int, places: _Places) -> Value:
    """dx[h] = sum over d and r of weight dy[(h + d) factor + r]."""
    h, r = Index(axis), Index(axis + 1)
    blocks = ctx.reshape(dy, (*dy.shape[:axis], places.H, places.factor, *dy.shape[axis + 1 :]))

    def function(*beside: Expr) -> Expr:
        first, *rest = (
            g * places.weight((h + d) * places.factor + r, h)
            for g, d in zip(beside, _BESIDE, strict=True)
        )
        return first + rest[0] + rest[1]

    return ctx.reduce("upsample_bwd", "sum", function, _shifted(ctx, blocks, axis), [axis + 1])


def _shifted(ctx: Lowering, x: Value, axis: int) -> list[Value]:
    """x moved by -1, 0, 1 along an axis, zero where there is nothing."""
    pads = [0] * (2 * (len(x.shape) - axis))
    pads[-2:] = [1, 1]
    padded = pad(ctx, x, pads)
    return [piece(ctx, padded, axis, 1 + d, 1 + d + x.shape[axis]) for d in _BESIDE]


def _places(
    shape: Sequence[int], target: Sequence[int], corners: bool, scales: Sequence[float | None]
) -> dict[int, _Places]:
    """Of every axis after C; `scales` are outputs per input, where the caller gave them."""
    given = [scale or 0.0 for scale in scales] or [0.0] * (len(shape) - 2)
    return {
        2 + a: _Places(H, P, corners, 1 / scale if scale else 0.0)
        for a, (H, P, scale) in enumerate(zip(shape[2:], target[2:], given, strict=True))
    }


@rule("upsample_linear1d.vec", "upsample_bilinear2d.vec", family=_FAMILY)
def _linear_vec(
    ctx: Lowering, x: Value, _: Any, corners: bool, scales: Sequence[float] | None = None
) -> Value:
    return _linear(ctx, x, _, corners, *(scales or ()))


@rule("upsample_linear1d.default", "upsample_bilinear2d.default", family=_FAMILY)
def _linear(ctx: Lowering, x: Value, _: Any, corners: bool, *scales: float | None) -> Value:
    assert ctx.node is not None
    target = ctx.node.meta["val"].shape
    for axis, places in _places(x.shape, target, corners, scales).items():
        x = _along(ctx, x, axis, places)
    return x


@rule("upsample_linear1d_backward.default", "upsample_bilinear2d_backward.default", family=_FAMILY)
def _linear_backward(
    ctx: Lowering, dy: Value, _: Any, shape: Sequence[int], corners: bool, *scales: float | None
) -> Value:
    for axis, places in reversed(_places(shape, dy.shape, corners, scales).items()):
        dy = _along_backward(ctx, dy, axis, places)
    return dy
