# SPDX-License-Identifier: Apache-2.0
"""The loop nest of a map or reduction: which loops remain, and which one the cores share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from acclimate.kernels.loop.expr import Apply, Arg, Const, Expr, Index
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.op import Shape


@dataclass(frozen=True)
class Nest:
    """Loops after merging.

    Args:
        extents: of the loops, outermost first.
        strides: per operand and loop, in elements.
        loop_of: the loop of each axis.
        split: the loop that is shared out to the cores, or None: core 0 does all.
        bits: the innermost loop takes eight elements at a time, whose bits are a byte.
    """

    extents: list[int]
    strides: list[list[int]]
    loop_of: dict[int, int]
    split: int | None = None
    bits: bool = False

    @property
    def grain(self) -> int:
        """Elements of the split loop that stay on one core, so that no two write the same byte."""
        return 8 if self.bits and len(self.extents) == 1 else 1

    def packs(self, operand: int) -> bool:
        """True if the innermost loop meets whole bytes of an operand whose elements are bits."""
        if not self.extents:
            return False
        *outer, last = self.strides[operand]
        return last == 1 and all(step % 8 == 0 for step in outer)


def _merge(
    shape: Shape, order: Sequence[int], strides: Sequence[Shape], apart: frozenset[int]
) -> Nest:
    """Drops axes of size 1 and merges neighbours that all operands walk through in one piece.

    An axis in `apart` starts a loop of its own. Before: 4 x 8 with strides (8, 1) and (8, 1).
    After: 32 with strides (1) and (1).
    """
    nest = Nest([], [[] for _ in strides], {})
    for axis in order:
        size = shape[axis]
        if size == 1:
            continue
        ends = [(steps, given[axis]) for steps, given in zip(nest.strides, strides, strict=True)]
        if nest.extents and axis not in apart and all(s[-1] == step * size for s, step in ends):
            nest.extents[-1] *= size
            for steps, step in ends:
                steps[-1] = step
        else:
            nest.extents.append(size)
            for steps, step in ends:
                steps.append(step)
        nest.loop_of[axis] = len(nest.extents) - 1
    return nest


def _apart(exprs: Sequence[Expr], order: Sequence[int]) -> frozenset[int]:
    """Axes whose coordinate is used keep their own loop: they and their successors stay apart."""
    pinned = {node.axis for expr in exprs for node in expr.walk() if isinstance(node, Index)}
    after = {b for a, b in pairwise(order) if a in pinned}
    return frozenset(pinned | after)


def without_unit_axes(expr: Expr, shape: Shape) -> Expr:
    """The coordinate along an axis of size 1 is 0."""
    if isinstance(expr, Index) and shape[expr.axis] == 1:
        return Const(0, "s32")
    if isinstance(expr, Apply):
        return Apply(expr.name, tuple(without_unit_axes(arg, shape) for arg in expr.args))
    return expr


def loop_strides(attrs: Map | Reduce, output: Shape) -> Shape:
    """Strides of an output along the axes of the loop nest: 0 on the axes that are folded."""
    if isinstance(attrs, Map):
        return output
    strides = [0] * len(attrs.shape)
    for axis, step in zip(attrs.kept, output, strict=True):
        strides[axis] = step
    return tuple(strides)


def _takes_bytes(exprs: Sequence[Expr], nest: Nest) -> bool:
    """True if a loop sets bits, or reads them in an order in which it can take bytes."""
    if any(expr.dtype == "u1" for expr in exprs):
        return True
    args = (node for expr in exprs for node in expr.walk() if isinstance(node, Arg))
    read = {len(exprs) + arg.index for arg in args if arg.dtype == "u1"}
    return bool(read) and all(nest.packs(operand) for operand in read)


def nest_of(attrs: Map | Reduce, strides: Sequence[Shape]) -> Nest:
    """The loops of a call.

    Args:
        attrs: what it computes.
        strides: per operand, outputs first, along the axes of the nest.
    """
    if isinstance(attrs, Map):
        exprs = [without_unit_axes(expr, attrs.shape) for expr in attrs.exprs]
        axes = range(len(attrs.shape))
        nest = _merge(attrs.shape, axes, strides, _apart(exprs, axes))
        if not nest.extents and any(expr.dtype == "u1" for expr in exprs):
            nest = Nest([1], [[1] for _ in strides], {})  # a byte takes a loop, even of one bit
        split = 0 if nest.extents else None
        return replace(nest, split=split, bits=_takes_bytes(exprs, nest))
    expr = without_unit_axes(attrs.expr, attrs.shape)
    order = (*attrs.kept, *attrs.axes)
    folded = [axis for axis in attrs.axes if attrs.shape[axis] != 1]
    nest = _merge(attrs.shape, order, strides, _apart([expr], order) | set(folded[:1]))
    kept = nest.loop_of[folded[0]] if folded else len(nest.extents)
    return replace(nest, split=0 if kept else None)
