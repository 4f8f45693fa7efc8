# SPDX-License-Identifier: Apache-2.0
"""Which cells of an axis meet in a convolution: window o sees cell o * stride - pad + t * dilation.

Planes are walked from sources to targets: cells are sources and windows targets, or the reverse.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property
from math import gcd


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution, or a part of it.

    Args:
        cells: of the larger plane.
        windows: of the smaller plane.
        stride: cells between windows.
        pad: cells before the first one that the first window sees.
        dilation: cells between taps.
        taps: (first, end) of the kernel.
        targets: (first, end) of the targets.
        back: the sources are windows.
    """

    cells: int
    windows: int
    stride: int
    pad: int
    dilation: int
    taps: tuple[int, int]
    targets: tuple[int, int]
    back: bool = False

    def sources(self, target: int) -> list[tuple[int, int]]:
        """(source, tap) of all that meet a target."""
        found = []
        for tap in range(*self.taps):
            if not self.back:
                cell = target * self.stride - self.pad + tap * self.dilation
                if 0 <= cell < self.cells:
                    found.append((cell, tap))
            else:
                window, rest = divmod(target + self.pad - tap * self.dilation, self.stride)
                if rest == 0 and 0 <= window < self.windows:
                    found.append((window, tap))
        return found

    def lane(self, target: int) -> tuple[int, int]:
        """Targets of different lanes share no source: dilation takes an axis apart.

        Divided by g = gcd(stride, dilation), window o sees cells u = o stride/g + t dilation/g, so
        that o modulo dilation/g follows from u.
        """
        common = gcd(self.stride, self.dilation)
        lanes = self.dilation // common
        if not self.back:
            return 0, target % lanes
        place, rest = divmod(target + self.pad, common)
        if rest:
            return rest, 0  # cells that no window sees
        return 0, place * pow(self.stride // common, -1, lanes) % lanes


@dataclass(frozen=True)
class Lane:
    """Targets in order, and the sources that they meet.

    Args:
        targets: positions.
        sources: positions, increasing.
        meets: per source (index of a target, tap).
    """

    targets: tuple[int, ...]
    sources: tuple[int, ...]
    meets: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def pairs(self) -> int:
        """How often a source and a target meet."""
        return sum(map(len, self.meets))

    def part(self, first: int, end: int) -> Lane:
        """Some of the targets, by index, and their sources."""
        numbers = sorted({n for met in self.met[first:end] for n in met})
        meets = tuple(
            tuple((target - first, tap) for target, tap in self.meets[n] if first <= target < end)
            for n in numbers
        )
        return Lane(self.targets[first:end], tuple(self.sources[n] for n in numbers), meets)

    @cached_property
    def met(self) -> list[list[int]]:
        """Per target the numbers of its sources."""
        found: list[list[int]] = [[] for _ in self.targets]
        for number, meets in enumerate(self.meets):
            for target, _ in meets:
                found[target].append(number)
        return found


@cache
def lanes(axis: Axis, every: bool) -> tuple[Lane, ...]:
    """All lanes of an axis.

    Args:
        axis: the axis.
        every: with the targets that meet nothing, too.
    """
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for target in range(*axis.targets):
        if every or axis.sources(target):
            groups[axis.lane(target)].append(target)
    found = []
    for targets in groups.values():
        meets: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, target in enumerate(targets):
            for source, tap in axis.sources(target):
                meets[source].append((index, tap))
        sources = sorted(meets)
        found.append(Lane(tuple(targets), tuple(sources), tuple(tuple(meets[s]) for s in sources)))
    return tuple(found)


@dataclass(frozen=True)
class Step:
    """What happens at one source of a lane.

    Args:
        source: position, or None where targets that meet nothing have their turn.
        meets: (index of a target, tap).
        opens: targets that come here first.
        closes: targets that come here last.
    """

    source: int | None
    meets: tuple[tuple[int, int], ...]
    opens: tuple[int, ...]
    closes: tuple[int, ...]


@cache
def steps_of(lane: Lane) -> tuple[Step, ...]:
    """The walk along a lane, source by source; targets that meet nothing come in their order."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, meets in enumerate(lane.meets):
        for target, _ in meets:
            first.setdefault(target, number)
            last[target] = number
    waiting = [target for target in range(len(lane.targets)) if target not in first]
    found = []

    def lonely(before: int) -> None:
        while waiting and waiting[0] < before:
            target = (waiting.pop(0),)
            found.append(Step(None, (), target, target))

    for number, (source, meets) in enumerate(zip(lane.sources, lane.meets, strict=True)):
        touched = sorted({target for target, _ in meets})
        opens = tuple(target for target in touched if first[target] == number)
        lonely(max(opens, default=0))
        closes = tuple(target for target in touched if last[target] == number)
        # Those that are open come first: the others wait for their first value.
        old_first = sorted(meets, key=lambda pair: (pair[0] in opens, pair))
        found.append(Step(source, tuple(old_first), opens, closes))
    lonely(len(lane.targets))
    return tuple(found)


@dataclass(frozen=True)
class Roll:
    """A walk whose targets share registers, with its repetition.

    Args:
        slots: per target, the group of registers that it has while it is open.
        depth: number of slots.
        first: step at which the repetition begins.
        period: steps of one turn.
        count: of turns; 1 where nothing repeats.
    """

    slots: tuple[int, ...]
    depth: int
    first: int
    period: int
    count: int

    def written(self, steps: int) -> int:
        """Steps for which code is written."""
        return steps - (self.count - 1) * self.period


_LONGEST_PERIOD = 40
_LATEST_REPETITION = 80  # steps: borders are shorter


@cache
def roll_of(lane: Lane) -> Roll:
    """Slots for the targets of a lane, and the repetition that leaves the least code."""
    steps = steps_of(lane)
    rolls = [_repetition(lane, steps, _slots(lane, steps, cyclic)) for cyclic in (True, False)]
    return min(rolls, key=lambda roll: (roll.written(len(steps)), roll.period))


def _slots(lane: Lane, steps: tuple[Step, ...], cyclic: bool) -> tuple[int, ...]:
    """A slot for every target: the lowest that is free, or the next one in turn."""
    slots = [0] * len(lane.targets)
    depth = depth_of(lane)
    free, last = set(range(depth)), -1
    for step in steps:
        for target in step.opens:
            turn = last + 1 if cyclic else 0
            last = min(free, key=lambda slot: (slot - turn) % depth)
            free.remove(last)
            slots[target] = last
        free.update(slots[target] for target in step.closes)
    return tuple(slots)


@cache
def depth_of(lane: Lane) -> int:
    """Most targets that are open at once."""
    most, open_now = 0, 0
    for step in steps_of(lane):
        open_now += len(step.opens)
        most = max(most, open_now)
        open_now -= len(step.closes)
    return most


def _repetition(lane: Lane, steps: tuple[Step, ...], slots: tuple[int, ...]) -> Roll:
    depth = max(slots, default=-1) + 1
    marks = [_mark(lane, steps, slots, n) for n in range(len(steps))]
    best = Roll(slots, depth, 0, 1, 1)
    for period in range(1, min(_LONGEST_PERIOD, len(steps) // 2) + 1):
        at = 0
        if period >= best.written(len(steps)):
            break
        while at + 2 * period <= len(steps) and at <= _LATEST_REPETITION:
            length = _repeats(marks, at, period)
            count = (length + period) // period
            roll = Roll(slots, depth, at, period, count)
            if count > 1 and roll.written(len(steps)) < best.written(len(steps)):
                best = roll
            at += max(1, length)
    return best


_Mark = tuple[tuple[object, ...], tuple[int, ...], tuple[int, ...]]


def _mark(lane: Lane, steps: tuple[Step, ...], slots: tuple[int, ...], number: int) -> _Mark:
    """What a step does, its source, and its targets; those that closed before are stored in it."""
    step = steps[number]
    closed = steps[number - 1].closes if number else ()
    does = (
        tuple((slots[target], tap) for target, tap in step.meets),
        tuple(slots[target] for target in step.opens),
        tuple(slots[target] for target in closed),
    )
    targets = [lane.targets[t] for t in (*step.opens, *closed)]
    return does, () if step.source is None else (step.source,), tuple(targets)


def _repeats(marks: list[_Mark], at: int, period: int) -> int:
    """Steps from `at` on that come again one period later, all shifted alike."""
    shifts: list[set[int]] = [set(), set()]
    length = 0
    while at + length + period < len(marks):
        (a, *places_a), (b, *places_b) = marks[at + length], marks[at + length + period]
        if a != b or any(len(p) != len(q) for p, q in zip(places_a, places_b, strict=True)):
            break
        for seen, p, q in zip(shifts, places_a, places_b, strict=True):
            seen.update(y - x for x, y in zip(p, q, strict=True))
        if any(len(seen) > 1 for seen in shifts):
            break
        length += 1
    return length
