# SPDX-License-Identifier: Apache-2.0
"""Adds a gradient to a sum while it is computed."""

from __future__ import annotations

from dataclasses import replace

from acclimate.kernels.loop.expr import Apply, Arg
from acclimate.passes.uses import Uses, rewrite_until_done, single_map, uses, whole
from acclimate.program import Buffer, Call, Program, View, describe


def accumulate_in_place(program: Program) -> tuple[Program, list[str]]:
    """Kernels that can accumulate do so; the single gradient is never in memory.

    Before: dw = dy^T x; sum = sum + dw. After: sum += dy^T x. The same for a weight that is used
    several times (recurrent layers): dw1 + dw2 + dw3 is one buffer.
    """
    return rewrite_until_done(program, _step)


def _accumulates(call: Call) -> bool:
    return call.op.accumulates or (call.op.generated and len(call.outputs) == 1)


def _is_sum(call: Call) -> bool:
    attrs = single_map(call)
    if attrs is None or len(call.inputs) != 2:
        return False
    expr = attrs.exprs[0]
    return isinstance(expr, Apply) and expr.name == "add" and {Arg(0), Arg(1)} == set(expr.args)


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    for number, call in enumerate(calls):
        if not _is_sum(call):
            continue
        for total, part in (call.inputs, call.inputs[::-1]):
            assert total is not None and part is not None
            done = _rewrite(calls, number, total, part, buffers, table)
            if done:
                return done
    return None


def _rewrite(
    calls: list[Call], number: int, total: View, part: View, buffers: dict[str, Buffer], table: Uses
) -> str | None:
    """Lets the producer of `part` add to `total`."""
    out = calls[number].outputs[0]
    assert out is not None
    if not whole(part, buffers) or table.readers[part.buffer] != [number]:
        return None
    producers = table.writers[part.buffer]
    if len(producers) != 1 or total.buffer == part.buffer:
        return None
    producer = calls[producers[0]]
    if not _accumulates(producer) or producer.accumulate or len(producer.writes) != 1:
        return None
    in_place = out == total
    if not in_place:
        # A call that already adds to the sum is one of its readers too.
        others = [i for i in table.readers[total.buffer] if i not in table.writers[total.buffer]]
        ready = whole(total, buffers) and whole(out, buffers) and others == [number]
        if not ready or max(table.writers[total.buffer]) > producers[0]:
            return None
    old = producer.writes[0]
    target = total.reshape(old.shape)
    if (
        target is None
        or not whole(old, buffers)
        or any(view.buffer == total.buffer for view in producer.views)
    ):
        return None
    adding = replace(producer, outputs=_replaced(producer, old, target), accumulate=True)
    if in_place:
        # The sum is read and written here; the producer takes the place of the addition.
        calls[number] = adding
        del calls[producers[0]]
    else:
        calls[producers[0]] = adding
        place = replace(total, shape=(), strides=(), offset=0)
        rest = [c.map_views({out.buffer: place}) for c in calls]
        del rest[number]
        calls[:] = rest
    return f"{describe(producer)} {producer.source.module} adds to {total.buffer}"


def _replaced(call: Call, old: View, new: View) -> tuple[View | None, ...]:
    return tuple(new if view == old else view for view in call.outputs)
