# SPDX-License-Identifier: Apache-2.0
"""Copies out of l3 begin early, so that they run beside the calls before the one that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from acclimate.kernels.copy.op import Copy
from acclimate.plan import Lifetime, lifetimes, live_bytes
from acclimate.program import Call, Entry, Program
from acclimate.targets import L3


def begin_early(
    program: Program, l3: L3, cost: Callable[[Call], float], room_bytes: int
) -> Program:
    """Moves every copy out of l3 forward by about the time that it takes.

    Before: ...; c(...); fetch a; d(a). After: ...; fetch a; c(...); d(a), where `a` finds room in
    the arena during `c`. There is one copy at a time: where several would overlap, the earlier ones
    begin still earlier. Their order stays.

    Args:
        program: with pages, and calls in execution order.
        l3: their memory.
        cost: cycles of a call.
        room_bytes: more than this must not be alive at once.
    """
    entries = {
        name: _Early(program, entry, l3, cost, room_bytes).moved()
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
    room_bytes: int

    def moved(self) -> Entry:
        """The entry point with its copies where they begin now."""
        calls = self.entry.calls
        place = self._in_order(self._places())
        order = sorted(range(len(calls)), key=lambda n: (place.get(n, n), n not in place, n))
        return replace(self.entry, calls=tuple(calls[n] for n in order))

    def _places(self) -> dict[int, int]:
        """For each copy out of l3 the number of the call before which it begins."""
        calls = self.entry.calls
        begins = list(accumulate(map(self.cost, calls), initial=0.0))
        lives = lifetimes(self.program, self.entry)
        alive = live_bytes(lives, len(calls))
        places, bus = {}, begins[-1]  # when the bus is wanted by the copies after this one
        for number, size in reversed([*self._loads(lives)]):
            cycles = self.l3.setup_cycles + size / self.l3.bytes_per_cycle
            bus = min(bus, begins[number]) - cycles
            place = number
            while begins[place] > bus and self._may_pass(calls, place - 1, number):
                if alive[place - 1] + size > self.room_bytes:
                    break
                place -= 1
                alive[place] += size
            places[number] = place
        return places

    def _loads(self, lives: Sequence[Lifetime]) -> Iterator[tuple[int, int]]:
        """Numbers of the copies out of l3, and what each takes of the arena [B]."""
        sizes = {life.buffer.name: life.size_bytes for life in lives}
        for number, call in enumerate(self.entry.calls):
            if isinstance(call.attrs, Copy) and call.attrs.inward and self.program.copies_l3(call):
                yield number, sizes[call.writes[0].buffer]

    def _may_pass(self, calls: Sequence[Call], other: int, number: int) -> bool:
        """True if a copy may begin before another call: it brings what that one does not make."""
        if other < 0:
            return False
        (source,), (target,) = calls[number].reads, calls[number].writes
        made = {view.buffer for view in calls[other].writes}
        return source.buffer not in made and all(
            view.buffer != target.buffer for view in calls[other].views
        )

    def _in_order(self, places: dict[int, int]) -> dict[int, int]:
        """No copy overtakes the one before it: that one is wanted first."""
        ordered, last = {}, 0
        for number in sorted(places):
            last = max(last, places[number])
            ordered[number] = last
        return ordered
