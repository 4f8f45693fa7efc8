# SPDX-License-Identifier: Apache-2.0
"""Copies out of l3 begin early, to run beside the calls before those that read what they bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from acclimate.kernels.copy.op import Copy
from acclimate.plan import lifetimes, live_bytes
from acclimate.program import Call, Entry, Program
from acclimate.targets import L3


def begin_early(
    program: Program, l3: L3, cost: Callable[[Call], float], memory: str, room_bytes: int
) -> Program:
    """Moves every copy out of l3 forward by about the time that it takes.

    Before: ...; c(...); fetch a; d(a). After: ...; fetch a; c(...); d(a), where `a` finds room
    during `c`. There is one copy at a time: where several would overlap, the earlier ones begin
    still earlier. Their order stays, and so do tiles that follow each other in a loop.

    Args:
        program: in tiles, with copies from and to l3.
        l3: of the device.
        cost: cycles of a call.
        memory: to which the copies bring data.
        room_bytes: of its arena; more must not be alive at once.
    """
    entries = {
        name: _Early(program, entry, l3, cost, memory, room_bytes).moved()
        for name, entry in program.entries.items()
    }
    return replace(program, entries=entries)


@dataclass
class _Early:
    """The copies of one entry point."""

    program: Program
    entry: Entry
    l3: L3
    cost: Callable[[Call], float]
    memory: str
    room_bytes: int

    def moved(self) -> Entry:
        """The entry point with its copies where they begin now."""
        calls = self.entry.calls
        place = self._in_order(self._places())
        order = sorted(range(len(calls)), key=lambda n: (place.get(n, n), n not in place, n))
        # What is called by its place in the order keeps its number.
        origins = self.entry.numbers
        return replace(self.entry, calls=tuple(replace(calls[n], origin=origins[n]) for n in order))

    def _places(self) -> dict[int, int]:
        """For each copy out of l3 the number of the call before which it begins."""
        calls = self.entry.calls
        begins = list(accumulate(map(self.cost, calls), initial=0.0))
        lives = [x for x in lifetimes(self.program, self.entry) if x.buffer.memory == self.memory]
        sizes = {life.buffer.name: life.size_bytes for life in lives}
        alive = live_bytes(lives, len(calls))
        places, bus = {}, begins[-1]  # when the bus is wanted by the copies after this one
        for number in reversed([*self._loads()]):
            size = sizes[calls[number].writes[0].buffer]
            cycles = self.l3.setup_cycles + size / self.l3.bytes_per_cycle
            bus = min(bus, begins[number]) - cycles
            places[number] = number
            for at in range(number - 1, -1, -1):
                if alive[at] + size > self.room_bytes or not self._may_pass(number, at):
                    break
                alive[at] += size
                if self._between_units(at):
                    places[number] = at
                    if begins[at] <= bus:
                        break
        return places

    def _loads(self) -> Iterator[int]:
        """Numbers of the copies out of l3."""
        for number, call in enumerate(self.entry.calls):
            if isinstance(call.attrs, Copy) and call.attrs.inward and self.program.copies_l3(call):
                yield number

    def _may_pass(self, number: int, other: int) -> bool:
        """True if a copy may begin before another call, which does not make what it brings."""
        calls = self.entry.calls
        return calls[number].reads[0].buffer not in {view.buffer for view in calls[other].writes}

    def _between_units(self, number: int) -> bool:
        """True where a statement may stand without parting a loop over tiles."""
        numbers = self.entry.numbers
        return number == 0 or numbers[number] != numbers[number - 1]

    def _in_order(self, places: dict[int, int]) -> dict[int, int]:
        """No copy overtakes the one before it: that one is wanted first."""
        ordered, last = {}, 0
        for number in sorted(places):
            last = max(last, places[number])
            ordered[number] = last
        return ordered
