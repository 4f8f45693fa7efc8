# SPDX-License-Identifier: Apache-2.0
"""Lets the producer of a value write to the place that it would be copied to."""

from __future__ import annotations

from dataclasses import replace

from acclimate.kernels.loop.expr import Arg
from acclimate.passes.uses import Uses, rewrite_until_done, single_map, uses, whole
from acclimate.program import Buffer, Call, Program, View


def forward_copies(program: Program) -> tuple[Program, list[str]]:
    """Removes copies of whole buffers.

    Before: t = linear(x); scores = t. After: scores = linear(x). The same for the parts of a cat
    that lie in one piece in its result.
    """
    return rewrite_until_done(program, _step)


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    for number, call in enumerate(calls):
        if _removable(call, number, calls, buffers, table):
            source, target = call.inputs[0], call.outputs[0]
            assert source is not None and target is not None
            place = replace(target, shape=(), strides=())
            calls[:] = [
                other.map_views({source.buffer: place})
                for i, other in enumerate(calls)
                if i != number
            ]
            return f"{source.buffer} is computed in {target.buffer}"
    return None


def _removable(
    call: Call, number: int, calls: list[Call], buffers: dict[str, Buffer], table: Uses
) -> bool:
    attrs = single_map(call)
    if attrs is None or not isinstance(attrs.exprs[0], Arg) or len(call.inputs) != 1:
        return False
    source, target = call.inputs[0], call.outputs[0]
    if source is None or target is None or not target.contiguous or not whole(source, buffers):
        return False
    if source.size != target.size or buffers[source.buffer].dtype != buffers[target.buffer].dtype:
        return False
    first = min(table.writers[source.buffer])
    if max(table.writers[source.buffer]) > number:
        return False
    # From its first write on the value would sit in the target: nobody else may use it then.
    touched = any(
        _overlap(view, target)
        for other in calls[first:number]
        for view in other.views
        if view.buffer == target.buffer
    )
    # Later readers of the source would see later writes to the target.
    after = max(table.readers[source.buffer])
    changed = any(
        _overlap(view, target)
        for other in calls[number + 1 : after]
        for view in other.writes
        if view.buffer == target.buffer
    )
    return not touched and not changed and not _shares_call(calls, source, target)


def _shares_call(calls: list[Call], source: View, target: View) -> bool:
    """True if a call has both as operands, which would then overlap."""
    return any(
        {source.buffer, target.buffer} <= call.read_names | call.written_names
        for call in calls
        if not (single_map(call) and call.outputs[0] == target and call.inputs == (source,))
    )


def _overlap(a: View, b: View) -> bool:
    """Conservative: the ranges between first and last element meet."""
    (low, high), (first, last) = a.span(), b.span()
    return low <= last and first <= high
