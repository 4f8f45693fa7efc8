# SPDX-License-Identifier: Apache-2.0
"""What memories have room for, and what programs take."""

from __future__ import annotations

from collections.abc import Mapping

from acclimate.plan import plan
from acclimate.program import Buffer, Program
from acclimate.targets import Memory, Target

ALIGN_BYTES = 8  # of an arena, and of a tensor that lies outside
PORT_BYTES = 768  # of the fast memory: what a port keeps of the copies that are under way


def fast_room(target: Target, limits: Mapping[str, int]) -> int | None:
    """Bytes of the fast memory, where a DMA brings data there from an outer one."""
    writable = [memory for memory in target.memories if memory.writable]
    if target.cluster is None or len(writable) < 2:
        return None
    return usable(writable[0], limits)


def usable(memory: Memory, limits: Mapping[str, int]) -> int:
    """Bytes of a memory that a program may take."""
    return min(memory.usable_bytes, limits.get(memory.name, memory.usable_bytes))


def wanted_bytes(program: Program) -> int:
    """What everything takes without tiles."""
    return plan(program, seconds=0.0).arena_bytes + persistent_bytes(program)


def persistent_bytes(program: Program) -> int:
    """What lives from one call to the next."""
    return sum(aligned(b.size_bytes) for b in program.buffers.values() if _in_ram(b))


def outside_bytes(program: Program) -> int:
    """Of all tensors that do not lie in an arena; inputs and outputs lie beside weights."""
    return sum(
        aligned(b.size_bytes)
        for b in program.buffers.values()
        if not b.role.in_arena and not b.role.behind
    )


def _in_ram(buffer: Buffer) -> bool:
    return buffer.role.persistent and not buffer.role.behind


def static_bytes(program: Program, memory: str) -> int:
    """What lives from one call to the next, in one memory."""
    inside = (b for b in program.buffers.values() if b.role.persistent and b.memory == memory)
    return sum(aligned(b.size_bytes) for b in inside)


def external_bytes(program: Program) -> int:
    """The caller's tensors."""
    return sum(aligned(b.size_bytes) for b in program.buffers.values() if b.role.external)


def aligned(size_bytes: int) -> int:
    """The size with what follows it unused."""
    return -(-size_bytes // ALIGN_BYTES) * ALIGN_BYTES
