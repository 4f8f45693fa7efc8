# SPDX-License-Identifier: Apache-2.0
"""Lets an element-wise loop write over an input that nobody needs afterwards."""

from __future__ import annotations

from dataclasses import replace

from acclimate.kernels.loop.op import Map
from acclimate.passes.uses import Uses, rewrite_until_done, uses, whole
from acclimate.program import Buffer, Call, Program, View


def reuse_in_place(program: Program) -> tuple[Program, list[str]]:
    """One buffer instead of two during the call.

    Before: b = gelu(a), a is dead afterwards. After: a = gelu(a).
    """
    return rewrite_until_done(program, _step)


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    for number, call in enumerate(calls):
        if not isinstance(call.attrs, Map) or call.accumulate or not _one_value(call, buffers):
            continue
        out = call.outputs[0]
        if out is None or not whole(out, buffers) or table.writers[out.buffer][0] != number:
            continue
        source = _dying(call, number, out, buffers, table)
        if source is None:
            continue
        place = replace(source, shape=(), strides=())
        same = replace(out, buffer=source.buffer, offset=source.offset)
        inputs = tuple(same if v == source else v for v in call.inputs)
        calls[number] = replace(call, inputs=inputs)
        calls[:] = [c.map_views({out.buffer: place}) for c in calls]
        return f"{out.buffer} takes the place of {source.buffer}"
    return None


def _one_value(call: Call, buffers: dict[str, Buffer]) -> bool:
    """True for a loop that writes once per element, besides bits of what it writes."""
    first, *others = call.outputs
    bits = all(view is not None and buffers[view.buffer].dtype == "u1" for view in others)
    return first is not None and bits


def _dying(
    call: Call, number: int, out: View, buffers: dict[str, Buffer], table: Uses
) -> View | None:
    """An input of the same size, read here for the last time, element by element in order."""
    for view in call.inputs:
        if view is None or not whole(view, buffers) or view.size != out.size:
            continue
        same_type = buffers[view.buffer].dtype == buffers[out.buffer].dtype
        if not same_type or view.shape != out.shape or table.writers[out.buffer] != [number]:
            continue
        others = [v for v in call.inputs if v is not None and v.buffer == view.buffer and v != view]
        last = max(*table.readers[view.buffer], *table.writers[view.buffer])
        if last == number and not others:
            return view
    return None
