# SPDX-License-Identifier: Apache-2.0
"""Which memory of the device holds the arena and each static tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acclimate.errors import DoesNotFit
from acclimate.program import Buffer, Program, Role
from acclimate.targets import Memory

_ALIGN_BYTES = 8


def arena_name(memory: str) -> str:
    """The arena of a memory, as it is called in C; there is one alone where none is named."""
    return f"arena_{memory}" if memory else "arena"


@dataclass(frozen=True)
class _Wanted:
    """Something that needs a place."""

    name: str
    size_bytes: int
    writable: bool
    memory: str  # empty where the choice is free


def place(
    program: Program,
    arenas: Mapping[str, int],
    memories: Sequence[Memory],
    limits: Mapping[str, int],
) -> dict[str, str]:
    """The places that the linker does not find alone; see `assign`.

    Returns:
        Memory names by buffer name, and by name of arena. What lies in constant memory is not
        listed, and nothing is for a device with one writable memory.

    Raises:
        DoesNotFit: the memories together are too small; names what needs the most.
    """
    constants = {memory.name for memory in memories if not memory.writable}
    found = assign(program, arenas, memories, limits)
    if len(memories) - len(constants) < 2:
        return {}
    return {name: memory for name, memory in found.items() if memory not in constants}


def assign(
    program: Program,
    arenas: Mapping[str, int],
    memories: Sequence[Memory],
    limits: Mapping[str, int],
) -> dict[str, str]:
    """Gives the arenas, then the tensors that most calls touch, the fastest memory with room.

    Args:
        program: with the persistent buffers.
        arenas: sizes by memory.
        memories: fastest first.
        limits: bytes by memory name, where less than the usable bytes may be taken.

    Returns:
        Memory names by name of every persistent buffer, and by name of arena; nothing for a device
        without memories.

    Raises:
        DoesNotFit: the memories together are too small; names what needs the most.
    """
    if not memories:
        return {}
    touched = Counter(view.buffer for call in program.calls() for view in call.views)
    static = [b for b in program.buffers.values() if b.role.persistent]
    tensors = [b for b in static if not b.role.behind]
    behind = {b.name: str(Role.L3) for b in static if b.role.behind}
    tensors.sort(key=lambda b: (-touched[b.name], b.size_bytes))
    failed = ""
    # What is touched often comes first; where that leaves gaps, what is large.
    for order in (tensors, sorted(tensors, key=lambda b: -b.size_bytes)):
        wanted = [_Wanted(arena_name(m), size, True, m) for m, size in arenas.items() if size]
        wanted += [
            _Wanted(b.name, b.size_bytes, b.role is not Role.FROZEN, b.memory) for b in order
        ]
        result, missing = _fill(wanted, memories, limits)
        if not missing:
            return result | behind
        failed = failed or missing
    raise _too_large(program, arenas, tensors, memories, limits, failed)


def _fill(
    wanted: Sequence[_Wanted], memories: Sequence[Memory], limits: Mapping[str, int]
) -> tuple[dict[str, str], str]:
    """Memory names by name, and the name of the first thing that finds no place."""
    room = {m.name: min(m.usable_bytes, limits.get(m.name, m.usable_bytes)) for m in memories}
    constants = {m.name for m in memories if not m.writable}
    order = [m.name for m in memories]
    result: dict[str, str] = {}
    for want in wanted:
        size = -(-want.size_bytes // _ALIGN_BYTES) * _ALIGN_BYTES
        # A constant goes where nothing else can: RAM is for what changes.
        choices = [m for m in order if m in constants] if not want.writable and constants else []
        choices += [m for m in order if m not in constants]
        for memory in [want.memory] if want.memory else choices:
            if size <= room[memory]:
                room[memory] -= size
                result[want.name] = memory
                break
        else:
            return result, want.name
    return result, ""


def _too_large(
    program: Program,
    arenas: Mapping[str, int],
    tensors: Sequence[Buffer],
    memories: Sequence[Memory],
    limits: Mapping[str, int],
    name: str,
) -> DoesNotFit:
    needed = sum(arenas.values()) + sum(b.size_bytes for b in tensors)
    rooms = ", ".join(
        f"{m.name} {min(m.usable_bytes, limits.get(m.name, m.usable_bytes)):,} B" for m in memories
    )
    largest = sorted(tensors, key=lambda b: -b.size_bytes)[:3]
    parts = [f"{arena_name(m).replace('_', ' in ')} {size:,} B" for m, size in arenas.items()]
    parts += [f"{b.name} {b.size_bytes:,} B" for b in largest]
    return DoesNotFit(
        f"{program.name} needs {needed:,} B in the memories of the device; usable are {rooms}",
        found=f"no room for {name}; largest: {', '.join(parts)}",
        hint="train fewer layers, take a smaller model, or --target with more memory",
    )
