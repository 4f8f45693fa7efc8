# SPDX-License-Identifier: Apache-2.0
"""Dropout from a counter-based generator: the same seed gives the same masks on every device."""

from __future__ import annotations

from math import prod
from typing import Any

from acclimate.kernels.loop.expr import Expr, Index, apply
from acclimate.lower.context import Lowering, Value
from acclimate.lower.registry import rule
from acclimate.program import Buffer, Role, View

SEED = "random_seed"


def seed_view(ctx: Lowering) -> View:
    """The seed of this step; it changes by one with every training step."""
    if SEED not in ctx.buffers:
        ctx.buffers[SEED] = Buffer(SEED, (1,), "s32", Role.STATE)
    return View.whole(ctx.buffers[SEED])


def _keep(ctx: Lowering, label: str, x: Value, keep: float, dtype: str) -> View:
    """1 with probability `keep`, else 0; every site of a step has its own range of counters."""
    first, count = ctx.random_numbers, prod(x.shape)
    ctx.random_numbers += count

    def function(seed: Expr) -> Expr:
        drawn = apply("uniform", seed, apply("add", Index(0), first))
        kept = apply("lt", drawn, keep)
        return kept if dtype == "u8" else apply("f32", kept)

    mask = ctx.map(label, function, [seed_view(ctx)], (count,), dtype=dtype)
    shaped = mask.reshape(x.shape)
    assert shaped is not None
    return shaped


@rule("native_dropout.default", family="random")
def _dropout(ctx: Lowering, x: Value, p: float, train: bool | None) -> tuple[Value, View]:
    mask = _keep(ctx, "dropout_mask", x, 1.0 - p, "u8")
    scale = 1.0 / (1.0 - p) if p < 1 else 0.0
    return ctx.map("dropout", lambda v, m: v * (apply("f32", m) * scale), [x, mask]), mask


@rule("bernoulli.p", family="random")
def _bernoulli(ctx: Lowering, x: Value, p: float = 0.5, **_: Any) -> View:
    return _keep(ctx, "dropout_mask", x, p, "f32")
