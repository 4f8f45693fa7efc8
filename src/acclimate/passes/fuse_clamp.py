# SPDX-License-Identifier: Apache-2.0
"""Puts ReLU and ReLU6 into the layer before them."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from acclimate.kernels.loop.expr import Apply, Arg, Const, Expr
from acclimate.passes.uses import rewrite_until_done, single_map, uses, whole
from acclimate.program import Buffer, Call, Program, describe


def fuse_clamp(program: Program) -> tuple[Program, list[str]]:
    """Layers with an epilogue clamp their own results.

    Before: t = conv(x); y = max(t, 0). After: y = conv(x) with lo = 0: t is never in memory.
    """
    return rewrite_until_done(program, _step)


def bounds(expr: Expr) -> tuple[float, float] | None:
    """(lo, hi) of an expression that clamps Arg(0)."""
    if isinstance(expr, Arg):
        return (-inf, inf)
    if isinstance(expr, Apply) and expr.name in ("max", "min"):
        inner, limit = bounds(expr.args[0]), expr.args[1]
        if inner is None or not isinstance(limit, Const):
            return None
        lo, hi = inner
        value = float(limit.value)
        return (
            (max(lo, value), max(hi, value))
            if expr.name == "max"
            else (min(lo, value), min(hi, value))
        )
    return None


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    for number, call in enumerate(calls):
        attrs = single_map(call)
        source, target = (call.inputs[0] if len(call.inputs) == 1 else None), call.outputs[0]
        limits = bounds(attrs.exprs[0]) if attrs else None
        if limits is None or limits == (-inf, inf) or source is None or target is None:
            continue
        if not whole(source, buffers) or table.readers[source.buffer] != [number]:
            continue
        producers = table.writers[source.buffer]
        layer = calls[producers[0]]
        free = (getattr(layer.attrs, "lo", None), getattr(layer.attrs, "hi", None)) == (-inf, inf)
        if len(producers) != 1 or not free or layer.accumulate or not whole(target, buffers):
            continue
        clamped = replace(layer.attrs, lo=limits[0], hi=limits[1])
        calls[producers[0]] = replace(layer, attrs=clamped)
        place = replace(source, shape=(), strides=())
        calls[:] = [c.map_views({target.buffer: place}) for i, c in enumerate(calls) if i != number]
        return f"{describe(call)} into {describe(layer)} {layer.source.module}"
    return None
