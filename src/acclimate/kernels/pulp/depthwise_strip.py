# SPDX-License-Identifier: Apache-2.0
"""One strip of a plane: a walk from source to source, with a hardware loop where it repeats."""

from __future__ import annotations

from dataclasses import dataclass, field

from acclimate.kernels.pulp.depthwise_axis import Lane, roll_of, steps_of
from acclimate.kernels.pulp.depthwise_cursor import (
    Access,
    Cursor,
    LoopBody,
    Operation,
    write_straight,
)
from acclimate.kernels.pulp.function import Function, OutOfRegisters
from acclimate.kernels.pulp.isa import Instruction

_MOST_LOOP = 1500  # instructions
Pair = tuple[int, int]


@dataclass(frozen=True)
class Run:
    """Equal strips at places in even steps. Places are bytes of (source, target).

    Args:
        walk: along the strips.
        across: over their width.
        at: the first strip.
        outer: count and step of the outer loop.
        inner: count and step of the inner loop.
    """

    walk: Lane
    across: Lane
    at: Pair
    outer: tuple[int, Pair] = (1, (0, 0))
    inner: tuple[int, Pair] = (1, (0, 0))

    @property
    def once(self) -> bool:
        """True for a single strip."""
        return self.outer[0] == self.inner[0] == 1


@dataclass(eq=False)
class Frame:
    """The registers of a kernel, and what its strips do.

    Args:
        f: the function.
        source: pointer to the plane that is loaded.
        target: pointer to the other plane.
        taps: weights, or their sums.
        slots: pixels of open targets.
        values: one or two sources.
        extra: bias, or the sum of all targets; empty for none.
        bounds: instructions that clamp, each with its bound.
        count: a register that is free between steps.
        weights: the sums are those of the taps.
        adds: targets begin with what lies in memory.
        source_steps: bytes from cell to cell along the walk and across.
        target_steps: the same.
        fresh: taps whose sums have no value yet.
    """

    f: Function
    source: Cursor
    target: Cursor
    taps: dict[Pair, str]
    slots: list[str]
    values: list[str]
    extra: str
    bounds: list[tuple[str, str]]
    count: str
    weights: bool
    adds: bool
    source_steps: Pair
    target_steps: Pair
    fresh: set[str] = field(default_factory=set)

    def zero(self, register: str) -> Instruction:
        """register = 0."""
        return Instruction("fmv.w.x" if self.f.core.float_registers else "mv", (register, "x0"))


