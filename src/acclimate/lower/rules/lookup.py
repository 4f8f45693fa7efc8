# SPDX-License-Identifier: Apache-2.0
"""Values picked by an index that is data: a sum in which one term is not zero.

It reads the whole axis, which is small on a microcontroller, and its gradient is the same loop with
the roles exchanged: nothing is scattered, so cores never meet in one element.
"""

from __future__ import annotations

from typing import Any

from acclimate.kernels.loop.expr import Expr, Index, apply
from acclimate.lower.context import Fill, Lowering, Value
from acclimate.lower.registry import rule
from acclimate.lower.rules.pointwise import where

_FAMILY = "lookup"


def _spread(ctx: Lowering, x: Value, axis: int) -> Value:
    """A new axis of size 1."""
    return ctx.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


@rule("gather.default", family=_FAMILY)
def _gather(ctx: Lowering, x: Value, axis: int, index: Value, **_: Any) -> Value:
    """y[i] = x[i with index[i] on the axis]; the other axes of x and index are equally long."""
    axis %= len(x.shape)
    others = [n for a, n in enumerate(x.shape) if a != axis]
    if others != [n for a, n in enumerate(index.shape) if a != axis]:
        raise ctx.unsupported(
            f"gather of {list(x.shape)} by {list(index.shape)}", "cut x to the shape of the index"
        )
    # Axis of y, then axis of x: y[.., j, ..] = sum over k of x[.., k, ..] where k == index[j].
    table, wanted = _spread(ctx, x, axis), _spread(ctx, index, axis + 1)
    return ctx.reduce(
        "gather",
        "sum",
        lambda v, i: where(apply("eq", Index(axis + 1), i), v, 0.0),
        [table, wanted],
        [axis + 1],
    )


@rule("scatter_add.default", family=_FAMILY)
def _scatter_add(ctx: Lowering, base: Value, axis: int, index: Value, source: Value) -> Value:
    """The gradient of gather: dx[k] = base[k] + sum over j of dy[j] where index[j] == k."""
    axis %= len(base.shape)
    grad, wanted = _spread(ctx, source, axis), _spread(ctx, index, axis)
    rows = Fill(0.0, _spread(ctx, base, axis + 1).shape)
    summed = ctx.reduce(
        "gather_bwd",
        "sum",
        lambda g, i, _: where(apply("eq", Index(axis), i), g, 0.0),
        [grad, wanted, rows],
        [axis + 1],
    )
    if isinstance(base, Fill) and base.value == 0:
        return summed
    return ctx.map("add", lambda a, b: a + b, [base, summed])


@rule("scatter.src", family=_FAMILY)
def _scatter(ctx: Lowering, base: Value, axis: int, index: Value, source: Value) -> Value:
    """The gradient of a maximum along an axis: one place gets it, the others are zero."""
    if not (isinstance(base, Fill) and base.value == 0 and index.shape[axis] == 1):
        raise ctx.unsupported(
            "scatter writes values at places that are data", "scatter_add, or torch.where"
        )
    return _scatter_add(ctx, base, axis, index, source)


@rule("embedding.default", family=_FAMILY)
def _embedding(ctx: Lowering, table: Value, index: Value, *_: Any) -> Value:
    """y[.., d] = table[index[..], d]."""
    rank = len(index.shape)
    V, D = table.shape
    rows = ctx.reshape(table, (*(1,) * rank, V, D))
    wanted = ctx.reshape(index, (*index.shape, 1, 1))

    def function(v: Expr, i: Expr) -> Expr:
        return where(apply("eq", Index(rank), i), v, 0.0)

    return ctx.reduce("embedding", "sum", function, [rows, wanted], [rank])


@rule("embedding_dense_backward.default", family=_FAMILY)
def _embedding_backward(
    ctx: Lowering, dy: Value, index: Value, V: int, padding: int, scaled: bool
) -> Value:
    """dtable[v, d] = sum of dy[.., d] where index[..] == v; row `padding` gets none."""
    rank = len(index.shape)
    D = dy.shape[-1]
    grad = ctx.reshape(dy, (1, *index.shape, D))
    wanted = ctx.reshape(index, (1, *index.shape, 1))
    rows = Fill(0.0, (V, *(1,) * rank, D))

    def function(g: Expr, i: Expr, _: Expr) -> Expr:
        here = apply("eq", Index(0), i)
        if padding >= 0:
            here = apply("and", here, apply("ne", Index(0), padding))
        return where(here, g, 0.0)

    return ctx.reduce("embedding_bwd", "sum", function, [grad, wanted, rows], range(1, rank + 1))
