# SPDX-License-Identifier: Apache-2.0
"""Upsampling: nearest neighbours are broadcasting, linear weights are a hat over the inputs.

Along one axis y[p] = sum over k of hat(s(p) - k) x[k], where s(p) is the place of p among the
inputs and hat(d) = max(0, 1 - |d|), which two neighbours share. Where the factor is a small whole
number, every p modulo the factor has weights of its own, which are constants. Else they are
computed where they are used, and the whole axis is read, of which all but two have weight zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from acclimate.kernels.loop.expr import Expr, Index, apply
from acclimate.lower.context import Lowering, Value
from acclimate.lower.registry import rule
from acclimate.lower.rules.pointwise import clamp, maximum
from acclimate.lower.rules.shape import cat, flip, piece

_FAMILY = "upsampling"
_MOST_LOOPS = 4  # a loop takes code, and the gradient has two operands for each of them


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
        factor = self.P // self.H
        whole = not self.corners and factor * self.H == self.P and self.step * self.P == self.H
        return factor if whole and factor <= _MOST_LOOPS else 0

    def taps(self, r: int) -> list[tuple[int, float]]:
        """Inputs that output h factor + r is made of, counted from h, with their shares."""
        place = (r + 0.5) * self.step - 0.5
        shares = ((d, 1 - abs(place - d)) for d in (-1, 0, 1))
        return [(d, share) for d, share in shares if share > 0]

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
    return _everywhere(ctx, "upsample", x, axis, places.P, places.weight)


def _along_backward(ctx: Lowering, dy: Value, axis: int, places: _Places) -> Value:
    """Gradient of one axis: the same sum over the other side of the weights."""
    if places.H == places.P:
        return dy
    if places.factor:
        return _near_backward(ctx, dy, axis, places)
    return _everywhere(ctx, "upsample_bwd", dy, axis, places.H, lambda k, p: places.weight(p, k))


def _everywhere(
    ctx: Lowering, label: str, x: Value, axis: int, size: int, weight: Callable[[Expr, Expr], Expr]
) -> Value:
    """y[i] = sum over all j of weight(i, j) x[j] along an axis, which gets `size` elements."""
    wide = ctx.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))
    wide = ctx.expand(wide, (*x.shape[:axis], size, *x.shape[axis:]))
    share = weight(Index(axis), Index(axis + 1))
    return ctx.reduce(label, "sum", lambda v: v * share, [wide], [axis + 1])


def _near(ctx: Lowering, x: Value, axis: int, places: _Places) -> Value:
    """y[h factor + r] is of x[h] and the one beside it: a loop for each r, whose weights are known.

    At both ends the outermost input is its own neighbour.
    """
    H, factor = places.H, places.factor
    wide = cat(ctx, [piece(ctx, x, axis, 0, 1), x, piece(ctx, x, axis, H - 1, H)], axis)
    full = (*x.shape[: axis + 1], factor, *x.shape[axis + 1 :])
    y = ctx.new("upsample", full)
    for r in range(factor):
        taps = places.taps(r)
        beside = [piece(ctx, wide, axis, 1 + d, 1 + d + H) for d, _ in taps]
        into = y.slice(axis + 1, r, 1).drop(axis + 1)
        ctx.map("upsample", _weighted([w for _, w in taps]), beside, x.shape, into=into)
    return ctx.reshape(y, (*x.shape[:axis], places.P, *x.shape[axis + 1 :]))


def _near_backward(ctx: Lowering, dy: Value, axis: int, places: _Places) -> Value:
    """dx[h] is of the outputs that x[h] has a share in.

    Continued with its mirror image, dy gives the outermost inputs what they have twice.
    """
    H, factor = places.H, places.factor
    ends = [piece(ctx, dy, axis, 0, factor), piece(ctx, dy, axis, places.P - factor, places.P)]
    before, after = (flip(ctx, end, [axis]) for end in ends)
    wide = cat(ctx, [before, dy, after], axis)
    blocks = ctx.reshape(wide, (*dy.shape[:axis], H + 2, factor, *dy.shape[axis + 1 :]))
    shape = (*dy.shape[:axis], H, *dy.shape[axis + 1 :])
    sources, weights = [], []
    for r in range(factor):
        row = ctx.reshape(
            piece(ctx, blocks, axis + 1, r, r + 1), (*shape[:axis], H + 2, *shape[axis + 1 :])
        )
        for d, weight in places.taps(r):
            sources.append(piece(ctx, row, axis, 1 - d, 1 - d + H))
            weights.append(weight)
    return ctx.map("upsample_bwd", _weighted(weights), sources, shape)


def _weighted(weights: Sequence[float]) -> Callable[..., Expr]:
    """The sum of operands by weights."""

    def function(*operands: Expr) -> Expr:
        first, *rest = (v * w for v, w in zip(operands, weights, strict=True))
        return reduce(add, rest, first)

    return function


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
