# SPDX-License-Identifier: Apache-2.0
"""Blocks of a contraction: c[i][j] = sum over t of a[i, t] * b[j, t], in registers.

One generator writes matrix products, pointwise and other convolutions and their gradients: what
differs is where the operands lie. Addresses are a sum of three parts, of the row (or column), of
the tap, and of the loops over taps; each part is a list of byte offsets that is known when the code
is written. A block of R rows and C columns keeps its R C sums, R values of a and two of b in
registers: R C of R C + R + C issue slots are multiply-accumulates, since a tap loads R + C values.

Sources: register blocks as in PULP-TrainLib (Nadalini et al., SAMOS 2022); post-increments and
hardware loops as in RI5CY (Gautschi et al., IEEE TVLSI 25(10), 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.function import Function, OutOfRegisters
from acclimate.kernels.pulp.isa import IMMEDIATE, Code, Node, size
from acclimate.kernels.pulp.pointers import Offsets, Pointers, Taps
from acclimate.kernels.pulp.result import Result, ResultWriter

ARGUMENTS = ("a", "b", "c", "bias", "rows", "outer", "inner", "start", "rate")
_MOST_INSTRUCTIONS = 1500  # of one body


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

    @property
    def nested(self) -> bool:
        """True if two hardware loops surround the body."""
        return len(self.taps.loops) == 2

    def write(self, core: Core) -> list[Node]:
        """The function.

        Raises:
            OutOfRegisters: the block is too large for the core, or its operands too far apart.
        """
        return _Writer(self, core).write()


class _Writer:
    def __init__(self, block: Block, core: Core) -> None:
        self.block, self.core = block, core
        taps = block.taps
        _, step_a, step_b = taps.loops[0]
        indexed = not core.float_registers
        self.a = Pointers(block.rows, taps.a, step_a, indexed)
        self.b = Pointers(block.columns, taps.b, step_b if block.columns else 0, indexed)
        self.f = f = Function(ARGUMENTS, core)
        self.at_a = [f.integer() for _ in self.a.groups]
        self.at_b = [f.integer() for _ in self.b.groups]
        # Registers for steps that no immediate holds; float loads have no post-increment at all.
        far = {step for step in (self.a.step, self.b.step) if step not in IMMEDIATE}
        far |= {pointers.far for pointers in (self.a, self.b) if pointers.far}
        self.steps = {step: f.integer() for step in sorted(far)}
        self.sums = [f.reals(len(block.columns)) for _ in block.rows]
        self.row_sums = f.reals(len(block.rows)) if block.result.sums else []
        self.values_a = f.reals(len(block.rows))
        self.values_b = f.reals(min(2, len(block.columns)))
        # Two registers that are free between bodies.
        spare = [] if core.float_registers else [*self.values_b, *self.values_a][:2]
        self.count, self.other = (spare + [f.integer() for _ in range(2 - len(spare))])[:2]

    def write(self) -> list[Node]:
        f, walk = self.f, self.block.walk
        self._prologue()
        f.code.label("row")
        with_bias = self.block.result.bias or self.block.result.sums
        columns = ("b", "c", "bias") if with_bias else ("b", "c")
        self._copy(columns, "", "_at")
        if any(walk.outer):
            self._copy(("outer",), "", "_left")
            f.code.label("outer")
            self._copy(columns, "_at", "_outer")
        if any(walk.inner):
            self._copy(("inner",), "", "_left")
            f.code.label("inner")
        self._block()
        if any(walk.inner):
            self._advance("inner", [f"{name}_at" for name in columns], walk.inner)
        if any(walk.outer):
            self._copy(columns, "_outer", "_at")
            self._advance("outer", [f"{name}_at" for name in columns], walk.outer)
        self._advance("row", ["a", *columns[1:]], walk.rows)
        return f.finish()

    def _prologue(self) -> None:
        """Moves a and b to where the sum begins, and prepares the rate."""
        f, block = self.f, self.block
        busy = {self.count, self.other}
        every = [*self.row_sums, *chain(*self.sums), *self.values_a, *self.values_b, *f.floats]
        block.result.prepare(f, self.count, [name for name in every if name not in busy])
        x, y = self.count, self.other
        steps = block.taps.loops[-1][1:]
        for name, pointers, step in zip("ab", (self.a, self.b), steps, strict=True):
            if not pointers.groups or not (block.rotates or pointers.groups[0][0]):
                continue
            f.fetch(y, name)
            if block.rotates:
                f.fetch(x, "start")
                f.code.constant(self.at_a[0], step)
                f.code("mul", x, x, self.at_a[0])
                f.code("add", y, y, x)
            f.code.add(y, pointers.groups[0][0], x)
            f.keep(y, name)
        for step, register in self.steps.items():
            f.code.constant(register, step)

    def _copy(self, names: Sequence[str], ending: str, new: str) -> None:
        """Copies slots; all are fetched before the first is kept, so that no load is waited for."""
        registers = self._free()
        for register, name in zip(registers, names, strict=False):
            self.f.fetch(register, f"{name}{ending}")
        for register, name in zip(registers, names, strict=False):
            self.f.keep(register, f"{name}{new}")

    def _free(self) -> list[str]:
        """Registers for addresses and counts that are free between blocks."""
        if self.core.float_registers:
            return [*self.at_a, *self.at_b, self.count, self.other, *self.f.integers]
        return [*self.at_a, *self.at_b, *self.values_a, *self.values_b, *self.f.integers]

    def _advance(self, loop: str, slots: Sequence[str], steps: tuple[int, int, int]) -> None:
        """Pointers in their slots to the next block; jumps back while there is one."""
        f, (left, far, *free) = self.f, self._free()
        moved = [(name, step) for name, step in zip(slots, steps, strict=False) if step]
        count = {"inner": "inner_left", "outer": "outer_left", "row": "rows"}[loop]
        f.fetch(left, count)
        for register, (name, _) in zip(free, moved, strict=False):
            f.fetch(register, name)
        f.code("addi", left, left, -1)
        for register, (_, step) in zip(free, moved, strict=False):
            f.code.add(register, step, far)
        for register, (name, _) in zip(free, moved, strict=False):
            f.keep(register, name)
        f.keep(left, count)
        f.code("bnez", left, f"@{loop}")

    def _block(self) -> None:
        """One block: pointers, sums, result."""
        f, result = self.f, self.block.result
        if result.bias:
            f.fetch(self.count, "bias_at")
        self._point()
        peeled = bool(self.block.columns) and self._copies_are_small()
        self.last = self.b.order[-1] if self.block.columns else 0
        result.start(f, self.sums, self.row_sums, self.count, peeled, self.last)
        if self.block.rotates:
            self._rotated(peeled)
        else:
            self._straight(peeled)
        self._results()

    def _results(self) -> None:
        block = self.block
        integers = [*self.at_a, *self.at_b, *self.f.integers]
        reals = [*self.values_a, *self.values_b]
        if self.core.float_registers:
            integers += [self.count, self.other]
            reals += self.f.floats
        else:
            integers = reals = integers + reals
        writer = ResultWriter(self.f, block.result, integers, reals)
        writer.clamp([register for row in self.sums for register in row])
        writer.write(
            [
                (register, row + column)
                for registers, row in zip(self.sums, block.c_rows, strict=True)
                for register, column in zip(registers, block.c_columns, strict=True)
            ],
            "c_at",
        )
        if self.row_sums:
            writer.write([(r, 4 * n) for n, r in enumerate(self.row_sums)], "bias_at")

    def _point(self) -> None:
        """Pointers to the block; the slots hold the address of the first of each operand."""
        walkers = ((self.at_a, self.a, "a"), (self.at_b, self.b, "b_at"))
        for registers, _, name in walkers:
            for register in registers:
                self.f.fetch(register, name)
        for registers, pointers, _ in walkers:
            for register, (base, _) in zip(registers, pointers.groups, strict=True):
                self.f.code.add(register, base - pointers.groups[0][0], self.other)

    def _copies_are_small(self) -> bool:
        """True if a second copy of the body, for the first tap, is worth its size."""
        return not self.block.nested and len(self.block.taps.a) * len(self.block.rows) <= 40

    def _straight(self, peeled: bool) -> None:
        count = self.block.taps.loops[-1][0]
        if peeled:
            self.f.code.extend(self._body(True))
            count -= 1
        if count:
            self.f.code.constant(self.count, count)
            self._around(self.f.code, count)

    def _rotated(self, peeled: bool) -> None:
        """From `start` to the end, then from the beginning to `start`."""
        f, loop = self.f, self.block.taps.loops[-1]
        if peeled:
            f.code.extend(self._body(True))
        f.fetch(self.other, "start")
        f.keep(self.other, "start_left")
        f.code.constant(self.count, loop[0] - int(peeled))
        f.code("sub", self.count, self.count, self.other)
        f.code.label("part")
        f.code("beqz", self.count, "@rest")
        self._around(f.code, loop[0] - int(peeled))
        f.code.label("rest")
        f.fetch(self.count, "start_left")
        f.code("beqz", self.count, "@done")
        f.keep("x0", "start_left")
        for register, step in self._ends(loop):
            f.code.add(register, -loop[0] * step, self.other)
        f.code("j", "@part")
        f.code.label("done")

    def _ends(self, loop: tuple[int, int, int]) -> list[tuple[str, int]]:
        """Every pointer with its step in a loop."""
        _, step_a, step_b = loop
        return [(r, step_a) for r in self.at_a] + [(r, step_b) for r in self.at_b]

    def _around(self, code: Code, count: int) -> None:
        """The loops over taps; `self.count` holds how often the outermost runs."""
        if not self.block.nested:
            code.loop(0, self.count, count, self._body(False))
            return
        inner, outer = self.block.taps.loops
        body = Code()
        body.constant(self.count, inner[0])
        body.loop(0, self.count, inner[0], self._body(False))
        rest = Code()
        for (register, step), (_, whole) in zip(self._ends(inner), self._ends(outer), strict=True):
            rest.add(register, whole - inner[0] * step, self.other)
        while size(rest.nodes) < 2:  # loops may not end together
            rest("nop")
        body.extend(rest)
        code.loop(1, self.count, count, body)

    def _body(self, first: bool) -> Code:
        """All taps once."""
        code = Code()
        for tap in range(len(self.block.taps.a)):
            self._tap(code, tap, first and tap == 0)
        if self.core.float_registers:
            for register, step in self._ends(self.block.taps.loops[0]):
                if step in self.steps:
                    code("add", register, register, self.steps[step])
                elif step:
                    code("addi", register, register, step)
        if size(code.nodes) > _MOST_INSTRUCTIONS:
            raise OutOfRegisters
        return code

    def _load(self, code: Code, register: str, pointers: Pointers, line: int, tap: int) -> None:
        access = pointers.place(line, tap)
        at = (self.at_a if pointers is self.a else self.at_b)[access.pointer]
        if access.far:
            code("lw+r", register, at, self.steps[pointers.far])
        elif not access.moves or self.core.float_registers:
            code(self.f.load, register, access.offset, at)
        elif pointers.step in self.steps:
            code("lw!r", register, at, self.steps[pointers.step])
        else:
            code("lw!", register, at, pointers.step)

    def _tap(self, code: Code, tap: int, first: bool) -> None:
        """One tap: the loads of b lie between the products, so that none waits for its load."""
        rows, columns, registers = self.a.order, self.b.order, self.values_b

        def load_b(position: int) -> None:
            if position < len(columns):
                self._load(code, registers[position % 2], self.b, columns[position], tap)

        if len(rows) > 1:
            load_b(0)
        for row in rows:
            self._load(code, self.values_a[row], self.a, row, tap)
        if len(rows) == 1:
            load_b(0)
            load_b(1)
        result = self.block.result
        for row in rows if self.row_sums else []:
            code("fadd.s", self.row_sums[row], self.row_sums[row], self.values_a[row])
        for position, column in enumerate(columns):
            for number, row in enumerate(rows):
                total, a, b = self.sums[row][column], self.values_a[row], registers[position % 2]
                result.multiply(code, total, a, b, first, self.sums[row][self.last])
                if number == 0:
                    load_b(position + (2 if len(rows) == 1 else 1))
