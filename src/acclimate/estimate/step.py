# SPDX-License-Identifier: Apache-2.0
"""Cycles of an entry point: its calls, and the copies beside or between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from acclimate.estimate.calls import call_cost, far_cycles
from acclimate.estimate.copies import copy_cycles_per_byte
from acclimate.kernels.copy.op import Copy
from acclimate.kernels.op import bytes_of
from acclimate.plan import Plan, arena_name
from acclimate.program import Call, Entry, Program, View
from acclimate.targets import Target

STEPS = ("train", "accumulate")  # the entry point that a training step is: the first there is
_FORK_CYCLES = 200  # all cores begin and end a step together: 204 to 238 on the simulator
_BEGIN_CYCLES = 40  # of a copy: five words to the DMA, and the latency of the outer memory


def entry_cycles(program: Program, entry: Entry, plan: Plan, target: Target) -> int:
    """Cycles of an entry point: an estimate.

    Args:
        program: with kernels.
        entry: of the program.
        plan: where everything lies.
        target: the device.
    """
    places = _Places(program, plan, target)
    cost = call_cost(target)
    if target.cluster is None:
        return round(sum(cost(call) + places.copy_cycles(call) for call in entry.calls))
    numbered = zip(entry.numbers, entry.calls, strict=True)
    total = float(_FORK_CYCLES if target.cores > 1 else 0)
    bus = _Bus(program, target)
    for _, group in groupby(numbered, key=lambda pair: pair[0]):
        calls = [call for _, call in group]
        total = bus.waited(calls, total)
        work = sum(cost(call) + places.far_cycles(call) for call in calls)
        total += max(work + _BEGIN_CYCLES * _count(calls), places.dma_cycles(calls))
    return round(max(total, bus.free))


def _count(calls: Sequence[Call]) -> int:
    """Copies, which core 0 begins while the others wait for it at the next barrier."""
    return sum(isinstance(call.attrs, Copy) for call in calls)


@dataclass
class _Bus:
    """Copies from and to l3: one at a time, beside everything else.

    Args:
        program: with pages.
        target: with an l3 where there are any.
        free: cycle from which on no copy is under way.
        ends: of the last copy of each buffer of the memory before l3.
    """

    program: Program
    target: Target
    free: float = 0.0
    ends: dict[str, float] = field(default_factory=dict)

    def waited(self, calls: Sequence[Call], now: float) -> float:
        """When calls begin that would begin now: they wait for the copies of what they touch."""
        pages = [call for call in calls if self.program.copies_l3(call)]
        touched = {view.buffer for call in calls if call not in pages for view in call.views}
        now = max([now, *(self.ends.pop(name) for name in touched & set(self.ends))])
        for page in pages:
            assert self.target.l3 is not None
            for view in page.views:
                buffer = self.program.buffers[view.buffer]
                if not buffer.role.behind:
                    cycles = buffer.size_bytes / self.target.l3.bytes_per_cycle
                    self.free = max(now, self.free) + self.target.l3.setup_cycles + cycles
                    self.ends[view.buffer] = self.free
        return now


class _Places:
    """Which memory of the device the operands of calls lie in."""

    def __init__(self, program: Program, plan: Plan, target: Target) -> None:
        self.program, self.plan, self.target = program, plan, target

    def memory(self, view: View) -> str:
        """Empty where it is not known: the caller's data, or a device without names."""
        buffer = self.program.buffers[view.buffer]
        if buffer.role.external:
            return ""
        name = arena_name(buffer.memory) if buffer.role.in_arena else buffer.name
        return self.plan.places.get(name, buffer.memory)

    def size_bytes(self, view: View) -> int:
        return bytes_of(self.program.buffers[view.buffer].dtype, view.size)

    def copy_cycles(self, call: Call) -> float:
        """Of a copy that the core makes: on a device without DMA, or with one that is not used."""
        if not isinstance(call.attrs, Copy):
            return 0.0
        names = [self.memory(view) for view in (*call.reads, *call.writes)]
        known = [self.target.memory(name) for name in names if name]
        size = self.size_bytes(call.writes[0])
        return size * copy_cycles_per_byte(*known) if len(known) == 2 else 0.0

    def dma_cycles(self, calls: Sequence[Call]) -> float:
        """Of the copies of a call: the DMA moves as much in as out at the same time."""
        assert self.target.cluster is not None
        copies = [call for call in calls if isinstance(call.attrs, Copy)]
        copies = [call for call in copies if not self.program.copies_l3(call)]
        ways = [
            sum(self.size_bytes(c.writes[0]) for c in copies if c.attrs.inward is inward)
            for inward in (True, False)
        ]
        return max(ways) / self.target.cluster.dma_bytes_per_cycle

    def far_cycles(self, call: Call) -> float:
        """Of operands that a call reads and writes where they are, in a slower memory."""
        if isinstance(call.attrs, Copy):
            return 0.0
        fast, outer = self.target.memories[:2]
        views = (*call.reads, *call.writes)
        far = sum(view.size for view in views if self.memory(view) not in ("", fast.name))
        return far_cycles(call, far, outer.latency_cycles, self.target.cores)
