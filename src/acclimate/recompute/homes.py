# SPDX-License-Identifier: Apache-2.0
"""Where the arena of a device with several memories can lie, and where activations may wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acclimate.errors import DoesNotFit
from acclimate.estimate import copy_cycles_per_byte
from acclimate.plan import arena_name, assign
from acclimate.program import Program, Role
from acclimate.recompute.step import Paging
from acclimate.targets import L3, Memory, Target

_ALIGN_BYTES = 8
# Of the most that fits: the memory that the arena leaves is taken by weights that would lie where
# pages could.
_SHARES = (1.0, 0.75, 0.5)


@dataclass(frozen=True)
class Home:
    """A memory for the arena, and another one for pages.

    Args:
        memory: of the arena; empty where the device has no names for its memories.
        arena_bytes: that it can hold; None for no limit.
        paging: the slower memory; None where there is no room for pages.
    """

    memory: str
    arena_bytes: int | None
    paging: Paging | None = None


def find_homes(
    program: Program,
    target: Target,
    limits: Mapping[str, int],
    *,
    cap_bytes: int | None = None,
    paged: bool = False,
) -> list[list[Home]]:
    """Places for the arena: those that hold the most come first, equal ones together.

    Args:
        program: whose static tensors share the memories with the arena.
        target: a device that computes where its data lie: no cluster.
        limits: budgets by memory [B].
        cap_bytes: more than this the arena may not take.
        paged: wants memories for pages too.
    """
    found: dict[int, list[Home]] = {}
    for memory in target.memories:
        most = _most(program, target.memories, limits, memory) if memory.writable else 0
        sizes = [int(most * share) for share in (_SHARES if paged else _SHARES[:1])]
        if cap_bytes is not None:
            sizes = [min(size, cap_bytes) for size in sizes]
        for size in dict.fromkeys(size // _ALIGN_BYTES * _ALIGN_BYTES for size in sizes):
            if size > 0:
                paging = _paging(program, target, limits, memory, size) if paged else None
                found.setdefault(size, []).append(Home(memory.name, size, paging))
    return [found[size] for size in sorted(found, reverse=True)]


def l3_home(l3: L3, arena_bytes: int | None) -> Home:
    """The memory before l3 as a home, with pages in l3.

    Copies count as if the cores waited for all of them: an upper bound.
    """
    cycles = 1.0 / l3.bytes_per_cycle
    return Home("", arena_bytes, Paging(cycles, cycles, l3.usable_bytes, Role.L3, l3.setup_cycles))


def _most(
    program: Program, memories: Sequence[Memory], limits: Mapping[str, int], memory: Memory
) -> int:
    """Bytes of the largest arena in a memory that leaves a place for everything static."""
    low, high = 0, min(memory.usable_bytes, limits.get(memory.name, memory.usable_bytes)) + 1
    while high - low > _ALIGN_BYTES:
        middle = (low + high) // 2
        if _places(program, memories, limits, memory, middle) is None:
            high = middle
        else:
            low = middle
    return low // _ALIGN_BYTES * _ALIGN_BYTES


def _places(
    program: Program,
    memories: Sequence[Memory],
    limits: Mapping[str, int],
    memory: Memory,
    arena_bytes: int,
) -> Mapping[str, str] | None:
    """Memory of each static tensor beside an arena; None if they do not all find one."""
    try:
        return assign(program, {memory.name: arena_bytes}, memories, limits)
    except DoesNotFit:
        return None


def _paging(
    program: Program, target: Target, limits: Mapping[str, int], home: Memory, arena_bytes: int
) -> Paging | None:
    """The memory with the most room besides that of the arena."""
    places = _places(program, target.memories, limits, home, arena_bytes)
    if places is None:
        return None
    left = {
        m.name: min(m.usable_bytes, limits.get(m.name, m.usable_bytes))
        for m in target.memories
        if m.writable
    }
    for name, memory in places.items():
        if memory in left and name != arena_name(home.name):
            size = program.buffers[name].size_bytes
            left[memory] -= -(-size // _ALIGN_BYTES) * _ALIGN_BYTES
    del left[home.name]
    name = max(left, key=lambda memory: left[memory], default="")
    if not name or left[name] < _ALIGN_BYTES:
        return None
    cycles = copy_cycles_per_byte(home, target.memory(name))
    return Paging(cycles, cycles, left[name], name)
