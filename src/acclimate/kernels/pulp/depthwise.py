# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution of planes: rows roll through registers, each source is loaded once a strip.

A strip of a plane is as wide as the registers allow. The kernel walks along it, source by source.
What is open, a target that has met some of its sources but not all, lies in registers: sums of
outputs, or, for the gradient of the weights, pixels of dy while the taps are the sums. The walk
repeats itself after a few steps, which become the body of a hardware loop; padding shows only as
steps with fewer products before and after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import inf

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.depthwise_axis import roll_of
from acclimate.kernels.pulp.depthwise_cursor import Cursor
from acclimate.kernels.pulp.depthwise_strip import Frame, Pair, Run, Strip
from acclimate.kernels.pulp.function import Function, OutOfRegisters
from acclimate.kernels.pulp.isa import Node
from acclimate.kernels.pulp.result import Result, ResultWriter, bits
from acclimate.kernels.pulp.timing import Timing

_WORD = 4
_LEAST_TO_WRITE = 6  # registers of a ResultWriter: two addresses, rate, decay, and two values


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
        return f"depthwise convolution: {what}, {b - a}x{d - c} taps, {len(self.runs)} strip forms"

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
    counts = {"channel": 0, "sample": planes.samples}
    for number, run in enumerate(planes.runs):
        counts |= {f"outer{number}": run.outer[0], f"inner{number}": run.inner[0]}
    timing = Timing.of(planes.write(core), core, counts.keys())
    fixed = timing.cycles(counts)
    once = timing.cycles({**counts, "channel": 1})
    return fixed, once - fixed


