# SPDX-License-Identifier: Apache-2.0
"""Blocks of a contraction: c[i][j] = sum over t of a[i, t] * b[j, t], in registers.

One generator writes matrix products, pointwise and other convolutions and their gradients: what
differs is where the operands lie. Addresses are a sum of three parts, of the row (or column), of
the tap, and of the loops over taps; each part is a list of byte offsets that is known when the code
is written. A block of R rows and C columns keeps its R C sums, R values of a and two of b in
registers: R C of R C + R + C issue slots are multiply-accumulates, since a tap loads R + C values.
From block to block the pointers stay in registers, and a hardware loop does the counting where the
terms of a sum need but one.

Sources: register blocks as in PULP-TrainLib (Nadalini et al., SAMOS 2022); post-increments and
hardware loops as in RI5CY (Gautschi et al., IEEE TVLSI 25(10), 2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.function import Function, OutOfRegisters
from acclimate.kernels.pulp.isa import IMMEDIATE, Node
from acclimate.kernels.pulp.pointers import Offsets, Taps
from acclimate.kernels.pulp.result import Result, ResultWriter
from acclimate.kernels.pulp.summation import Summation

ARGUMENTS = ("a", "b", "c", "bias", "rows", "outer", "inner", "start", "rate")


@dataclass(frozen=True)
class Walk:
    """Bytes from one block to the next along the rows, and along two loops over columns.

    Args:
        rows: steps of a, c and the bias.
        outer: steps of b, c and the bias.
        inner: steps of b, c and the bias.
    """

    rows: tuple[int, int, int]
    outer: tuple[int, int, int] = (0, 0, 0)
    inner: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class Block:
    """A kernel: blocks of one form, walked over rows and columns.

    Args:
        rows: byte offsets of a per row.
        columns: byte offsets of b per column.
        c_rows: byte offsets of c per row.
        c_columns: byte offsets of c per column.
        taps: the terms of the sums.
        result: what becomes of the sums.
        walk: from block to block.
        rotates: the sum begins at tap loop number `start` and goes round: cores that start apart
            meet different banks.
    """

    rows: Offsets
    columns: Offsets
    c_rows: Offsets
    c_columns: Offsets
    taps: Taps
    result: Result
    walk: Walk
    rotates: bool = False

    @property
    def title(self) -> str:
        """One line that says what it computes."""
        size = f"{len(self.rows)}x{len(self.columns)}"
        return f"block of {size} sums of {self.taps.count} products"

    @property
    def prototype(self) -> str:
        """Its C parameters."""
        return (
            "const float *a, const float *b, float *c, {const}float *bias, int32_t rows, "
            "int32_t outer, int32_t inner, int32_t start, const float *rate"
        ).replace("{const}", "" if self.result.sums else "const ")

    def write(self, core: Core) -> list[Node]:
        """The function.

        Raises:
            OutOfRegisters: the block is too large for the core, or its operands too far apart.
        """
        return _Writer(self, core).write()


@dataclass(frozen=True)
class _Loop:
    """A loop over blocks.

    Args:
        name: of its label.
        count: the argument that says how often.
        steps: bytes that operands move by, by their names.
    """

    name: str
    count: str
    steps: Mapping[str, int]


class _Writer:
    """Writes a block: loops keep pointers in stack slots, the innermost one in registers.

    `places` has the slot of an operand. What every block needs of c, the bias, the rate and the
    count of a loop in software is held in registers as far as there are any left.
    """

    def __init__(self, block: Block, core: Core) -> None:
        self.block, self.result = block, block.result
        self.f = f = Function(ARGUMENTS, core)
        self.sum = Summation(f, block.rows, block.columns, block.taps, block.result, block.rotates)
        self.results = {
            "c": [
                (register, row + column)
                for registers, row in zip(self.sum.sums, block.c_rows, strict=True)
                for register, column in zip(registers, block.c_columns, strict=True)
            ],
            "bias": [(register, 4 * n) for n, register in enumerate(self.sum.row_sums)],
        }
        walk = block.walk
        every = [
            _Loop("row", "rows", self._steps("a", walk.rows)),
            _Loop("outer", "outer", self._steps("b", walk.outer)),
            _Loop("inner", "inner", self._steps("b", walk.inner)),
        ]
        self.loops = [loop for loop in every if loop.steps]
        self.last = self.loops[-1] if self.loops else _Loop("", "", {})
        self.in_hardware = not (self.sum.nested or block.rotates)
        self.places = {name: name for name in ("a", "b", "c", "bias")}
        self.held = {name: f.spare() for name in ("c",) if self.results["c"]}
        step = self.result.kind == "step" and block.columns
        self.rate = f.spare(real=True) if step else ""
        if self.result.bias or self.result.sums:
            self.held["bias"] = f.spare()
        if self.loops and not self.in_hardware:
            self.held["left"] = f.spare()
        self.far = {move: f.spare() for move in sorted(self._far_moves())}

    def _steps(self, operand: str, steps: tuple[int, int, int]) -> dict[str, int]:
        """Bytes by operand, without those that stay and those that there are not."""
        there = {operand} | {name for name in ("c", "bias") if self.results[name]}
        if self.result.bias:
            there.add("bias")
        moves = dict(zip((operand, "c", "bias"), steps, strict=True))
        return {name: step for name, step in moves.items() if step and name in there}

    def write(self) -> list[Node]:
        """The function."""
        self._prologue()
        opened = []
        for loop in self.loops[:-1]:
            self._enter(loop, (*loop.steps, "left"))
            opened.append((loop, dict(self.places)))
            self.f.code.label(loop.name)
        self._blocks()
        for loop, places in reversed(opened):
            self._advance(loop, places)
        return self.f.finish()

    def _prologue(self) -> None:
        """Moves a and b to where the sum begins, and prepares the rate and far steps."""
        f, block = self.f, self.block
        self.result.prepare(f, self.sum.count, self.sum.registers())
        if self.rate:
            f.code(f.load, self.rate, f.slot("negative"), "sp")
        x, y = self.sum.count, self.sum.other
        steps = block.taps.loops[-1][1:]
        for name, pointers, step in zip("ab", (self.sum.a, self.sum.b), steps, strict=True):
            if not pointers.groups or not (block.rotates or pointers.groups[0][0]):
                continue
            f.fetch(y, name)
            if block.rotates:
                f.fetch(x, "start")
                f.code.constant(self.sum.at_a[0], step)
                f.code("mul", x, x, self.sum.at_a[0])
                f.code("add", y, y, x)
            f.code.add(y, pointers.groups[0][0], x)
            f.keep(y, name)
        for move, register in (self.sum.steps | self.far).items():
            if register:
                f.code.constant(register, move)

    def _idle(self, least: int) -> list[str]:
        """Registers for addresses and counts that are free between walks."""
        held = filter(None, self.held.values())
        idle = [*self.sum.at_a, *self.sum.at_b, *held, *self.sum.idle, *self.f.integers]
        if len(idle) < least:
            raise OutOfRegisters
        return idle

    def _enter(self, loop: _Loop, names: Sequence[str]) -> None:
        """Copies what a loop moves to slots of its own, unless it is the first, which may spoil
        its arguments. All are fetched before the first is kept, so that no load is waited for."""
        self.places["left"] = loop.count
        if loop is self.loops[0]:
            return
        pairs = [*zip(self._idle(len(names)), names, strict=False)]
        for register, name in pairs:
            self.f.fetch(register, self.places[name])
        for register, name in pairs:
            self.places[name] = f"{name}_{loop.name}"
            self.f.keep(register, self.places[name])

    def _advance(self, loop: _Loop, places: Mapping[str, str]) -> None:
        """Pointers in their slots to the next walk; jumps back while there is one."""
        f, (left, far, *free) = self.f, self._idle(2 + len(loop.steps))
        moved = [*zip(free, loop.steps.items(), strict=False)]
        f.fetch(left, places["left"])
        for register, (name, _) in moved:
            f.fetch(register, places[name])
        f.code("addi", left, left, -1)
        for register, (_, step) in moved:
            f.code.add(register, step, far)
        for register, (name, _) in moved:
            f.keep(register, places[name])
        f.keep(left, places["left"])
        f.code("bnez", left, f"@{loop.name}")

    def _blocks(self) -> None:
        """The innermost loop."""
        f, loop = self.f, self.last
        if self.loops:
            moved = [name for name in (*loop.steps, "left") if self.held.get(name) == ""]
            self._enter(loop, moved)
        self._point("a")
        self._point("b")
        for name, register in self.held.items():
            if register:
                f.fetch(register, self.places[name])
        with f.aside() as body:
            moved_by = self._block()
            if self.loops:
                self._next(moved_by)
        if not self.loops:
            f.code.extend(body)
        elif self.in_hardware:
            f.fetch(self.sum.count, loop.count)
            f.code.loop(1, self.sum.count, None, body, loop.name)
        else:
            f.code.label(loop.name)
            f.code.extend(body)
            f.code("bnez", self._step("left", -1), f"@{loop.name}")

    def _point(self, name: str) -> None:
        """Pointers of an operand to the block that its slot is at."""
        pointers, registers = (
            (self.sum.a, self.sum.at_a) if name == "a" else (self.sum.b, self.sum.at_b)
        )
        for register in registers:
            self.f.fetch(register, self.places[name])
        for register, (base, _) in zip(registers, pointers.groups, strict=True):
            self.f.code.add(register, base - pointers.groups[0][0], self.sum.other)

    def _moves(self) -> list[tuple[str, list[str], int]]:
        """What brings the pointers of a and b from the end of a block to the next one."""
        gone = self.sum.moved
        return [
            (name, registers, self.last.steps.get(name, 0) - passed)
            for name, registers, passed in zip(
                "ab", (self.sum.at_a, self.sum.at_b), gone, strict=True
            )
            if registers
        ]

    def _far_moves(self) -> set[int]:
        """Those that no immediate holds and no slot spares."""
        moves = {move for name, _, move in self._moves() if name in self.last.steps}
        return {move for move in moves if move not in IMMEDIATE} - set(self.sum.steps)

    def _next(self, moved_by: Mapping[str, int]) -> None:
        """Pointers to the next block, given how far held ones have been moved."""
        f, far = self.f, self.sum.other
        known = self.far | self.sum.steps
        for name, registers, move in self._moves():
            if move in IMMEDIATE:
                for register in registers:
                    f.code.add(register, move, far)
            elif name not in self.last.steps:
                self._point(name)
            else:
                by = known[move] or far
                if by == far:
                    f.code.constant(far, move)
                for register in registers:
                    f.code("add", register, register, by)
        for name in ("c", "bias"):
            if name in self.held:
                self._step(name, self.last.steps.get(name, 0) - moved_by.get(name, 0))

    def _step(self, name: str, by: int) -> str:
        """Moves a pointer or a count in its register or slot; the register that it is in then."""
        f, far = self.f, self.sum.other
        register = self.held[name] or self.sum.count
        if by and not self.held[name]:
            f.fetch(register, self.places[name])
        f.code.add(register, by, far)
        if by and not self.held[name]:
            f.keep(register, self.places[name])
        return register

    def _block(self) -> dict[str, int]:
        """One block; bytes by which pointers in registers have been moved."""
        f, passed = self.f, dict.fromkeys(("c", "bias"), 0)
        if self.result.begins:
            for name, places in self.results.items():
                if places:
                    writer = self._writer(name, passed)
                    writer.load(places)
                    passed[name] = writer.passed
        else:
            at = self.held.get("bias") or self.sum.count
            if self.result.bias and not self.held["bias"]:
                f.fetch(at, self.places["bias"])
            self.result.start(
                f, self.sum.sums, self.sum.row_sums, at, self.sum.peeled, self.sum.last
            )
        self.sum.write()
        for name, places in self.results.items():
            if places:
                writer = self._writer(name, passed)
                if name == "c":
                    writer.clamp([register for register, _ in places])
                (writer.store if self.result.begins else writer.write)(places)
                passed[name] = writer.passed
        return {name: moved for name, moved in passed.items() if self.held.get(name)}

    def _writer(self, name: str, passed: Mapping[str, int]) -> ResultWriter:
        """For results at an operand, whose pointer is fetched where no register holds it."""
        at = self.held[name] or self.sum.count
        if not self.held[name]:
            self.f.fetch(at, self.places[name])
        reals = [*self.sum.values, *self.f.floats]
        before = passed[name] if self.held[name] else 0
        return ResultWriter(self.f, self.result, at, self.sum.other, reals, self.rate, before)
