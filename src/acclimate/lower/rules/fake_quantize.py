# SPDX-License-Identifier: Apache-2.0
"""Rounding to integers and back, as training for a quantised network does it."""

from __future__ import annotations

from acclimate.kernels.loop.expr import Expr, apply
from acclimate.lower.context import Lowering, Value
from acclimate.lower.registry import rule
from acclimate.lower.rules.pointwise import both, clamp, ge, le


@rule("fake_quantize_per_tensor_affine_cachemask.default", family="activation")
def _fake_quantize(
    ctx: Lowering, x: Value, scale: float, zero: int, low: int, high: int
) -> tuple[Value, Value]:
    """x as it is after a round trip through integers, and where nothing was cut off."""

    def number(v: Expr) -> Expr:
        return apply("round", v * (1.0 / scale)) + float(zero)

    y = ctx.map("fake_quantize", lambda v: (clamp(number(v), low, high) - float(zero)) * scale, [x])
    inside = ctx.map(
        "inside", lambda v: both(ge(number(v), float(low)), le(number(v), float(high))), [x],
        dtype="u8",
    )  # fmt: skip
    return y, inside


@rule("fake_quantize_per_tensor_affine_cachemask_backward.default", family="activation")
def _fake_quantize_backward(ctx: Lowering, dy: Value, inside: Value) -> Value:
    return ctx.map("fake_quantize_bwd", lambda g, m: g * apply("f32", m), [dy, inside])
