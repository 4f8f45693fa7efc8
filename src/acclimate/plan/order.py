# SPDX-License-Identifier: Apache-2.0
"""Call order: the same results with fewer bytes alive at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from acclimate.plan.lifetimes import peak_bytes
from acclimate.program import Call, Program


def dependencies(calls: Sequence[Call]) -> list[set[int]]:
    """For every call the earlier calls that must stay before it.

    A read waits for the last write, a write for the last write and all reads since (a parameter is
    updated only after everything that needs its old value).
    """
    writer: dict[str, list[int]] = defaultdict(list)
    readers: dict[str, list[int]] = defaultdict(list)
    needs: list[set[int]] = []
    for number, call in enumerate(calls):
        before: set[int] = set()
        for view in call.reads:
            before.update(writer[view.buffer])
        for view in call.writes:
            before.update(readers[view.buffer], writer[view.buffer])
        for view in call.reads:
            readers[view.buffer].append(number)
        for view in call.writes:
            # Windows of one buffer may be written by several calls: all of them count.
            writer[view.buffer].append(number)
        before.discard(number)
        needs.append(before)
    return needs


def _greedy(program: Program, calls: Sequence[Call]) -> list[Call]:
    """List scheduling: of the calls that may run, the one that leaves the fewest bytes alive."""
    needs = [set(before) for before in dependencies(calls)]
    users: dict[int, list[int]] = defaultdict(list)
    for number, before in enumerate(needs):
        for other in before:
            users[other].append(number)
    arena = [_arena_names(program, call) for call in calls]
    remaining: dict[str, int] = defaultdict(int)
    for names in arena:
        for name in names:
            remaining[name] += 1
    ready = [number for number, before in enumerate(needs) if not before]
    alive: set[str] = set()
    order: list[int] = []
    size = {name: program.buffers[name].size_bytes for name in remaining}

    def cost(number: int) -> tuple[int, int]:
        new = sum(size[name] for name in arena[number] if name not in alive)
        freed = sum(size[name] for name in arena[number] if remaining[name] == 1)
        return new - freed, number

    while ready:
        number = min(ready, key=cost)
        ready.remove(number)
        order.append(number)
        for name in arena[number]:
            alive.add(name)
            remaining[name] -= 1
            if not remaining[name]:
                alive.discard(name)
        for user in users[number]:
            needs[user].discard(number)
            if not needs[user]:
                ready.append(user)
    return [calls[number] for number in order]


def _arena_names(program: Program, call: Call) -> set[str]:
    return {v.buffer for v in call.views if program.buffers[v.buffer].role.in_arena}


def order_calls(program: Program) -> Program:
    """Reorders the calls of every entry point where that lowers the peak of live bytes."""
    entries = {}
    for entry in program.entries.values():
        best = list(entry.calls)
        candidate = _greedy(program, entry.calls)
        if peak_bytes(program, candidate) < peak_bytes(program, best):
            best = candidate
        entries[entry.name] = replace(entry, calls=tuple(best))
    return replace(program, entries=entries)
