# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution of planes: rows roll through registers, each source is loaded once a strip.

A strip of a plane is as wide as the registers allow. The kernel walks along it, source by source.
What is open, a target that has met some of its sources but not all, lies in registers:
sums of outputs, or, for the gradient of the weights, pixels of dy while the taps are the sums. The
walk repeats itself after a few steps, which become the body of a hardware loop; padding shows only
as steps with fewer products before and after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import inf

from acclimate.kernels.pulp.depthwise_axis import Lane, roll_of, steps_of
from acclimate.kernels.pulp.depthwise_cursor import (
    Access,
    Cursor,
    LoopBody,
    Operation,
    write_straight,
)
from acclimate.kernels.pulp.function import Core, Function, OutOfRegisters
from acclimate.kernels.pulp.isa import Instruction, Label, Node, cycles
from acclimate.kernels.pulp.result import Result, ResultWriter, bits

_WORD = 4
_MOST_LOOP = 1500  # instructions
_LEAST_TO_WRITE = 6  # registers of a ResultWriter: two addresses, rate, decay, and two values
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


@dataclass(frozen=True)
class Planes:
    """A kernel: the same runs on the planes of many channels and some samples.

    Args:
        weights: the sums are those of the taps, and targets are read; else targets are written.
        runs: strips of a plane.
        taps: (first, end) of the kernel along the walk and across, and bytes from one to the next.
        source: bytes from cell to cell along the walk and across.
        target: the same.
        channel: bytes to the next plane of sources and of targets, and to the next weights.
        samples: their number.
        sample: bytes to the same plane of the next sample.
        result: what becomes of the sums. For images `add` begins with what lies in the target.
    """

    weights: bool
    runs: tuple[Run, ...]
    taps: tuple[Pair, Pair, Pair]
    source: Pair
    target: Pair
    channel: tuple[int, int, int]
    samples: int
    sample: Pair
    result: Result

    @property
    def title(self) -> str:
        """One line that says what it computes."""
        (a, b), (c, d), _ = self.taps
        what = "gradient of the weights" if self.weights else "image"
        return f"depthwise convolution: {what}, {b - a}x{d - c} taps, {len(self.runs)} kinds of strip"

    @property
    def prototype(self) -> str:
        """Its C parameters."""
        if self.weights:
            return (
                "float *w, float *bias, const float *source, const float *target, "
                "int32_t channels, const float *rate"
            )
        return (
            "float *target, const float *source, const float *w, const float *bias, "
            "int32_t channels"
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the words of a call."""
        if self.weights:
            return ("w", "bias", "source", "target", "channels", "rate")
        return ("target", "source", "w", "bias", "channels")

    def write(self, core: Core) -> list[Node]:
        """The function.

        Raises:
            OutOfRegisters: a strip is too wide for the core.
        """
        return _Writer(self, core).write()


@cache
def call_cycles(planes: Planes, core: Core) -> tuple[float, float]:
    """Cycles of a call: fixed, and per channel."""
    nodes = planes.write(core)
    counts = {"channel": 0, "sample": planes.samples}
    for number, run in enumerate(planes.runs):
        counts |= {f"outer{number}": run.outer[0], f"inner{number}": run.inner[0]}
    fixed = _looped(nodes, counts, core.fpu_latency)
    once = _looped(nodes, {**counts, "channel": 1}, core.fpu_latency)
    return fixed, once - fixed


def _looped(nodes: list[Node], counts: dict[str, int], latency: int) -> float:
    """Cycles of code whose labels begin loops in software."""
    for at, node in enumerate(nodes):
        if isinstance(node, Label):
            back = Instruction("bnez", ("", f"@{node.name}"))
            end = next(
                n
                for n, other in enumerate(nodes)
                if isinstance(other, Instruction)
                and (other.name, other.operands[-1:]) == (back.name, back.operands[-1:])
            )
            inside = _looped(nodes[at + 1 : end + 1], counts, latency)
            rest = _looped(nodes[end + 1 :], counts, latency)
            return cycles(nodes[:at], latency) + counts[node.name] * inside + rest
    return cycles(nodes, latency)


class _Writer:
    def __init__(self, planes: Planes, core: Core) -> None:
        self.planes, self.core = planes, core
        self.f = f = Function(planes.arguments, core)
        self.source, self.target = Cursor(f, self.spare), Cursor(f, self.spare)
        (a, b), (c, d), _ = planes.taps
        self.taps = {(t, u): f.real() for t in range(a, b) for u in range(c, d)}
        most = max((roll_of(r.walk).depth * len(r.across.targets) for r in planes.runs), default=1)
        self.slots = f.reals(most)
        wide = any(len(run.across.sources) > 1 for run in planes.runs)
        self.values = f.reals(2 if wide else 1)
        result = planes.result
        self.extra = f.real() if result.bias or result.sums else ""
        self.lo = self._bound(result.lo, -inf)
        self.hi = self._bound(result.hi, inf)
        self.between = ""
        # Between strips the values and the slots are free.
        self.count, self.far = (
            (f.integer(), f.integer())
            if core.float_registers
            else (self.values[0], [*self.slots, *self.values[1:]][0])
        )

    def spare(self) -> str:
        """A register for long steps inside a strip."""
        if not self.core.float_registers:
            self.between = self.between or self.f.integer()
            return self.between
        return self.far

    def _bound(self, limit: float, none: float) -> str:
        """A register for a bound of the clamp; empty for none."""
        if limit == none:
            return ""
        return "x0" if limit == 0.0 and not self.core.float_registers else self.f.real()

    def write(self) -> list[Node]:
        f, planes = self.f, self.planes
        f.fetch(self.source.register, "source")
        f.fetch(self.target.register, "target")
        for register, limit in ((self.lo, planes.result.lo), (self.hi, planes.result.hi)):
            if register not in ("", "x0"):
                f.constant(register, bits(limit), self.count)
        free = [r for r in [*self.slots, *self.values, *self.taps.values()] if r != self.count]
        planes.result.prepare(f, self.count, [*free, *f.floats])
        f.code.label("channel")
        self._begin()
        self._samples()
        for cursor, step in zip((self.source, self.target), planes.channel[:2], strict=True):
            cursor.move(step, self.far)
            cursor.position = 0
        if planes.weights:
            self._write_weights()
        self._again("channel", "channels")
        return f.finish()

    def _again(self, label: str, slot: str) -> None:
        """Jumps back while a count in a slot is not used up."""
        f = self.f
        f.fetch(self.count, slot)
        f.code("addi", self.count, self.count, -1)
        f.keep(self.count, slot)
        f.code("bnez", self.count, f"@{label}")

    def _begin(self) -> None:
        """The weights of a channel, or sums that are zero."""
        f, planes = self.f, self.planes
        zero = "fmv.w.x" if self.core.float_registers else "mv"
        if planes.weights:
            for register in [*self.taps.values(), *([self.extra] if self.extra else [])]:
                f.code(zero, register, "x0")
            return
        f.fetch(self.count, "w")
        if self.extra:
            f.fetch(self.far, "bias")
            f.code(f.load, self.extra, 0, self.far)
            f.code("addi", self.far, self.far, _WORD)
            f.keep(self.far, "bias")
        for (t, u), register in self.taps.items():
            f.code(f.load, register, self._tap(t, u), self.count)
        f.code.add(self.count, planes.channel[2], self.far)
        f.keep(self.count, "w")

    def _tap(self, t: int, u: int) -> int:
        """Byte offset of a tap."""
        down, right = self.planes.taps[2]
        return t * down + u * right

    def _samples(self) -> None:
        """The planes of a channel."""
        f, planes = self.f, self.planes
        if planes.samples > 1:
            f.code.constant(self.count, planes.samples)
            f.keep(self.count, "samples")
            f.code.label("sample")
        for number, run in enumerate(planes.runs):
            self._run(run, number)
        if planes.samples > 1:
            for cursor, step in zip((self.source, self.target), planes.sample, strict=True):
                cursor.move(step, self.far)
                cursor.position = step * planes.samples
            self._again("sample", "samples")

    def _write_weights(self) -> None:
        f, planes = self.f, self.planes
        reals = [*self.slots, *self.values, *f.floats]
        integers = [self.count, self.far, *f.integers] if self.core.float_registers else reals
        if len(reals) < _LEAST_TO_WRITE:
            raise OutOfRegisters
        writer = ResultWriter(f, planes.result, integers, reals)
        places = [(register, self._tap(*tap)) for tap, register in self.taps.items()]
        writer.write(places, "w")
        slots = [("w", planes.channel[2])]
        if planes.result.sums:
            writer.write([(self.extra, 0)], "bias")
            slots.append(("bias", _WORD))
        for name, step in slots:
            f.fetch(self.count, name)
            f.code.add(self.count, step, self.far)
            f.keep(self.count, name)

    def _run(self, run: Run, number: int) -> None:
        """Strip after strip."""
        f, cursors = self.f, (self.source, self.target)
        strip = _Strip(self, run)
        for cursor, at in zip(cursors, run.at, strict=True):
            cursor.origin = at
            cursor.move(at + strip.entry(cursor), self.far)
        first = [cursor.position for cursor in cursors]
        loops = [("inner", *run.inner), ("outer", *run.outer)]
        for name, count, _ in loops[::-1]:
            if count > 1:
                f.code.constant(self.count, count)
                f.keep(self.count, f"{name}_left")
                f.code.label(f"{name}{number}")
        strip.write()
        # Positions are those of the first turn; what the loops have added shows when they end.
        for name, count, steps in loops:
            for n, cursor in enumerate(cursors if count > 1 else ()):
                cursor.move(first[n] + steps[n], self.far)
                # The outer step counts from where the inner loop began.
                cursor.position = first[n] + steps[n] * count
            if count > 1:
                self._again(f"{name}{number}", f"{name}_left")


class _Strip:
    """The code of one strip. Offsets are bytes from its first source and its first target."""

    def __init__(self, writer: _Writer, run: Run) -> None:
        self.w, self.walk, self.across = writer, run.walk, run.across
        self.steps, self.roll = steps_of(run.walk), roll_of(run.walk)
        roll = self.roll
        turn = roll.period if roll.count > 1 else 0
        self.head = self._operations(range(roll.first))
        loop = self._operations(range(roll.first, roll.first + turn))
        self.tail = self._operations(range(roll.first + turn * roll.count, len(self.steps)))
        self.tail += self._close(len(self.steps))
        advances = {writer.source: self._advance(True), writer.target: self._advance(False)}
        self.loop = LoopBody(loop, advances)

    def entry(self, cursor: Cursor) -> int:
        """Where a pointer begins: where the loop wants it, or at the first access."""
        accesses = [op for op in [*self.head, *self.tail] if isinstance(op, Access)]
        first = next((op.offset for op in accesses if op.cursor is cursor), 0)
        return self.loop.entries.get(cursor, first)

    def _advance(self, source: bool) -> int:
        """Bytes that a turn of the loop goes on."""
        roll, planes = self.roll, self.w.planes
        if roll.count == 1:
            return 0
        for n in range(roll.first, roll.first + roll.period):
            now, then = self.steps[n], self.steps[n + roll.period]
            if source and now.source is not None and then.source is not None:
                return (then.source - now.source) * planes.source[0]
            if not source and now.opens:
                places = self.walk.targets
                return (places[then.opens[0]] - places[now.opens[0]]) * planes.target[0]
        return 0

    def write(self) -> None:
        """Writes the strip; the pointers are at their entries."""
        w, f, count = self.w, self.w.f, self.roll.count
        write_straight(f, self.head)
        if count > 1:
            for cursor, at in self.loop.entries.items():
                cursor.move(cursor.origin + at, w.count)
            inside = self.loop.write(f)
            if len(inside.nodes) > _MOST_LOOP:
                raise OutOfRegisters
            f.code.constant(w.count, count)
            f.code.loop(0, w.count, count, inside)
            for cursor in self.loop.entries:
                cursor.position += count * self.loop.advances[cursor]
        write_straight(f, self.tail)

    def _slot(self, target: int) -> list[str]:
        """Registers of an open target."""
        width = len(self.across.targets)
        first = self.roll.slots[target] * width
        return self.w.slots[first : first + width]

    def _accesses(self, target: int, store: bool) -> list[Operation]:
        down, right = self.w.planes.target
        line = self.walk.targets[target] * down
        return [
            Access(store, register, self.w.target, line + column * right)
            for register, column in zip(self._slot(target), self.across.targets, strict=True)
        ]

    def _close(self, step: int) -> list[Operation]:
        """Stores the targets that closed in the step before."""
        closed = self.steps[step - 1].closes if step else ()
        if self.w.planes.weights:
            return []
        registers = [register for target in closed for register in self._slot(target)]
        found: list[Operation] = []
        for name, bound in (("fmax.s", self.w.lo), ("fmin.s", self.w.hi)):
            if bound:
                found += [Instruction(name, (r, r, bound)) for r in registers]
        for target in closed:
            found += self._accesses(target, True)
        return found

    def _open(self, step: int) -> tuple[list[Operation], list[Operation], set[str]]:
        """First values of targets: at once, sums that can wait, and registers without a value."""
        w, here = self.w, self.steps[step]
        registers = [register for target in here.opens for register in self._slot(target)]
        if w.planes.weights or w.planes.result.kind == "add":
            loads = [op for target in here.opens for op in self._accesses(target, False)]
            sums = registers if w.planes.weights and w.planes.result.sums else []
            return loads, [Instruction("fadd.s", (w.extra, w.extra, r)) for r in sums], set()
        met = {column for meets in self.across.meets for column, _ in meets}
        if here.source is None:
            met = set()
        unmet = [
            register
            for target in here.opens
            for column, register in enumerate(self._slot(target))
            if column not in met
        ]
        if w.extra:
            first = [Instruction(w.f.move, (register, w.extra)) for register in unmet]
        else:
            zero = "fmv.w.x" if w.core.float_registers else "mv"
            first = [Instruction(zero, (register, "x0")) for register in unmet]
        return list(first), [], set(registers) - set(unmet)

    def _operations(self, steps: range) -> list[Operation]:
        return [op for step in steps for op in self._step(step)]

    def _step(self, number: int) -> list[Operation]:
        """One source of the walk: stores what closed, and multiplies the sources of the strip.

        The loads of two sources come first, so that nothing waits for them.
        """
        w, step = self.w, self.steps[number]
        loads: list[Operation] = []
        if step.source is not None:
            down, right = w.planes.source
            loads = [
                Access(False, w.values[n % len(w.values)], w.source, step.source * down + at * right)
                for n, at in enumerate(self.across.sources)
            ]
        opened, waiting, fresh = self._open(number)
        found = [*loads[:2], *self._close(number), *opened]
        for n in range(len(loads)):
            if n:
                found += loads[n + 1 : n + 2]
            for target, t in step.meets:
                for column, u in self.across.meets[n]:
                    slot, value = self._slot(target)[column], w.values[n % len(w.values)]
                    found.append(self._multiply(slot, value, (t, u), fresh))
                    if waiting and column % 2 == 0:
                        found.append(waiting.pop(0))
        return [*found, *waiting]

    def _multiply(self, slot: str, value: str, tap: Pair, fresh: set[str]) -> Instruction:
        w = self.w
        weight = w.taps[tap]
        if w.planes.weights:
            return Instruction("fmadd.s", (weight, value, slot, weight))
        if slot not in fresh:
            return Instruction("fmadd.s", (slot, value, weight, slot))
        fresh.remove(slot)
        if w.extra:
            return Instruction("fmadd.s", (slot, value, weight, w.extra))
        return Instruction("fmul.s", (slot, value, weight))
