# SPDX-License-Identifier: Apache-2.0
"""Shares a sum over everything, such as that of a loss, out to the cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain, count
from math import prod

from acclimate.kernels.loop.expr import Arg, Index
from acclimate.kernels.loop.op import IDENTITY, Reduce
from acclimate.program import Buffer, Call, Program, Role, View

_LEAST = 8  # terms of a core: the second sum and the barrier before it take about as long
_MOST_PARTS = 4  # for each core, where the terms cannot be divided by the number of cores


def share_sums(program: Program, cores: int) -> tuple[Program, list[str]]:
    """Splits folds with one result, which core 0 would compute alone, into one part per core.

    Before: loss = mean of (a - b)^2 over 640. After: part[8] = sum of (a - b)^2 over 80 each,
    loss = mean of part. The order of the additions changes, and with it the last bits of the sum.

    Args:
        program: before kernels are chosen.
        cores: that run it.
    """

    if cores == 1:
        return program, []
    changes: list[str] = []
    buffers, entries = dict(program.buffers), {}
    for entry in program.entries.values():
        calls: list[Call] = []
        for call in entry.calls:
            split = _split_of(call, cores)
            if split is None:
                calls.append(call)
                continue
            axis, parts = split
            label = f"{call.attrs.label}_parts"
            buffer = Buffer(
                _name(f"{entry.name}.{label}", buffers), (parts,), "f32", Role.ACTIVATION
            )
            buffers[buffer.name] = replace(buffer, source=call.source)
            calls += _shared(call, axis, View.whole(buffer), label)
            changes.append(f"{entry.name}: {call.attrs.label} in {parts} parts")
        entries[entry.name] = replace(entry, calls=tuple(calls))
    return replace(program, buffers=buffers, entries=entries), changes


def _split_of(call: Call, cores: int) -> tuple[int, int] | None:
    """The axis that is split and the number of parts; None for a call that stays as it is."""
    attrs = call.attrs
    if not isinstance(attrs, Reduce) or attrs.kind == "argmax" or call.accumulate:
        return None
    if prod(call.writes[0].shape) != 1 or any(isinstance(n, Index) for n in attrs.expr.walk()):
        return None
    most = min(prod(attrs.shape) // _LEAST, _MOST_PARTS * cores)
    found = [
        (parts, axis)
        for axis in attrs.axes
        for parts in range(cores, most + 1)
        if attrs.shape[axis] % parts == 0
    ]
    if not found:
        return None
    # Equal shares for the cores, then few parts: core 0 adds them up.
    parts, axis = min(found, key=lambda pair: (-(-pair[0] // cores) * cores / pair[0], *pair))
    return axis, parts


def _name(stem: str, buffers: Mapping[str, Buffer]) -> str:
    numbered = (f"{stem}_{number}" for number in count(2))
    return next(name for name in chain((stem,), numbered) if name not in buffers)


def _shared(call: Call, axis: int, part: View, label: str) -> tuple[Call, Call]:
    """A fold for each part, and the fold of their results."""
    attrs, parts = call.attrs, part.size
    size = attrs.shape[axis] // parts
    shape = (parts, *attrs.shape[:axis], size, *attrs.shape[axis + 1 :])
    views = tuple(view and _apart(view, axis, parts) for view in call.inputs)
    axes = tuple(range(1, len(shape)))
    first = Reduce(attrs.expr, attrs.kind, axes, shape, IDENTITY, label)
    last = Reduce(Arg(0), attrs.kind, (0,), (parts,), attrs.post, attrs.label)
    out = replace(call.writes[0], shape=(), strides=())
    return (
        replace(call, inputs=views, outputs=(part,), attrs=first),
        replace(call, inputs=(part,), outputs=(out,), attrs=last),
    )


def _apart(view: View, axis: int, parts: int) -> View:
    """The view with the parts of an axis as a further one in front."""
    size, step = view.shape[axis] // parts, view.strides[axis]
    return replace(
        view,
        shape=(parts, *view.shape[:axis], size, *view.shape[axis + 1 :]),
        strides=(step * size, *view.strides[:axis], step, *view.strides[axis + 1 :]),
    )
