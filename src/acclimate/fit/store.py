# SPDX-License-Identifier: Apache-2.0
"""Frozen weights that wait in l3 where the memory before it is too small.

A weight that never changes needs no copy back, and takes RAM only while a call reads it. So this
comes before anything is done about activations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from acclimate.fit.room import aligned, wanted_bytes
from acclimate.fit.save import saved
from acclimate.fit.stage import Stage
from acclimate.kernels.copy.op import COPY, Copy
from acclimate.program import Buffer, Call, Entry, Program, Role, View, prune, verify
from acclimate.wanted import Wanted


def with_less(program: Program, wanted: Wanted, arena_bytes: int, short_bytes: int) -> list[Stage]:
    """Stages after which the memory before l3 has room: weights in l3, then less of activations.

    Args:
        program: with kernels, in execution order, before tiles.
        wanted: what it has to fit.
        arena_bytes: that there are with all weights where they were.
        short_bytes: by which that is too little with everything kept.

    Raises:
        NoSchedule: nothing is within the limits.
    """
    weights = storable(program, wanted)
    count, freed = enough(program, weights, short_bytes)
    stored = weights[:count]
    found = saved(program, without_room(wanted, stored), arena_bytes + freed)
    if stored:
        found.append(store_weights(found[-1].program if found else program, stored))
    return found


def storable(program: Program, wanted: Wanted) -> list[Buffer]:
    """The frozen weights of a program that l3 has room for, the largest first; none where nothing
    may wait in an l3."""
    l3 = wanted.target.l3
    if wanted.saving.page != "auto" or l3 is None:
        return []
    read = {view.buffer for call in program.calls() for view in call.reads}
    frozen = [b for b in program.buffers.values() if b.role is Role.FROZEN and b.name in read]
    found: list[Buffer] = []
    for buffer in sorted(frozen, key=lambda b: -b.size_bytes):
        if sum(aligned(b.size_bytes) for b in (*found, buffer)) <= l3.usable_bytes:
            found.append(buffer)
    return found


def enough(program: Program, weights: Sequence[Buffer], size_bytes: int) -> tuple[int, int]:
    """How many of the first weights free so many bytes of the memory before l3.

    Args:
        program: with all of them where they were.
        weights: that may wait in l3.
        size_bytes: that are wanted.

    Returns:
        Their number, and the bytes that they free; where all of them together are not enough,
        what frees the most. Counted before there are tiles.
    """
    before, best = wanted_bytes(prune(program)), (0, 0)
    for count in range(len(weights) + 1):
        after = prune(store_weights(program, weights[:count]).program)
        freed = before - wanted_bytes(after)
        if freed > best[1]:
            best = (count, freed)
        if freed >= size_bytes:
            break
    return best


def without_room(wanted: Wanted, weights: Sequence[Buffer]) -> Wanted:
    """The same device with what weights take of l3 reserved there."""
    taken, l3 = sum(aligned(weight.size_bytes) for weight in weights), wanted.target.l3
    if l3 is None or not taken:
        return wanted
    less = replace(l3, reserved_bytes=l3.reserved_bytes + taken)
    return replace(wanted, target=replace(wanted.target, l3=less))


def store_weights(program: Program, weights: Sequence[Buffer]) -> Stage:
    """Moves weights to l3; every call that reads one is preceded by a copy of it.

    Before: y = conv(x, w). After: w_near = copy of w; y = conv(x, w_near).

    Args:
        program: with kernels, in execution order.
        weights: frozen ones.
    """
    buffers = dict(program.buffers)
    for weight in weights:
        buffers[weight.name] = replace(weight, role=Role.STORED, memory=str(Role.L3))
    names = {weight.name for weight in weights}
    entries = {
        name: replace(entry, calls=tuple(_fetched(entry, names, buffers)))
        for name, entry in program.entries.items()
    }
    changes = tuple(f"{w.name} waits in l3: {w.size_bytes:,} B" for w in weights)
    changed = replace(program, buffers=buffers, entries=entries)
    return Stage("store_weights", changes, verify(changed))


def _fetched(entry: Entry, names: Collection[str], buffers: dict[str, Buffer]) -> Iterator[Call]:
    """The calls of an entry point, with copies before them."""
    for call in entry.calls:
        near = {}
        for name in dict.fromkeys(view.buffer for view in call.reads if view.buffer in names):
            weight = buffers[name]
            near[name] = _new_name(f"{entry.name}.{name}_near", buffers)
            buffers[near[name]] = replace(
                weight, name=near[name], role=Role.ACTIVATION, path="", memory=""
            )
            views = [View(n, (weight.size,), (1,)) for n in (near[name], name)]
            attrs = Copy((weight.size,), inward=True)
            yield Call(COPY, (views[0],), (views[1],), attrs, call.phase, call.source)
        yield call.map_views({name: View.whole(buffers[new]) for name, new in near.items()})


def _new_name(stem: str, taken: Collection[str]) -> str:
    name, count = stem, 2
    while name in taken:
        name, count = f"{stem}{count}", count + 1
    return name
