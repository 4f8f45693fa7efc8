# SPDX-License-Identifier: Apache-2.0
"""How the cores of a device share an entry point: who computes a call, and where they must meet.

All cores run the same calls. Between two calls they need a barrier only if one of them touches
memory that another one has touched since the last barrier, and at least one of the two writes. What
a core touches is known for generated code; a kernel in C counts as if every core touched all of its
operands. Small loops are left to core 0 alone: a chain of them, such as the loss, then needs no
barrier inside.

Core 0 begins copies between memories, which then run beside everything else. Somebody who touches
what a copy moves must not do so before core 0 has waited for the copy, and the others not before
they have met core 0 after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from acclimate.kernels.copy.op import Copy
from acclimate.kernels.loop.nest import nest_of
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.plan.channels import CHANNELS, Channels
from acclimate.plan.traffic import Touch, Traffic, strides_of, touches
from acclimate.program import Call, Entry, Program

# Elements below which sharing a loop costs more than it saves: a barrier takes about 15 cycles and
# the bounds of a core's part about 15, an element about 5.
ALONE_ELEMENTS = 24


@dataclass(frozen=True)
class Team:
    """Who computes the calls of an entry point.

    Args:
        cores: that run it.
        alone: numbers of the calls that core 0 computes alone, and of the copies.
        barriers: numbers of the calls before which all cores meet.
        channels: of the copies, by number of the call; whoever waits for one names it.
        waits: channels that core 0 waits for before a call, and before the barrier in front of it.
        last: channels that it waits for at the end.
    """

    cores: int = 1
    alone: frozenset[int] = frozenset()
    barriers: frozenset[int] = frozenset()
    channels: Mapping[int, int] = field(default_factory=dict)
    waits: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    last: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Flight:
    """A copy that nobody has waited for."""

    number: int
    channel: int
    touches: tuple[Touch, ...]

    def races(self, others: list[Touch]) -> bool:
        return any(mine.races(other) for mine in self.touches for other in others)


def share_work(
    program: Program,
    entry: Entry,
    offsets: Mapping[str, int],
    arenas: Mapping[str, int],
    cores: int,
) -> Team:
    """Decides how `cores` cores run an entry point.

    Args:
        program: whose buffers the calls use.
        entry: calls with kernels and scratch.
        offsets: of the arena buffers [B].
        arenas: sizes by memory [B].
        cores: that run the calls together.
    """
    if cores == 1 and not any(isinstance(call.attrs, Copy) for call in entry.calls):
        return Team()
    return _Sharing(Traffic(program, offsets, arenas), cores, Channels(entry.calls)).run(entry)


@dataclass
class _Sharing:
    """The state while the calls of an entry point are looked at, one after the other."""

    traffic: Traffic
    cores: int
    free: Channels
    flights: list[_Flight] = field(default_factory=list)
    barriers: list[int] = field(default_factory=list)
    channels: dict[int, int] = field(default_factory=dict)
    waits: dict[int, list[int]] = field(default_factory=dict)

    def run(self, entry: Entry) -> Team:
        alone = frozenset(n for n, call in enumerate(entry.calls) if _alone(call))
        for number, call in enumerate(entry.calls):
            mine = list(touches(self.traffic, call, 1 if number in alone else self.cores))
            self._order(number, mine, number in alone)
            if isinstance(call.attrs, Copy):
                self._begin(number, mine)
            for touch in mine:
                self.traffic.add(touch)
        last = tuple(flight.channel for flight in self.flights)
        waits = {number: tuple(sorted(found)) for number, found in self.waits.items()}
        barriers = frozenset(self.barriers)
        return Team(self.cores, alone, barriers, self.channels, waits, last)

    def _order(self, number: int, mine: list[Touch], alone: bool) -> None:
        """Puts waits and a barrier in front of a call where it needs them."""
        meets = any(self.traffic.races(touch) for touch in mine)
        flown = [flight for flight in self.flights if flight.races(mine)]
        if flown and not meets and not alone and self.cores > 1:
            # A barrier since then will do, if core 0 waits in front of it.
            met = self.barriers[-1] if self.barriers else -1
            if all(flight.number < met for flight in flown):
                self._wait(met, flown)
                return
            meets = True
        self._wait(number, flown)
        if meets:
            self.barriers.append(number)
            self.traffic.meet()

    def _wait(self, number: int, flown: list[_Flight]) -> None:
        """Core 0 waits before a call; the others know of it when they have met core 0."""
        for flight in flown:
            self.waits.setdefault(number, []).append(flight.channel)
            self.flights.remove(flight)
            if not self.barriers or number > self.barriers[-1]:
                for touch in flight.touches:
                    self.traffic.add(touch)

    def _begin(self, number: int, mine: list[Touch]) -> None:
        if len(self.flights) == CHANNELS:
            self._wait(number, self.flights[:1])
        flying = {flight.channel for flight in self.flights}
        self.channels[number] = self.free.take(number, flying)
        self.flights.append(_Flight(number, self.channels[number], tuple(mine)))


def _alone(call: Call) -> bool:
    """True for copies, and for loops that core 0 computes alone."""
    if isinstance(call.attrs, Copy):
        return True
    if not isinstance(call.attrs, (Map, Reduce)):
        return False
    nest = nest_of(call.attrs, strides_of(call.attrs, call))
    return nest.split is None or prod(call.attrs.shape) <= ALONE_ELEMENTS
