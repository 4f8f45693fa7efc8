# SPDX-License-Identifier: Apache-2.0
"""Sums of two activations, with the ReLU behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2

from acclimate.kernels.loop.expr import Apply, Arg, Const, Expr
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.program import Buffer, Call, View

_FACTOR_BITS = 14
_MOST_SHIFT = 30
_SUM = Apply("add", (Arg(0), Arg(1)))


def sum_and_relu(
    number: int, calls: Sequence[Call], buffers: Mapping[str, Buffer]
) -> tuple[str, int | None] | None:
    """The type of a sum of two activations, u8 behind a ReLU, and the call of that ReLU if it is
    one of its own; None for what is no sum."""
    call = calls[number]
    expr = _only(call)
    if expr is None or not all(_is_whole(view, buffers) for view in (*call.reads, *call.writes)):
        return None
    if expr in (relu(_SUM), _SUM) and len(call.inputs) != 2:
        return None
    if expr == relu(_SUM):
        return "u8", None
    if expr != _SUM:
        return None
    y = call.writes[0].buffer
    readers = [n for n, other in enumerate(calls) if any(v.buffer == y for v in other.reads)]
    if len(readers) == 1 and buffers[y].role.in_arena:
        last = calls[readers[0]]
        if isinstance(last.attrs, Reduce) and last.attrs.expr == relu(Arg(0)):
            return "u8", None  # what folds a ReLU of it reads no less where that is done already
        views = (*last.reads, *last.writes)
        if _only(last) == relu(Arg(0)) and all(_is_whole(view, buffers) for view in views):
            return "u8", readers[0]
    return "s8", None


def _only(call: Call) -> Expr | None:
    """The expression of a loop with one output that it sets."""
    attrs = call.attrs
    simple = isinstance(attrs, Map) and len(attrs.exprs) == 1 and not call.accumulate
    return attrs.exprs[0] if simple else None


def relu(expr: Expr) -> Expr:
    """max(expr, 0)."""
    return Apply("max", (expr, Const(0.0)))


def _is_whole(view: View, buffers: Mapping[str, Buffer]) -> bool:
    buffer = buffers[view.buffer]
    return view.covers(buffer) and view.shape == buffer.shape and len(view.shape) == 4


def factors(scale_x: float, scale_z: float, scale_y: float) -> tuple[int, int, int]:
    """Factors of x and z, and the shift: the larger factor has 14 or 15 bits."""
    largest = max(scale_x, scale_z) / scale_y
    shift = min(max(_FACTOR_BITS - int(log2(largest)), 0), _MOST_SHIFT)
    while round(largest * 2.0**shift) >= 2 ** (_FACTOR_BITS + 1):
        shift -= 1
    x, z = (round(scale / scale_y * 2.0**shift) for scale in (scale_x, scale_z))
    return x, z, shift