class _Writer:
    def __init__(self, planes: Planes, core: Core) -> None:
        self.planes, self.core = planes, core
        self.f = f = Function(planes.arguments, core)
        source, target = Cursor(f, self.spare), Cursor(f, self.spare)
        (a, b), (c, d), _ = planes.taps
        taps = {(t, u): f.real() for t in range(a, b) for u in range(c, d)}
        most = max((roll_of(r.walk).depth * len(r.across.targets) for r in planes.runs), default=1)
        slots = f.reals(most)
        wide = any(len(run.across.sources) > 1 for run in planes.runs)
        values = f.reals(2 if wide else 1)
        result = planes.result
        extra = f.real() if result.bias or result.sums else ""
        # Between strips the values and the slots are free.
        self.count, self.far = (
            (f.integer(), f.integer()) if core.float_registers else (values[0], slots[0])
        )
        self.frame = Frame(
            f, source, target, taps, slots, values, extra,
            [], self.count, planes.weights, result.kind == "add", planes.source, planes.target,
        )  # fmt: skip
        self.bounds = [("fmax.s", result.lo), ("fmin.s", result.hi)]
        self.between = ""
        self.homes: dict[str, str] = {}

    def spare(self) -> str:
        """A register for long steps inside a strip."""
        if self.core.float_registers:
            return self.far
        self.between = self.between or self.f.integer()
        return self.between

    def write(self) -> list[Node]:
        f, planes, frame = self.f, self.planes, self.frame
        cursors = (frame.source, frame.target)
        for cursor, name in zip(cursors, ("source", "target"), strict=True):
            f.fetch(cursor.register, name)
        self._clamp()
        self._settle()
        if planes.weights:
            free = [*frame.slots, *frame.values, *frame.taps.values(), *f.floats]
            planes.result.prepare(f, self.count, [r for r in free if r != self.count])
        strips = self._strips()
        f.code.label("channel")
        self._begin(strips[0].unset if strips else set(frame.taps.values()))
        self._samples(strips)
        for cursor, step in zip(cursors, planes.channel[:2], strict=True):
            cursor.move(step, self.far)
            cursor.position = 0
        if planes.weights:
            self._write_weights()
        self._again("channel", "channels")
        return f.finish()

    def _clamp(self) -> None:
        """Registers that hold the bounds."""
        for name, limit in self.bounds:
            if abs(limit) == inf:
                continue
            register = "x0"
            if limit or self.core.float_registers:
                register = self.f.real()
                self.f.constant(register, bits(limit), self.count)
            self.frame.bounds.append((name, register))

    def _settle(self) -> None:
        """Gives counts and pointers registers as long as there are any; the others have slots."""
        f = self.f
        names = ["channels"] if self.planes.weights else ["channels", "w", "bias"]
        if self.planes.samples > 1:
            names.insert(0, "samples")
        for name in ("outer_left", "inner_left"):
            if any((r.outer, r.inner)[name[0] == "i"][0] > 1 for r in self.planes.runs):
                names.insert(0, name)
        for name in names:
            if len(f.integers) > 1:  # the last one may be needed for long steps
                self.homes[name] = f.integer()
                if name in self.planes.arguments:
                    f.fetch(self.homes[name], name)

    def _at(self, name: str, register: str) -> str:
        """The home of a value, or `register` after it was fetched from its slot."""
        if name not in self.homes:
            self.f.fetch(register, name)
        return self.homes.get(name, register)

    def _keep(self, name: str, register: str) -> None:
        """Puts a value that `_at` gave back into its slot."""
        if name not in self.homes:
            self.f.keep(register, name)

    def _times(self, name: str, count: int) -> None:
        """Sets a count."""
        register = self.homes.get(name, self.count)
        self.f.code.constant(register, count)
        self._keep(name, register)

    def _again(self, label: str, name: str) -> None:
        """Jumps back while a count is not used up."""
        register = self._at(name, self.count)
        self.f.code("addi", register, register, -1)
        self._keep(name, register)
        self.f.code("bnez", register, f"@{label}")

    def _strips(self) -> list[Strip]:
        """The code of all strips. The first products set the sums of weights where they can."""
        planes, frame = self.planes, self.frame
        sums = set(frame.taps.values()) if planes.weights else set()
        once = bool(planes.runs) and planes.runs[0].once and planes.samples == 1
        frame.fresh = set(sums) if once else set()
        strips = [Strip(frame, run) for run in planes.runs]
        if strips and not once:
            strips[0].unset = sums
        return strips

    def _begin(self, unset: set[str]) -> None:
        """The weights of a channel, or sums that are zero."""
        f, planes, frame = self.f, self.planes, self.frame
        if planes.weights:
            sums = [r for r in frame.taps.values() if r in unset]
            f.code.nodes += [frame.zero(r) for r in [*sums, *([frame.extra] * bool(frame.extra))]]
            return
        at = self._at("w", self.count)
        if frame.extra:
            bias = self._at("bias", self.far)
            f.code(f.load, frame.extra, 0, bias)
            f.code("addi", bias, bias, _WORD)
            self._keep("bias", bias)
        for tap, register in frame.taps.items():
            f.code(f.load, register, self._tap(*tap), at)
        f.code.add(at, planes.channel[2], self.far)
        self._keep("w", at)

    def _tap(self, t: int, u: int) -> int:
        """Byte offset of a tap."""
        down, right = self.planes.taps[2]
        return t * down + u * right

    def _samples(self, strips: list[Strip]) -> None:
        """The planes of a channel."""
        planes = self.planes
        if planes.samples > 1:
            self._times("samples", planes.samples)
            self.f.code.label("sample")
        for number, (run, strip) in enumerate(zip(planes.runs, strips, strict=True)):
            self._run(run, strip, number)
        if planes.samples > 1:
            cursors = (self.frame.source, self.frame.target)
            for cursor, step in zip(cursors, planes.sample, strict=True):
                cursor.move(step, self.far)
                cursor.position = step * planes.samples
            self._again("sample", "samples")

    def _run(self, run: Run, strip: Strip, number: int) -> None:
        """Strip after strip."""
        f, cursors = self.f, (self.frame.source, self.frame.target)
        for cursor, at in zip(cursors, run.at, strict=True):
            cursor.origin = at
            cursor.move(at + strip.entry(cursor), self.far)
        first = [cursor.position for cursor in cursors]
        loops = [("inner", *run.inner), ("outer", *run.outer)]
        for name, count, _ in loops[::-1]:
            if count > 1:
                self._times(f"{name}_left", count)
                f.code.label(f"{name}{number}")
        strip.write()
        # Positions are those of the first turn; what the loops have added shows when they end.
        for name, count, steps in loops:
            if count == 1:
                continue
            for n, cursor in enumerate(cursors):
                cursor.move(first[n] + steps[n], self.far)
                cursor.position = first[n] + steps[n] * count
            self._again(f"{name}{number}", f"{name}_left")

    def _write_weights(self) -> None:
        f, planes, frame = self.f, self.planes, self.frame
        reals = [*frame.slots, *frame.values, *f.floats]
        integers = [self.count, self.far] if self.core.float_registers else reals
        if len(reals) < _LEAST_TO_WRITE:
            raise OutOfRegisters
        at, far = integers[:2]
        f.fetch(at, "w")
        ResultWriter(f, planes.result, at, far, reals).write(
            [(register, self._tap(*tap)) for tap, register in frame.taps.items()]
        )
        steps = [("w", planes.channel[2])]
        if planes.result.sums:
            f.fetch(at, "bias")
            ResultWriter(f, planes.result, at, far, reals).write([(frame.extra, 0)])
            steps.append(("bias", _WORD))
        for name, step in steps:
            f.fetch(self.count, name)
            f.code.add(self.count, step, self.far)
            f.keep(self.count, name)
