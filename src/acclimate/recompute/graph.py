# SPDX-License-Identifier: Apache-2.0
"""Reads the abstract training step out of an entry point of a program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from acclimate.kernels.loop.op import Map, Reduce
from acclimate.plan import Lifetime
from acclimate.program import Call, Entry, Phase, Program, Role
from acclimate.recompute.step import Moment, Node, Stage, Step

CallCost = Callable[[Call], float]
# A loop takes about this many cycles for each element, a multiply-accumulate about one.
_CYCLES_PER_ELEMENT = 4.0
# An unrolled recurrent net has hundreds of small values; with this many the solver takes seconds.
_MOST_NODES = 48


def estimate_cycles(call: Call) -> float:
    """Cycles of a call: of its generated code where there is some, else from its amount of work."""
    if call.work is not None:
        return call.work.cycles
    if isinstance(call.attrs, (Map, Reduce)):
        return _CYCLES_PER_ELEMENT * prod(call.attrs.shape)
    elements = max((view.size for view in call.views), default=0)
    return float(max(call.macs, elements))


@dataclass(frozen=True)
class Unit:
    """A buffer and the forward calls that set it: parts of it, or all of it again in place.

    Args:
        name: of the buffer.
        calls: their numbers.
        end: number of the call that takes the buffer for its own result, or None.
        others: further buffers that the calls set; computed again, these are thrown away unless
            they are wanted too.
    """

    name: str
    calls: tuple[int, ...]
    end: int | None
    others: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """An entry point with its abstract step; node `i` of the step is `units[i]`."""

    entry: Entry
    units: tuple[Unit, ...]
    step: Step


def build_graph(
    program: Program,
    entry: Entry,
    cycles: CallCost = estimate_cycles,
    energy: CallCost | None = None,
) -> Graph:
    """Finds what can be computed again, and what is alive beside it.

    Recomputable are activations of the forward pass whose calls write nothing else. They read
    values that are complete by then, so that the calls of one buffer may run together.

    Args:
        program: after the last pass, with kernels and scratch.
        entry: of the program.
        cycles: of a call.
        energy: of a call; in units of its cycles by default.
    """
    reader = _Reader(program, entry)
    units = reader.largest(reader.useful(reader.final(reader.units())))
    owner = {unit.name: number for number, unit in enumerate(units)}
    fixed = reader.fixed_bytes(units)
    stages = _stages(reader, units, fixed)
    energy = energy or cycles
    nodes = tuple(
        Node(
            unit.name,
            _aligned(program, unit.name),
            tuple(sorted({owner[b] for b in reader.inputs(unit) if b in owner})),
            round(sum(cycles(entry.calls[n]) for n in unit.calls)),
            round(sum(energy(entry.calls[n]) for n in unit.calls)),
            max(reader.scratch_bytes(n) for n in unit.calls)
            + sum(_aligned(program, name) for name in unit.others),
            sum(stage.slot <= reader.deadline(unit, owner) for stage in stages) - 1,
        )
        for unit in units
    )
    moments = _moments(reader, units, fixed)
    total = round(sum(map(cycles, entry.calls)))
    spent = round(sum(map(energy, entry.calls)))
    return Graph(entry, tuple(units), Step(nodes, moments, stages, total, spent))


class _Reader:
    """Who reads and writes what in an entry point, by numbers of calls."""

    def __init__(self, program: Program, entry: Entry) -> None:
        self.program, self.calls = program, entry.calls
        self.reads: dict[str, list[int]] = defaultdict(list)
        self.writes: dict[str, list[int]] = defaultdict(list)
        for number, call in enumerate(entry.calls):
            for name in {view.buffer for view in call.reads}:
                self.reads[name].append(number)
            for name in {view.buffer for view in call.writes}:
                self.writes[name].append(number)
        self.first_backward = self._first_backward()

    def _first_backward(self) -> int:
        """The first call of the backward pass that reads what the forward pass has computed."""
        forward: set[str] = set()
        for number, call in enumerate(self.calls):
            arena = {v.buffer for v in call.reads if self.in_arena(v.buffer)}
            if call.phase is not Phase.FORWARD and arena & forward:
                return number
            if call.phase is Phase.FORWARD:
                forward.update(view.buffer for view in call.writes)
        return len(self.calls)

    def in_arena(self, name: str) -> bool:
        return self.program.buffers[name].role.in_arena

    def scratch_bytes(self, number: int) -> int:
        scratch = self.calls[number].scratch
        return _aligned(self.program, scratch.buffer) if scratch else 0

    def inputs(self, unit: Unit) -> set[str]:
        """Buffers that the calls of a unit read, without its own."""
        read = {view.buffer for n in unit.calls for view in self.calls[n].reads}
        return read - {unit.name}

    def units(self) -> list[Unit]:
        """Buffers that the forward pass sets, in the order in which they are complete."""
        units = []
        for name, writers in self.writes.items():
            calls = tuple(n for n in writers if self._forward(n))
            end = next((n for n in writers if not self._forward(n)), None)
            others = {view.buffer for n in calls for view in self.calls[n].writes} - {name}
            unit = Unit(name, calls, end, tuple(sorted(others)))
            if calls and self._recomputable(unit):
                units.append(unit)
        return sorted(units, key=lambda unit: (unit.calls[-1], unit.name))

    def _forward(self, number: int) -> bool:
        return number < self.first_backward and self.calls[number].phase is Phase.FORWARD

    def _recomputable(self, unit: Unit) -> bool:
        """Only activations; whoever else writes one must take over all of it in place."""
        buffers = self.program.buffers
        names = (unit.name, *unit.others)
        if any(buffers[name].role is not Role.ACTIVATION for name in names):
            return False
        if self.inputs(unit) & set(unit.others):
            return False
        if unit.end is None:
            return True
        call = self.calls[unit.end]
        views = [view for view in call.writes if view.buffer == unit.name]
        whole = all(view.covers(buffers[unit.name]) and view in call.inputs for view in views)
        return whole and not call.accumulate and unit.end >= self.first_backward

    def final(self, units: Sequence[Unit]) -> list[Unit]:
        """Those whose calls read the values of other units only when these are complete."""
        done = {unit.name: unit.calls[-1] for unit in units}
        return [
            unit
            for unit in units
            if all(
                done.get(view.buffer, -1) < n or view.buffer == unit.name
                for n in unit.calls
                for view in self.calls[n].reads
            )
        ]

    def useful(self, units: Sequence[Unit]) -> list[Unit]:
        """Those that a later call reads, and those that they are computed from."""
        wanted: set[str] = set()
        kept = []
        for unit in reversed(units):
            if unit.name in wanted or self._later_reads(unit):
                wanted |= self.inputs(unit)
                kept.append(unit)
        return kept[::-1]

    def largest(self, units: Sequence[Unit]) -> list[Unit]:
        """Those that the solver can take on; what is left out stays where it is."""
        ranked = sorted(units, key=lambda unit: -self.program.buffers[unit.name].size_bytes)
        kept = {unit.name for unit in ranked[:_MOST_NODES]}
        return [unit for unit in units if unit.name in kept]

    def _later_reads(self, unit: Unit) -> set[int]:
        """Calls from the backward pass on that read a unit."""
        last = unit.end if unit.end is not None else len(self.calls)
        return {n for n in self.reads[unit.name] if self.first_backward <= n <= last}

    def stage_calls(self, units: Sequence[Unit]) -> list[int]:
        """Numbers of the calls from the backward pass on that read one of the units."""
        return sorted(set().union(*map(self._later_reads, units)))

    def deadline(self, unit: Unit, owner: Mapping[str, int]) -> int:
        """The last call before which the other inputs of a unit have the values of the first time.

        A parameter is changed by its update; what is in the arena is gone after its last use.
        """
        deadline = len(self.calls)
        for number in unit.calls:
            for name in {v.buffer for v in self.calls[number].reads} - {unit.name}:
                if name in owner:
                    continue
                later = [n for n in self.writes[name] if n > number]
                deadline = min([deadline, *later])
                if self.in_arena(name):
                    deadline = min(deadline, max(*self.reads[name], *self.writes[name]))
        return deadline

    def fixed_bytes(self, units: Sequence[Unit]) -> list[tuple[int, int]]:
        """For every call: bytes alive beside the units before it, and during it."""
        taken = {unit.name: unit.end for unit in units if unit.end is not None}
        free = {unit.name for unit in units} - set(taken)
        # Time 2n is during call n, 2n - 1 is before it.
        spans: dict[str, tuple[int, int]] = {}
        for number, call in enumerate(self.calls):
            for name in {view.buffer for view in call.views} - free:
                end = taken.get(name)
                if self.in_arena(name) and (end is None or number > end):
                    # In the call that takes over a node's memory the node itself is counted.
                    first = 2 * number if end is None else 2 * end + 1
                    spans[name] = (spans.get(name, (first, 0))[0], 2 * number)

        def alive(time: int) -> int:
            names = (name for name, (first, last) in spans.items() if first <= time <= last)
            return sum(_aligned(self.program, name) for name in names)

        return [(alive(2 * n - 1), alive(2 * n)) for n in range(len(self.calls))]


def _aligned(program: Program, name: str) -> int:
    return Lifetime(program.buffers[name], 0, 0).size_bytes


@dataclass(frozen=True)
class _Group:
    """Calls of one stage: from the first to the last one that read its nodes."""

    first: int
    last: int
    needs: frozenset[int]
    overwrites: frozenset[int]


def _stages(
    reader: _Reader, units: Sequence[Unit], fixed: Sequence[tuple[int, int]]
) -> tuple[Stage, ...]:
    groups = _groups(reader, units, fixed)
    slots = [group.first for group in groups[:1]]
    for before, group in pairwise(groups):
        size = max(_aligned(reader.program, units[n].name) for n in group.needs)
        slots.append(_slot(fixed, before.last + 1, group, size))
    return tuple(
        Stage(
            slot,
            group.needs,
            group.overwrites,
            fixed[slot][0],
            max(during for _, during in fixed[slot : group.last + 1]),
            max((during for _, during in fixed[group.last + 1 : end]), default=0),
        )
        for group, (slot, end) in zip(groups, pairwise([*slots, len(fixed)]), strict=True)
    )


def _slot(fixed: Sequence[tuple[int, int]], start: int, group: _Group, size: int) -> int:
    """Number of the call before which missing nodes come back.

    Early there may be fewer gradients beside a node and what it is computed from; but then the node
    is alive in the calls in between.
    """

    def peak(slot: int) -> tuple[int, int]:
        during = max(during for _, during in fixed[slot : group.last + 1])
        return max(fixed[slot][0] + 2 * size, during + size), fixed[slot][0]

    return min(reversed(range(start, group.first + 1)), key=peak)


def _groups(
    reader: _Reader, units: Sequence[Unit], fixed: Sequence[tuple[int, int]]
) -> list[_Group]:
    """Calls that read nodes, together with the next one where nothing is gained by dropping these.

    An update and the derivative of the activation before it read the same node: that stays.
    """
    groups: list[_Group] = []
    for position in reader.stage_calls(units):
        read = {view.buffer for view in reader.calls[position].reads}
        needs = frozenset(
            number
            for number, unit in enumerate(units)
            if unit.name in read and (unit.end is None or position <= unit.end)
        )
        group = _Group(
            position, position, needs, frozenset(n for n in needs if units[n].end == position)
        )
        if groups and _stays(groups[-1], group, fixed):
            last = groups.pop()
            group = _Group(last.first, position, last.needs, last.overwrites | group.overwrites)
        groups.append(group)
    return groups


def _stays(first: _Group, second: _Group, fixed: Sequence[tuple[int, int]]) -> bool:
    """True if less is alive up to the second call than in the ones before it."""
    there = second.needs <= first.needs - first.overwrites
    during = [bytes for _, bytes in fixed[first.first : second.last + 1]]
    calls = first.last + 1 - first.first
    between, own = max(during[calls:-1], default=0), max(during[:calls])
    return there and between <= own and (second.needs == first.needs or during[-1] <= own)


def _moments(
    reader: _Reader, units: Sequence[Unit], fixed: Sequence[tuple[int, int]]
) -> tuple[Moment, ...]:
    """One for every call up to the first stage."""
    end = min(reader.stage_calls(units), default=len(reader.calls))
    touched = []
    for unit in units:
        uses = (*reader.reads[unit.name], *reader.writes[unit.name])
        touched.append((unit.calls[0], max(n for n in uses if n < end)))
    return tuple(
        Moment(
            fixed[number][1],
            frozenset(i for i, (first, last) in enumerate(touched) if first <= number <= last),
            frozenset(i for i, (first, _) in enumerate(touched) if first <= number),
        )
        for number in range(end)
    )
