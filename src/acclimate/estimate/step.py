# SPDX-License-Identifier: Apache-2.0
"""Cycles of an entry point: its calls, and the copies beside or between them."""

from __future__ import annotations

from collections.abc import Callable

from acclimate.estimate.copies import copy_cycles_per_byte
from acclimate.kernels.copy.op import Copy
from acclimate.kernels.op import bytes_of
from acclimate.plan import Plan, arena_name
from acclimate.program import Call, Entry, Program
from acclimate.stream import call_cycles
from acclimate.targets import Target

STEPS = ("train", "accumulate")  # the entry point that a training step is: the first there is


def call_cost(target: Target) -> Callable[[Call], float]:
    """Cycles of a call on a target, by call."""
    return lambda call: call_cycles(call, target.cores)


def entry_cycles(program: Program, entry: Entry, plan: Plan, target: Target) -> int:
    """Cycles of an entry point: an estimate.

    Args:
        program: with kernels.
        entry: of the program.
        plan: where everything lies.
        target: the device.
    """
    work = sum(call_cycles(call, target.cores) for call in entry.calls)
    copies = [call for call in entry.calls if isinstance(call.attrs, Copy)]
    if target.cluster is None:
        return round(work + sum(_copy_cycles(program, call, plan, target) for call in copies))
    copied = sum(bytes_of("f32", view.size) for call in copies for view in call.writes)
    return round(max(work, copied / target.cluster.dma_bytes_per_cycle))


def _copy_cycles(program: Program, call: Call, plan: Plan, target: Target) -> float:
    """Of a copy that the core makes: on a device without DMA, or with one that is not used."""
    memories = []
    for view in (*call.reads, *call.writes):
        buffer = program.buffers[view.buffer]
        name = arena_name(buffer.memory) if buffer.role.in_arena else buffer.name
        memories.append(plan.places.get(name, buffer.memory))
    known = [target.memory(name) for name in memories if name]
    size = bytes_of(program.buffers[call.writes[0].buffer].dtype, call.writes[0].size)
    return size * copy_cycles_per_byte(*known) if len(known) == 2 else 0.0
