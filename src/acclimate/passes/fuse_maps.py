# SPDX-License-Identifier: Apache-2.0
"""Computes a chain of element-wise loops in one loop."""

from __future__ import annotations

from dataclasses import replace

from acclimate.kernels.loop.expr import Arg, Expr, Index, substitute
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.passes.uses import (
    Uses,
    rewrite_until_done,
    single_map,
    uses,
    whole,
    with_exprs,
    written_between,
)
from acclimate.program import Buffer, Call, Program, View

_MOST_INPUTS = 8
_SLACK_BYTES = 256


def fuse_maps(program: Program) -> tuple[Program, list[str]]:
    """A loop whose result only one other loop reads becomes part of that loop.

    Before: t = sigmoid(a); y = t * b. After: y = sigmoid(a) * b. It is done only where keeping the
    inputs of the first loop alive takes no more memory than its result did.
    """
    return rewrite_until_done(program, _step)


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    for number, call in enumerate(calls):
        attrs = single_map(call)
        if attrs is None or not whole(call.outputs[0], buffers):
            continue
        name = call.outputs[0].buffer  # type: ignore[union-attr]
        readers = table.readers[name]
        if len(readers) != 1 or table.writers[name] != [number] or readers[0] <= number:
            continue
        fused = _fuse(calls, number, readers[0], buffers, table)
        if fused is not None:
            calls[readers[0]] = fused
            del calls[number]
            return f"{attrs.label} into {fused.attrs.label}"
    return None


def _fuse(
    calls: list[Call], first: int, second: int, buffers: dict[str, Buffer], table: Uses
) -> Call | None:
    producer, consumer = calls[first], calls[second]
    if not isinstance(consumer.attrs, (Map, Reduce)) or not _affordable(
        calls, first, second, buffers, table
    ):
        return None
    name = producer.outputs[0].buffer  # type: ignore[union-attr]
    at = [i for i, view in enumerate(consumer.inputs) if view is not None and view.buffer == name]
    places = {consumer.inputs[i] for i in at}
    view = places.pop()
    if places or view is None or any(out.buffer == name for out in consumer.writes):
        return None
    moved = _moved_inputs(producer, view)
    if moved is None or _in_the_way(moved, consumer):
        return None
    inputs = [*consumer.inputs]
    numbers: dict[int, Expr] = {}
    for index, operand in enumerate(moved):
        if operand not in inputs:
            inputs.append(operand)
        numbers[index] = Arg(inputs.index(operand), _dtype(buffers, operand))
    inner = substitute(producer.attrs.exprs[0], numbers)
    return _rebuilt(consumer, inner, at, inputs, producer.attrs.label, buffers)


def _in_the_way(moved: list[View], consumer: Call) -> bool:
    """True if the consumer writes elements that it would have to read in another order."""
    return any(
        view.buffer == out.buffer and view != out for view in moved for out in consumer.writes
    )


def _dtype(buffers: dict[str, Buffer], view: View) -> str:
    return buffers[view.buffer].dtype


def _moved_inputs(producer: Call, view: View) -> list[View] | None:
    """The producer's inputs as the consumer sees them, where it reads the whole result in order."""
    result = producer.outputs[0]
    assert result is not None
    if not view.contiguous or view.offset != 0 or view.size != result.size:
        return None
    attrs = producer.attrs
    if view.shape != attrs.shape and any(isinstance(n, Index) for n in attrs.exprs[0].walk()):
        return None
    moved = []
    for operand in producer.inputs:
        assert operand is not None
        shaped = operand.expand(attrs.shape).reshape(view.shape)
        if shaped is None:
            return None
        moved.append(shaped)
    return moved


def _rebuilt(
    consumer: Call, inner: Expr, at: list[int], inputs: list[View | None], label: str,
    buffers: dict[str, Buffer],
) -> Call | None:  # fmt: skip
    """The consumer with `inner` in place of its inputs `at`, without inputs that nobody reads."""
    attrs = consumer.attrs
    outer = attrs.exprs if isinstance(attrs, Map) else (attrs.expr,)
    given = {i: Arg(i, _dtype(buffers, v)) for i, v in enumerate(inputs) if v is not None}
    table: dict[int, Expr] = {**given, **dict.fromkeys(at, inner)}
    exprs = [substitute(expr, table) for expr in outer]
    named = replace(consumer, attrs=replace(attrs, label=_joined(label, attrs.label)))
    fused = with_exprs(named, exprs, inputs)
    return None if len(fused.inputs) > _MOST_INPUTS else fused


def _joined(first: str, second: str) -> str:
    """A label for two loops in one: at most three words, constants have none."""
    words = [word for word in (first, second) if word not in ("fill", "copy")]
    joined = "_".join(dict.fromkeys(words)) or second
    return joined if len(joined) <= 40 else second


def _affordable(
    calls: list[Call], first: int, second: int, buffers: dict[str, Buffer], table: Uses
) -> bool:
    """No more bytes alive than before, and the producer's inputs keep their values until then."""
    producer = calls[first]
    names = {view.buffer for view in producer.inputs if view is not None}
    if written_between(calls, names, first, second):
        return False
    longer = [
        name for name in names if buffers[name].role.in_arena and max(table.readers[name]) < second
    ]
    result = producer.outputs[0]
    assert result is not None
    saved = buffers[result.buffer].size_bytes
    return sum(buffers[name].size_bytes for name in longer) <= saved + _SLACK_BYTES
