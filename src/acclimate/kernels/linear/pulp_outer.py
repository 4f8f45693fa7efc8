# SPDX-License-Identifier: Apache-2.0
"""The backward of a fully connected layer for one sample on a PULP core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, groupby

import numpy as np

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.outer import Outer
from acclimate.kernels.pulp.partition import bounds, even
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.timing import cycles
from acclimate.kernels.pulp.work import Choice, Elements, Micro, Request, Start, Work, print_starts

_CONFLICTS = 1.04
_MOST_COLUMNS = 20
_BIAS_CYCLES = 6.0


@dataclass(frozen=True)
class Backward:
    """Generator: dw, the update of w and b, or that together with dx.

    Args:
        gradient: dx is wanted.
    """

    gradient: bool

    def choices(self, request: Request) -> Iterator[Choice]:
        """Ways to compute a call, the most promising first."""
        if request.values["N"] != 1:
            return
        cores = request.core.cores
        found = []
        rows, columns = int(request.values["K"]), int(request.values["C"])
        for row_parts in (n for n in range(1, cores + 1) if cores % n == 0):
            if (self.gradient and row_parts > 1) or row_parts > rows:
                continue
            widest = -(-columns // (cores // row_parts))
            widths = {tuple(even(widest, w)): w for w in range(_MOST_COLUMNS, 0, -1)}
            for width in widths.values():
                for rotate in (0, 3) if cores > 1 and rows // row_parts >= 4 else (0,):
                    choice = Choice.of(columns=width, row_parts=row_parts, rotate=rotate)
                    tall = -(-rows // row_parts)
                    per_row = sum(1 + (4 if self.gradient else 3) * w for w in even(widest, width))
                    cost = tall * per_row + 40 * -(-widest // width)
                    found.append((cost * (1.0 if rotate else 1.1), str(choice), choice))
        yield from (choice for _, _, choice in sorted(found, key=lambda item: item[:2]))

    def write(self, request: Request, choice: Choice) -> Work:
        """The code of a call.

        Raises:
            OutOfRegisters: the block is too wide for the core.
        """
        parts = _Parts(request, choice, self.gradient)
        micros: list[Micro] = []
        core = request.core
        starts = [parts.starts(number) for number in range(core.cores)]
        body = print_starts(starts, micros) + parts.bias()
        slowest = max(sum(_cycles(start, core) for start in calls) for calls in starts)
        if core.cores > 1:
            slowest *= _CONFLICTS
        slowest += _BIAS_CYCLES * parts.rows / core.cores if parts.has_bias else 0.0
        return Work(body, tuple(micros), slowest, 0, parts.touched)


class _Parts:
    """Which rows and columns each core has."""

    def __init__(self, request: Request, choice: Choice, gradient: bool) -> None:
        self.request, self.choice, self.gradient = request, choice, gradient
        self.rows, self.columns = int(request.values["K"]), int(request.values["C"])
        self.cores = request.core.cores
        self.step = "lr" in request.operands
        self.weight, self.db = ("w", "b") if self.step else ("dw", "db")
        self.has_bias = self.db in request.operands
        decay = request.values["weight_decay"] if self.step else 0.0
        kind = "step" if self.step else "add" if request.accumulate else "set"
        self.result = Result(kind, decay=decay)
        self.row_cuts = bounds(self.rows, choice["row_parts"])
        self.column_cuts = bounds(self.columns, self.cores // choice["row_parts"])

    def part(self, core: int) -> tuple[range, range]:
        """Rows and columns of a core."""
        down, right = core % self.choice["row_parts"], core // self.choice["row_parts"]
        rows = range(self.row_cuts[down], self.row_cuts[down + 1])
        return rows, range(self.column_cuts[right], self.column_cuts[right + 1])

    def starts(self, core: int) -> list[Start]:
        """The calls of a core: blocks of one width make one call."""
        rows, columns = self.part(core)
        if not columns or not rows:
            return []
        widths = even(len(columns), self.choice["columns"])
        places = [columns.start, *accumulate(widths, initial=columns.start)][1:]
        found = []
        for width, group in groupby(zip(widths, places, strict=False), key=lambda pair: pair[0]):
            blocks = list(group)
            rotate = self.choice["rotate"]
            micro = Outer(
                width,
                len(rows),
                self.columns * 4,
                self.result,
                self.gradient,
                rotates=rotate > 0,
                adds=self.gradient and self.request.accumulate,
            )
            first = blocks[0][1]
            found.append(
                Start(
                    micro,
                    (
                        (self.weight, rows.start * self.columns + first),
                        ("dy", rows.start),
                        ("x", first),
                        ("dx", first) if self.gradient else ("NULL", 0),
                        ("", len(blocks)),
                        ("", core * rotate % len(rows) if rotate else 0),
                        ("&lr" if self.step else "NULL", 0),
                    ),
                )
            )
        return found

    def bias(self) -> str:
        """C of the bias, whose gradient is dy."""
        if not self.has_bias:
            return ""
        core = f"core, {self.cores}" if self.cores > 1 else "0, 1"
        if self.step:
            keep = float(np.float32(self.result.decay))
            return f"ac_descend_f32(b, dy, {self.rows}, lr, {keep!r}f, {core});\n"
        name = "ac_add_f32" if self.request.accumulate else "ac_copy_f32"
        return f"{name}(db, dy, {self.rows}, {core});\n"

    def touched(self) -> dict[str, list[Elements]]:
        """Elements of every operand by core."""
        found: dict[str, list[Elements]] = {self.weight: [], "x": [], "dy": []}
        if self.gradient:
            found["dx"] = []
        if self.has_bias:
            found[self.db] = []
        cuts = bounds(self.rows, self.cores)
        for core in range(self.cores):
            rows, columns = self.part(core)
            down, right = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
            own = np.arange(cuts[core], cuts[core + 1]) if self.has_bias else down[:0]
            found[self.weight].append(np.add.outer(down * self.columns, right).reshape(-1))
            found["x"].append(right)
            found["dy"].append(np.union1d(down, own))
            if self.gradient:
                found["dx"].append(right)
            if self.has_bias:
                found[self.db].append(own)
        return found


@cache
def _kernel_cycles(micro: Outer, core: Core) -> float:
    return cycles(micro.write(core), core)


def _cycles(start: Start, core: Core) -> float:
    """Cycles of a call; what is outside the blocks is counted with each of them."""
    assert isinstance(start.micro, Outer)
    return start.arguments[4][1] * _kernel_cycles(start.micro, core)


WEIGHTS = Backward(gradient=False)
WEIGHTS_AND_INPUT = Backward(gradient=True)
