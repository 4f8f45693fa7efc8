# SPDX-License-Identifier: Apache-2.0
"""The sums of a block: registers, pointers, and the loops over the terms."""

from __future__ import annotations

from collections.abc import Sequence

from acclimate.kernels.pulp.function import Function, OutOfRegisters
from acclimate.kernels.pulp.isa import IMMEDIATE, Code, size
from acclimate.kernels.pulp.pointers import Offsets, Pointers, Taps
from acclimate.kernels.pulp.requantize import BYTE_INSTRUCTIONS
from acclimate.kernels.pulp.result import Result

_MOST_INSTRUCTIONS = 1500  # of one body
_INSTRUCTION_BYTES = 4
_AROUND = 16  # instructions of a block of bytes beside those of its sums


class Summation:
    """Registers of one block, and the code that sums.

    Args:
        f: the function.
        rows: byte offsets of a per row.
        columns: byte offsets of b per column.
        taps: the terms.
        result: what the sums begin with.
        rotates: the sum begins at tap loop number `start` and goes round.
    """

    def __init__(
        self,
        f: Function,
        rows: Offsets,
        columns: Offsets,
        taps: Taps,
        result: Result,
        rotates: bool,
    ) -> None:
        self.f, self.taps, self.result, self.rotates = f, taps, result, rotates
        _, step_a, step_b = taps.loops[0]
        self.float_registers = f.core.float_registers
        indexed = not self.float_registers
        self.a = Pointers(rows, taps.a, step_a, indexed)
        self.b = Pointers(columns, taps.b, step_b if columns else 0, indexed)
        self.at_a = [f.integer() for _ in self.a.groups]
        self.at_b = [f.integer() for _ in self.b.groups]
        # Registers for steps that no immediate holds; float loads have no post-increment at all.
        far = {step for step in (self.a.step, self.b.step) if step not in IMMEDIATE}
        far |= {pointers.far for pointers in (self.a, self.b) if pointers.far}
        self.steps = {step: f.integer() for step in sorted(far)}
        self.sums = [f.reals(len(columns)) for _ in rows]
        self.row_sums = f.reals(len(rows)) if result.sums else []
        self.values_a = f.reals(len(rows))
        self.values_b = f.reals(min(2, len(columns)))
        # Two registers that are free between bodies.
        spare = [] if self.float_registers else [*self.values_b, *self.values_a][:2]
        self.count, self.other = (spare + [f.integer() for _ in range(2 - len(spare))])[:2]
        small = len(taps.loops) == 1 and len(taps.a) * len(rows) <= 40
        small = small and (not result.int8 or self._in_cache(len(rows), len(columns)))
        # A copy of the body for the first tap sets the sums, where it is worth its size.
        self.peeled = bool(columns) and small and not result.begins
        self.last = self.b.order[-1] if columns else 0

    def _in_cache(self, rows: int, columns: int) -> bool:
        """True if a block of bytes with a copy of its body stays in the instruction cache."""
        room = self.f.core.icache_bytes // _INSTRUCTION_BYTES
        body = len(self.taps.a) * (rows * columns + rows + columns)
        copies = 1 if self.taps.loops[0][0] == 1 else 2
        return not room or copies * body + rows * columns * BYTE_INSTRUCTIONS + _AROUND <= room

    @property
    def nested(self) -> bool:
        """True if two hardware loops surround the body."""
        return len(self.taps.loops) == 2

    @property
    def moved(self) -> tuple[int, int]:
        """Bytes by which the pointers of a and b are further on after the last term."""
        count, step_a, step_b = self.taps.loops[-1]
        if self.rotates:
            return 0, 0
        return count * step_a, count * step_b

    @property
    def values(self) -> list[str]:
        """Registers for floats that are free between blocks."""
        return [*self.values_a, *self.values_b]

    @property
    def idle(self) -> list[str]:
        """Registers for integers that are free between blocks."""
        return [self.count, self.other] if self.float_registers else self.values

    def write(self) -> None:
        """All terms; the pointers are at the first, and the sums have begun unless `peeled`."""
        if self.rotates:
            self._rotated()
        else:
            self._straight()

    def _straight(self) -> None:
        count = self.taps.loops[-1][0]
        if self.peeled:
            self.f.code.extend(self._body(True))
            count -= 1
        if count == 1 and not self.nested:
            self.f.code.extend(self._body(False))
        elif count:
            self.f.code.constant(self.count, count)
            self._around(self.f.code, count)

    def _rotated(self) -> None:
        """From `start` to the end, then from the beginning to `start`."""
        f, loop = self.f, self.taps.loops[-1]
        if self.peeled:
            f.code.extend(self._body(True))
        f.fetch(self.other, "start")
        f.keep(self.other, "start_left")
        f.code.constant(self.count, loop[0] - int(self.peeled))
        f.code("sub", self.count, self.count, self.other)
        f.code.label("part")
        f.code("beqz", self.count, "@rest")
        self._around(f.code, loop[0] - int(self.peeled))
        f.code.label("rest")
        f.fetch(self.count, "start_left")
        f.code("blt", self.count, "x0", "@done")
        f.code("addi", self.other, "x0", -1)
        f.keep(self.other, "start_left")
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
        if not self.nested:
            code.loop(0, self.count, count, self._body(False))
            return
        inner, outer = self.taps.loops
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
        for tap in range(len(self.taps.a)):
            self._tap(code, tap, first and tap == 0)
        if self.float_registers:
            for register, step in self._ends(self.taps.loops[0]):
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
        elif not access.moves or self.float_registers:
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
        for row in rows if self.row_sums else []:
            code("fadd.s", self.row_sums[row], self.row_sums[row], self.values_a[row])
        for position, column in enumerate(columns):
            for number, row in enumerate(rows):
                total, a, b = self.sums[row][column], self.values_a[row], registers[position % 2]
                self._multiply(code, total, a, b, first, self.sums[row][self.last])
                if number == 0:
                    load_b(position + (2 if len(rows) == 1 else 1))

    def _multiply(self, code: Code, total: str, a: str, b: str, first: bool, waiting: str) -> None:
        """total += a b; the first tap sets it to a b, or to a b plus the bias in `waiting`."""
        if self.result.int8:
            signs = "s" if self.result.dtypes[0] == "s8" else "u"
            code(f"dot{signs}" if first else f"sdot{signs}", total, b, a)
        elif first and not self.result.bias:
            code("fmul.s", total, a, b)
        else:
            code("fmadd.s", total, a, b, waiting if first and self.result.bias == "rows" else total)

    def constants(self) -> None:
        """Writes the steps that no immediate holds to their registers."""
        for step, register in self.steps.items():
            self.f.code.constant(register, step)

    def registers(self) -> Sequence[str]:
        """Registers for floats that hold nothing before the first block."""
        every = [*self.row_sums, *(r for row in self.sums for r in row)]
        every += [*self.values_a, *self.values_b, *self.f.floats]
        return [name for name in every if name not in {self.count, self.other}]
