# SPDX-License-Identifier: Apache-2.0
"""x[:, i, j] with indices that are tensors: as `lookup`, a sum in which one term is not zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acclimate.kernels.loop.expr import Const, Expr, Index, apply
from acclimate.kernels.op import Shape
from acclimate.lower.context import Fill, Lowering, Value, broadcast
from acclimate.lower.registry import rule
from acclimate.lower.rules.pointwise import both, eq, lt, where

_FAMILY = "lookup"


@dataclass(frozen=True)
class _Plan:
    """Axes of x[i, :, j]: those with an index, and where the axes of the indices go.

    Attributes:
        shape: of x.
        indexed: axes of x with an index.
        S: the common shape of the indices.
        at: axis of the result where those of S begin, as in NumPy: in front, unless the indexed
            axes stand side by side.
    """

    shape: Shape
    indexed: tuple[int, ...]
    S: Shape
    at: int

    @staticmethod
    def of(shape: Shape, indices: Sequence[Value | None]) -> _Plan:
        """Of a tensor and its indices, None for an axis that is kept."""
        indexed = tuple(axis for axis, index in enumerate(indices) if index is not None)
        S = broadcast(*(index.shape for index in indices if index is not None))
        together = indexed == tuple(range(indexed[0], indexed[-1] + 1))
        return _Plan(shape, indexed, S, indexed[0] if together else 0)

    @property
    def kept(self) -> list[int]:
        """Axes of x without an index."""
        return [axis for axis in range(len(self.shape)) if axis not in self.indexed]

    @property
    def result(self) -> Shape:
        """Shape of the result."""
        sizes = [self.shape[axis] for axis in self.kept]
        return (*sizes[: self.at], *self.S, *sizes[self.at :])

    def here(self, places: Sequence[Expr], axes: Sequence[int]) -> Expr:
        """Whether the coordinates along `axes` are what the indices ask for."""
        found: Expr = Const(1, "u8")
        for number, (place, axis, of) in enumerate(zip(places, axes, self.indexed, strict=True)):
            counted = where(lt(place, 0), place + self.shape[of], place)
            same = eq(Index(axis), counted)
            found = same if number == 0 else both(found, same)
        return found


def _given(ctx: Lowering, indices: Sequence[Value | None], lead: int, tail: int) -> list[Value]:
    """The indices with axes of size 1 around theirs; all get the same number of axes."""
    rank = max(len(index.shape) for index in indices if index is not None)
    return [
        ctx.reshape(i, (*(1,) * lead, *(1,) * (rank - len(i.shape)), *i.shape, *(1,) * tail))
        for i in indices
        if i is not None
    ]


def _permute(x: Value, axes: Sequence[int]) -> Value:
    if isinstance(x, Fill):
        return Fill(x.value, tuple(x.shape[axis] for axis in axes), x.dtype)
    return x.permute(axes)


@rule("index.Tensor", "_unsafe_index.Tensor", family=_FAMILY)
def _index(ctx: Lowering, x: Value, indices: Sequence[Value | None]) -> Value:
    """Sum over the indexed axes of x, behind the axes of the result."""
    plan = _Plan.of(x.shape, indices)
    R, kept = len(plan.result), plan.kept
    folded = range(R, R + len(plan.indexed))
    sizes = [x.shape[axis] for axis in kept]
    spread = (*sizes[: plan.at], *(1,) * len(plan.S), *sizes[plan.at :])
    behind = tuple(x.shape[axis] for axis in plan.indexed)
    values = ctx.reshape(_permute(x, [*kept, *plan.indexed]), (*spread, *behind))
    values = ctx.expand(values, (*plan.result, *behind))
    tail = len(kept) - plan.at + len(plan.indexed)

    def function(v: Expr, *places: Expr) -> Expr:
        return where(plan.here(places, folded), v, 0.0)

    return ctx.reduce(
        "index", "sum", function, [values, *_given(ctx, indices, plan.at, tail)], folded
    )


@rule("index_put.default", "_unsafe_index_put.default", "_index_put_impl.default", family=_FAMILY)
def _index_put(
    ctx: Lowering,
    base: Value,
    indices: Sequence[Value | None],
    values: Value,
    accumulate: bool = False,
    *_: Any,
) -> Value:
    """The gradient of an index: base plus, where it was read, the sum over the axes of S."""
    if not accumulate:
        raise ctx.unsupported(
            "values are written at places that are data", "torch.where(mask, new, old)"
        )
    plan = _Plan.of(base.shape, indices)
    X, kept = len(base.shape), plan.kept
    folded = range(X, X + len(plan.S))
    values = ctx.expand(values, plan.result)
    own = [a for a in range(len(plan.result)) if not plan.at <= a < plan.at + len(plan.S)]
    moved = _permute(values, [*own, *range(plan.at, plan.at + len(plan.S))])
    spread = [base.shape[axis] if axis in kept else 1 for axis in range(X)]
    moved = ctx.reshape(moved, (*spread, *plan.S))
    rows = Fill(0.0, (*base.shape, *(1,) * len(plan.S)))

    def function(g: Expr, *others: Expr) -> Expr:
        return where(plan.here(others[:-1], plan.indexed), g, 0.0)

    places = [ctx.expand(place, (*(1,) * X, *plan.S)) for place in _given(ctx, indices, X, 0)]
    if plan.S:
        summed: Value = ctx.reduce("index_bwd", "sum", function, [moved, *places, rows], folded)
    else:
        summed = ctx.map("index_bwd", function, [moved, *places, rows])
    if isinstance(base, Fill) and base.value == 0:
        return summed
    return ctx.map("add", lambda a, b: apply("add", a, b), [base, summed])
