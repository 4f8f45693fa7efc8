# SPDX-License-Identifier: Apache-2.0
"""Who reads and who writes a buffer; and edits that keep both consistent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from acclimate.kernels.loop.expr import Arg, Expr, substitute
from acclimate.kernels.loop.op import Map
from acclimate.program import Buffer, Call, Program, Role, View


@dataclass(frozen=True)
class Uses:
    """Numbers of the calls that read and that write each buffer."""

    readers: Mapping[str, list[int]]
    writers: Mapping[str, list[int]]


def uses(calls: Sequence[Call]) -> Uses:
    """Readers and writers of every buffer; an accumulating call is both."""
    readers: dict[str, list[int]] = defaultdict(list)
    writers: dict[str, list[int]] = defaultdict(list)
    for number, call in enumerate(calls):
        for name in call.read_names:
            readers[name].append(number)
        for name in call.written_names:
            writers[name].append(number)
    return Uses(readers, writers)


Rewrite = Callable[[list[Call], dict[str, Buffer]], str | None]


def rewrite_until_done(program: Program, step: Rewrite) -> tuple[Program, list[str]]:
    """Applies a rewrite to every entry point until it finds nothing more.

    Args:
        program: what to change.
        step: changes the calls in place once and says what it did, or returns None.

    Returns:
        The new program, and what was done.
    """
    changes: list[str] = []
    entries = {}
    buffers = dict(program.buffers)
    for entry in program.entries.values():
        calls = list(entry.calls)
        while (done := step(calls, buffers)) is not None:
            changes.append(f"{entry.name}: {done}")
        entries[entry.name] = replace(entry, calls=tuple(calls))
    used = {v.buffer for e in entries.values() for call in e.calls for v in call.views}
    kept = {name: b for name, b in buffers.items() if name in used or not b.role.in_arena}
    return replace(program, entries=entries, buffers=kept), changes


def private(buffers: Mapping[str, Buffer], name: str) -> bool:
    """True for a buffer that only the calls of one entry point see."""
    return buffers[name].role is Role.ACTIVATION


def whole(view: View | None, buffers: Mapping[str, Buffer]) -> bool:
    """True if the view is exactly a whole private buffer."""
    return view is not None and private(buffers, view.buffer) and view.covers(buffers[view.buffer])


def single_map(call: Call) -> Map | None:
    """The attributes of a loop with one output that it sets."""
    attrs = call.attrs
    simple = isinstance(attrs, Map) and len(attrs.exprs) == 1 and not call.accumulate
    return attrs if simple else None


def with_exprs(call: Call, exprs: Sequence[Expr], inputs: Sequence[View | None]) -> Call:
    """The loop with other expressions over other inputs, without those that nobody reads."""
    args = {n.index: n.dtype for e in exprs for n in e.walk() if isinstance(n, Arg)}
    order: dict[int, Expr] = {old: Arg(new, args[old]) for new, old in enumerate(sorted(args))}
    exprs = [substitute(expr, order) for expr in exprs]
    attrs = (
        replace(call.attrs, exprs=tuple(exprs))
        if isinstance(call.attrs, Map)
        else replace(call.attrs, expr=exprs[0])
    )
    return replace(call, inputs=tuple(inputs[i] for i in sorted(args)), attrs=attrs)


def written_between(calls: Sequence[Call], names: set[str], first: int, last: int) -> bool:
    """True if one of these buffers is written by a call strictly between two calls."""
    return any(not names.isdisjoint(call.written_names) for call in calls[first + 1 : last])


def movable(calls: Sequence[Call], number: int, to: int) -> bool:
    """True if a call may as well run at the place of another one.

    No call on the way, nor that one, writes what it reads or touches what it writes.
    """
    call = calls[number]
    passed = calls[to:number] if to < number else calls[number + 1 : to + 1]
    return all(
        other.written_names.isdisjoint(call.read_names | call.written_names)
        and other.read_names.isdisjoint(call.written_names)
        for other in passed
    )