class Strip:
    """The code of one strip. Offsets are bytes from its first source and its first target."""

    def __init__(self, frame: Frame, run: Run) -> None:
        self.frame, self.walk, self.across = frame, run.walk, run.across
        self.steps, self.roll = steps_of(run.walk), roll_of(run.walk)
        roll = self.roll
        turn = roll.period if roll.count > 1 else 0
        self.head = self._operations(range(roll.first))
        if turn:  # what has no value by now needs one before the loop
            left, frame.fresh = frame.fresh, set()
        loop = self._operations(range(roll.first, roll.first + turn))
        self.tail = self._operations(range(roll.first + turn * roll.count, len(self.steps)))
        self.tail += self._close(len(self.steps))
        self.unset = left if turn else frame.fresh
        frame.fresh = set()
        advances = {frame.source: self._advance(True), frame.target: self._advance(False)}
        self.loop = LoopBody(loop, advances)

    def entry(self, cursor: Cursor) -> int:
        """Where a pointer begins: where the loop wants it, or at the first access."""
        accesses = [op for op in [*self.head, *self.tail] if isinstance(op, Access)]
        first = next((op.offset for op in accesses if op.cursor is cursor), 0)
        return self.loop.entries.get(cursor, first)

    def _advance(self, source: bool) -> int:
        """Bytes that a turn of the loop goes on."""
        roll, frame = self.roll, self.frame
        if roll.count == 1:
            return 0
        for n in range(roll.first, roll.first + roll.period):
            now, then = self.steps[n], self.steps[n + roll.period]
            if source and now.source is not None and then.source is not None:
                return (then.source - now.source) * frame.source_steps[0]
            if not source and now.opens:
                places = self.walk.targets
                return (places[then.opens[0]] - places[now.opens[0]]) * frame.target_steps[0]
        return 0

    def write(self) -> None:
        """Writes the strip; the pointers are at its entries."""
        frame, f, count = self.frame, self.frame.f, self.roll.count
        write_straight(f, self.head)
        if count > 1:
            for cursor, at in self.loop.entries.items():
                cursor.move(cursor.origin + at, frame.count)
            inside = self.loop.write(f)
            if len(inside.nodes) > _MOST_LOOP:
                raise OutOfRegisters
            f.code.constant(frame.count, count)
            f.code.loop(0, frame.count, count, inside)
            for cursor in self.loop.entries:
                cursor.position += count * self.loop.advances[cursor]
        write_straight(f, self.tail)

    def _operations(self, steps: range) -> list[Operation]:
        return [op for step in steps for op in self._step(step)]

    def _step(self, number: int) -> list[Operation]:
        """One source of the walk: stores what closed, and multiplies the sources of the strip.

        The first two loads come before that and each other one before the products of the source
        before it, so that nothing waits for them.
        """
        frame, step = self.frame, self.steps[number]
        values = frame.values
        loads: list[Operation] = []
        if step.source is not None:
            down, right = frame.source_steps
            loads = [
                Access(
                    False, values[n % len(values)], frame.source, step.source * down + at * right
                )
                for n, at in enumerate(self.across.sources)
            ]
        opened, waiting, fresh = self._open(number)
        found = [*loads[:2], *self._close(number), *opened]
        for n in range(len(loads)):
            if n:
                found += loads[n + 1 : n + 2]
            for target, t in step.meets:
                for column, u in self.across.meets[n]:
                    slot, value = self._slot(target)[column], values[n % len(values)]
                    found.append(self._multiply(slot, value, frame.taps[t, u], fresh))
                    if waiting and column % 2 == 0:
                        found.append(waiting.pop(0))
        return [*found, *waiting]

    def _multiply(self, slot: str, value: str, tap: str, fresh: set[str]) -> Instruction:
        if self.frame.weights:
            if tap not in self.frame.fresh:
                return Instruction("fmadd.s", (tap, value, slot, tap))
            self.frame.fresh.remove(tap)
            return Instruction("fmul.s", (tap, value, slot))
        if slot not in fresh:
            return Instruction("fmadd.s", (slot, value, tap, slot))
        fresh.remove(slot)
        if self.frame.extra:
            return Instruction("fmadd.s", (slot, value, tap, self.frame.extra))
        return Instruction("fmul.s", (slot, value, tap))

    def _slot(self, target: int) -> list[str]:
        """Registers of an open target."""
        width = len(self.across.targets)
        first = self.roll.slots[target] * width
        return self.frame.slots[first : first + width]

    def _accesses(self, target: int, store: bool) -> list[Operation]:
        down, right = self.frame.target_steps
        line = self.walk.targets[target] * down
        return [
            Access(store, register, self.frame.target, line + column * right)
            for register, column in zip(self._slot(target), self.across.targets, strict=True)
        ]

    def _close(self, step: int) -> list[Operation]:
        """Stores the targets that closed in the step before."""
        closed = self.steps[step - 1].closes if step and not self.frame.weights else ()
        registers = [register for target in closed for register in self._slot(target)]
        found: list[Operation] = [
            Instruction(name, (r, r, bound)) for name, bound in self.frame.bounds for r in registers
        ]
        for target in closed:
            found += self._accesses(target, True)
        return found

    def _open(self, number: int) -> tuple[list[Operation], list[Operation], set[str]]:
        """First values of targets: at once, sums that can wait, and registers without a value."""
        frame, step = self.frame, self.steps[number]
        registers = [register for target in step.opens for register in self._slot(target)]
        if frame.weights or frame.adds:
            loads = [op for target in step.opens for op in self._accesses(target, False)]
            sums = registers if frame.weights and frame.extra else []
            extra = frame.extra
            return loads, [Instruction("fadd.s", (extra, extra, r)) for r in sums], set()
        met = {column for meets in self.across.meets for column, _ in meets}
        unmet = [
            register
            for target in step.opens
            for column, register in enumerate(self._slot(target))
            if step.source is None or column not in met
        ]
        first: list[Operation] = [
            Instruction(frame.f.move, (r, frame.extra)) if frame.extra else frame.zero(r)
            for r in unmet
        ]
        return first, [], set(registers) - set(unmet)
