# SPDX-License-Identifier: Apache-2.0
"""Parts of calls: the same operator on a range of one of its dims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from acclimate.kernels.cut import Cut, Range
from acclimate.kernels.loop.expr import Index
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.op import pick
from acclimate.program import Call, View


@dataclass(frozen=True)
class Axis:
    """A dim of a call that can be cut.

    Args:
        dim: its name in the signature, or its number in the shape of a loop.
        size: of the dim.
        grain: parts start at multiples of it.
        adds: the parts share their outputs.
    """

    dim: str
    size: int
    grain: int = 1
    adds: bool = False


def axes_of(call: Call) -> list[Axis]:
    """The dims along which a call can be cut, the best first; dims of size 1 are left out."""
    if isinstance(call.attrs, (Map, Reduce)):
        return _loop_axes(call.attrs)
    values = call.values()
    found = []
    for cut in call.op.cuts:
        if pick(cut.when, values) and values[cut.dim] > 1:
            found.append(Axis(cut.dim, values[cut.dim], pick(cut.grain, values), cut.adds))
    return found


def _loop_axes(attrs: Map | Reduce) -> list[Axis]:
    exprs = attrs.exprs if isinstance(attrs, Map) else (attrs.expr,)
    pinned = {node.axis for e in exprs for node in e.walk() if isinstance(node, Index)}
    kept = range(len(attrs.shape)) if isinstance(attrs, Map) else attrs.kept
    return [Axis(str(a), attrs.shape[a]) for a in kept if a not in pinned and attrs.shape[a] > 1]


def part_of(call: Call, dim: str, start: int, stop: int) -> Call:
    """The call on [start, stop) of a dim; its views are windows on those of the call."""
    if isinstance(call.attrs, (Map, Reduce)):
        return _loop_part(call, call.attrs, int(dim), start, stop)
    values = call.values()
    cut = next(cut for cut in call.op.cuts if cut.dim == dim)
    changes = pick(cut.along, {**values, "start": start, "stop": stop})
    ranges: dict[str, Range] = {dim: (start, stop)}
    ranges |= {name: value for name, value in changes.items() if isinstance(value, tuple)}
    attrs = {name: value for name, value in changes.items() if isinstance(value, int)}
    absent = cut.once if start else frozenset()
    signature = call.op.signature

    def sliced(operands: Any, views: tuple[View | None, ...]) -> tuple[View | None, ...]:
        return tuple(
            None
            if view is None or operand.name in absent
            else _slice(view, operand.dims, ranges, values)
            for operand, view in zip(operands, views, strict=True)
        )

    return Call(
        call.op,
        outputs=sliced(signature.outputs, call.outputs),
        inputs=sliced(signature.inputs, call.inputs),
        attrs=replace(call.attrs, **attrs) if attrs else call.attrs,
        phase=call.phase,
        source=call.source,
        accumulate=call.accumulate or (_adds(call, cut) and start > 0),
        origin=call.origin,
    )


def _adds(call: Call, cut: Cut) -> bool:
    return cut.adds and call.op.accumulates


def _slice(
    view: View, dims: tuple[str, ...], ranges: Mapping[str, Range], values: Mapping[str, Any]
) -> View:
    for axis, dim in enumerate(dims):
        whole, _, by = dim.partition("/") if "/" in dim else (dim, "", "")
        if whole in ranges and (not by or values[by] == 1):
            first, last = ranges[whole]
            view = view.slice(axis, first, last - first)
    return view


def _loop_part(call: Call, attrs: Map | Reduce, axis: int, start: int, stop: int) -> Call:
    size = stop - start
    shape = (*attrs.shape[:axis], size, *attrs.shape[axis + 1 :])
    place = axis if isinstance(attrs, Map) else attrs.kept.index(axis)
    return replace(
        call,
        inputs=tuple(view and view.slice(axis, start, size) for view in call.inputs),
        outputs=tuple(view and view.slice(place, start, size) for view in call.outputs),
        attrs=replace(attrs, shape=shape),
    )
