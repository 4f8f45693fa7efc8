# SPDX-License-Identifier: Apache-2.0
"""The backward of a fully connected layer for one sample: products of dy and x, row by row.

A block of columns stays in registers (the inputs, and the sums of the input gradient) while a
hardware loop walks down the rows of W. With input gradient and update in one pass, every weight is
read and written once: four instructions per weight instead of the nine of two passes.
"""

from __future__ import annotations

from dataclasses import dataclass

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.function import Function
from acclimate.kernels.pulp.isa import IMMEDIATE, Code, Node
from acclimate.kernels.pulp.result import Result

ARGUMENTS = ("w", "dy", "x", "dx", "blocks", "start", "rate")
_TEMPORARIES = 3
_WORD = 4


@dataclass(frozen=True)
class Outer:
    """A kernel: blocks of columns, one after the other.

    Args:
        columns: of a block.
        rows: of W, or of the part of it that a core has.
        stride: bytes from row to row.
        result: `set` or `add` for a gradient, `step` for the update of W.
        gradient: dx = dy W is computed as well, from W before the update.
        adds: to dx.
        rotates: begins at row `start` and goes round, so that cores are in different banks.
    """

    columns: int
    rows: int
    stride: int
    result: Result
    gradient: bool = False
    rotates: bool = False
    adds: bool = False

    @property
    def title(self) -> str:
        """One line that says what it computes."""
        what = {"set": "dw = dy x", "add": "dw += dy x", "step": "w -= rate dy x"}
        more = f"dx {'+=' if self.adds else '='} dy w, " if self.gradient else ""
        return (
            f"{more}{what[self.result.kind]} for {self.rows} rows, {self.columns} columns a block"
        )

    @property
    def prototype(self) -> str:
        """Its C parameters."""
        return (
            "float *w, const float *dy, const float *x, float *dx, int32_t blocks, int32_t start, "
            "const float *rate"
        )

    def write(self, core: Core) -> list[Node]:
        """The function.

        Raises:
            OutOfRegisters: the block is too wide for the core.
        """
        return _Writer(self, core).write()


class _Writer:
    def __init__(self, kernel: Outer, core: Core) -> None:
        self.kernel = kernel
        self.f = f = Function(ARGUMENTS, core)
        self.at_w, self.at_dy, self.count, self.other = (f.integer() for _ in range(4))
        self.big = f.integer() if kernel.stride not in IMMEDIATE else ""
        self.x = f.reals(kernel.columns)
        self.sums = f.reals(kernel.columns) if kernel.gradient else []
        self.values = f.reals(_TEMPORARIES)
        self.dy = f.real()
        self.keep = f.real() if kernel.result.decay else ""

    def write(self) -> list[Node]:
        f, kernel = self.f, self.kernel
        kernel.result.prepare(f, self.count, [*self.values, *self.x])
        if self.big:
            f.code.constant(self.big, kernel.stride)
        if self.keep:
            f.code(f.load, self.keep, f.slot("keep"), "sp")
        f.code.label("block")
        self._inputs()
        self._rows()
        self._next()
        f.code("bnez", self.count, "@block")
        return f.finish()

    def _inputs(self) -> None:
        """x of the block, times -rate for an update; sums so far."""
        f, kernel = self.f, self.kernel
        f.fetch(self.other, "x")
        for number, register in enumerate(self.x):
            f.code(f.load, register, _WORD * number, self.other)
        if kernel.result.kind == "step":
            f.code(f.load, self.dy, f.slot("negative"), "sp")
            for register in self.x:
                f.code("fmul.s", register, register, self.dy)
        if kernel.adds:
            f.fetch(self.other, "dx")
        for number, register in enumerate(self.sums):
            if kernel.adds:
                f.code(f.load, register, _WORD * number, self.other)
            else:
                f.code("fmv.w.x" if f.core.float_registers else "mv", register, "x0")
        f.fetch(self.at_w, "w")
        f.fetch(self.at_dy, "dy")

    def _rows(self) -> None:
        f, kernel = self.f, self.kernel
        if not kernel.rotates:
            f.code.constant(self.count, kernel.rows)
            f.code.loop(0, self.count, kernel.rows, self._row())
            return
        f.fetch(self.other, "start")
        f.code.constant(self.count, kernel.stride)
        f.code("mul", self.count, self.count, self.other)
        f.code("add", self.at_w, self.at_w, self.count)
        f.code("slli", self.count, self.other, 2)
        f.code("add", self.at_dy, self.at_dy, self.count)
        f.code.constant(self.count, kernel.rows)
        f.code("sub", self.count, self.count, self.other)
        f.code.label("part")
        f.code.loop(0, self.count, kernel.rows, self._row())
        f.code("beqz", self.other, "@done")
        f.code("mv", self.count, self.other)
        for register, step in ((self.at_w, kernel.stride), (self.at_dy, _WORD)):
            f.code.add(register, -kernel.rows * step, self.other)
        f.code("mv", self.other, "x0")
        f.code("j", "@part")
        f.code.label("done")

    def _row(self) -> Code:
        """One row of W: a weight's load, product and store are apart, so that none waits."""
        code, kernel, f = Code(), self.kernel, self.f
        columns = kernel.columns
        reads = kernel.result.kind != "set" or kernel.gradient
        order = [*range(1, columns), 0]  # the pointer moves with the store of column 0

        def value(position: int) -> str:
            return self.values[position % _TEMPORARIES]

        def load(position: int) -> None:
            if reads and position < columns:
                code(f.load, value(position), _WORD * order[position], self.at_w)

        def store(position: int) -> None:
            if position >= 0:
                self._store(code, value(position), order[position])

        if f.core.float_registers:
            code(f.load, self.dy, 0, self.at_dy)
            code("addi", self.at_dy, self.at_dy, _WORD)
        else:
            code("lw!", self.dy, self.at_dy, _WORD)
        load(0)
        for position in range(columns):
            load(position + 1)
            self._weight(code, value(position), order[position])
            store(position - 1)
        store(columns - 1)
        return code

    def _weight(self, code: Code, w: str, column: int) -> None:
        kernel, x = self.kernel, self.x[column]
        if kernel.gradient:
            total = self.sums[column]
            code("fmadd.s", total, w, self.dy, total)
        if kernel.result.kind == "set":
            code("fmul.s", w, x, self.dy)
            return
        if self.keep:
            code("fmul.s", w, w, self.keep)
        code("fmadd.s", w, x, self.dy, w)

    def _store(self, code: Code, register: str, column: int) -> None:
        f, stride = self.f, self.kernel.stride
        if column or f.core.float_registers:
            code(f.store, register, _WORD * column, self.at_w)
            if not column:
                if self.big:
                    code("add", self.at_w, self.at_w, self.big)
                else:
                    code("addi", self.at_w, self.at_w, stride)
        elif self.big:
            code("sw!r", register, self.at_w, self.big)
        else:
            code("sw!", register, self.at_w, stride)

    def _next(self) -> None:
        """Writes dx, and moves on to the next block."""
        f, kernel = self.f, self.kernel
        names = ["w", "x"]
        if kernel.gradient:
            names.append("dx")
            f.fetch(self.other, "dx")
            for number, register in enumerate(self.sums):
                f.code(f.store, register, _WORD * number, self.other)
        for name in names:
            f.fetch(self.other, name)
            f.code.add(self.other, _WORD * kernel.columns, self.count)
            f.keep(self.other, name)
        f.fetch(self.count, "blocks")
        f.code("addi", self.count, self.count, -1)
        f.keep(self.count, "blocks")
