# SPDX-License-Identifier: Apache-2.0
"""What becomes of the sums of a block: where they begin, and how they reach memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from acclimate.kernels.pulp.function import Function, OutOfRegisters
from acclimate.kernels.pulp.isa import IMMEDIATE

_AT_ONCE = 4  # loads in flight before the first of them is used


@dataclass(frozen=True)
class Result:
    """The end of a sum s.

    Args:
        kind: `set`: c = clamp(s + bias); `step`: c = c - rate (s + decay c); `add`:
            c = (1 - rate decay) c + s, the same with terms that -rate is in already; `int8`: eight
            bits of s, see `requantize`.
        lo: lower bound of the clamp.
        hi: upper bound of the clamp.
        decay: L2 weight decay of an update.
        bias: `rows` or `columns`, whose index the bias has; empty for none.
        sums: sums of a over the taps, per row, go where `bias` points, in the same way as c.
        dtypes: of b and c, where terms are words of four bytes; those of a are s8.
    """

    kind: str = "set"
    lo: float = -inf
    hi: float = inf
    decay: float = 0.0
    bias: str = ""
    sums: bool = False
    dtypes: tuple[str, str] = ("f32", "f32")

    @property
    def int8(self) -> bool:
        """True if the terms are words of four bytes and results are bytes."""
        return self.kind == "int8"

    @property
    def item_bytes(self) -> int:
        """Of an element of a, b and c."""
        return 1 if self.int8 else 4

    @property
    def bias_bytes(self) -> int:
        """Of what a row or a column has where `bias` points: a float, or bias and shift."""
        return 8 if self.int8 else 4

    @property
    def begins(self) -> bool:
        """True if a block's sums begin with what c holds, so that they only need to be stored."""
        return self.kind == "add"

    def prepare(self, f: Function, address: str, free: Sequence[str]) -> None:
        """Slots for -rate, and for 1 - rate decay; three free registers for floats."""
        if self.kind in ("set", "int8") or (self.kind == "add" and not self.decay):
            return
        rate, decay, one = free[:3]
        f.fetch(address, "rate")
        f.code(f.load, rate, 0, address)
        f.code("fsgnjn.s", rate, rate, rate)
        f.code(f.store, rate, f.slot("negative"), "sp")
        if self.decay:
            f.constant(decay, bits(self.decay), address)
            f.constant(one, bits(1.0), address)
            f.code("fmadd.s", rate, rate, decay, one)
            f.code(f.store, rate, f.slot("keep"), "sp")

    def start(
        self,
        f: Function,
        sums: Sequence[Sequence[str]],
        row_sums: Sequence[str],
        at: str,
        peeled: bool,
        last: int,
    ) -> None:
        """Gives sums that do not begin with c their first value.

        Args:
            f: the function.
            sums: registers by row and column.
            row_sums: registers by row.
            at: a register that points to the bias.
            peeled: the first tap sets the sums; the bias of a row waits in the last column.
            last: the column that every tap comes to last.
        """
        zero = "fmv.w.x" if f.core.float_registers else "mv"
        for register in row_sums:
            f.code(zero, register, "x0")
        if self.int8:
            for register in [register for row in sums for register in row] if not peeled else ():
                f.code("mv", register, "x0")
            return
        if self.bias == "columns":
            for column, register in enumerate(sums[0]):
                f.code(f.load, register, 4 * column, at)
            for row in sums[1:]:
                for source, register in zip(sums[0], row, strict=True):
                    f.code(f.move, register, source)
            return
        for number, row in enumerate(sums):
            if self.bias:
                f.code(f.load, row[last], 4 * number, at)
        for row in sums if not peeled else ():
            for register in row:
                if not self.bias:
                    f.code(zero, register, "x0")
                elif register != row[last]:
                    f.code(f.move, register, row[last])


def bits(value: float) -> int:
    """The signed word that holds a float."""
    return int(np.float32(value).view(np.int32))


class ResultWriter:
    """Moves sums between their registers and memory.

    Args:
        f: the function.
        result: what becomes of them.
        at: a register that points to c.
        far: a free register for integers.
        reals: free registers for floats.
        rate: a register that holds -rate already, if there is one.
        passed: bytes by which `at` has been moved already.
    """

    def __init__(
        self,
        f: Function,
        result: Result,
        at: str,
        far: str,
        reals: Sequence[str],
        rate: str = "",
        passed: int = 0,
    ) -> None:
        self.f, self.result, self.at, self.far, self.rate = f, result, at, far, rate
        self.reals = [register for register in reals if register not in {at, far}]
        self.passed = passed

    def load(self, places: Sequence[tuple[str, int]]) -> None:
        """Reads registers from byte offsets, what decay leaves of them."""
        f = self.f
        for register, offset in places:
            f.code(f.load, register, self.reach(offset), self.at)
        if self.result.decay:
            keep = self._fetched("keep", [*self.reals])
            for register, _ in places:
                f.code("fmul.s", register, register, keep)

    def write(self, places: Sequence[tuple[str, int]]) -> None:
        """Writes registers to byte offsets, or changes by them what is there."""
        if self.result.kind == "set":
            self.store(places)
            return
        free = list(self.reals)
        rate, keep = self.rate, ""
        if self.result.kind == "step":
            rate = rate or self._fetched("negative", free)
            keep = self._fetched("keep", free) if self.result.decay else ""
        if not free:
            raise OutOfRegisters
        at_once = min(_AT_ONCE, len(free))
        group: list[tuple[str, int]] = []
        for place in places:
            if len(group) == at_once or (group and place[1] - group[0][1] not in IMMEDIATE):
                self.update(group, free, rate, keep)
                group = []
            group.append(place)
        self.update(group, free, rate, keep)

    def store(self, places: Sequence[tuple[str, int]]) -> None:
        """Writes registers to byte offsets."""
        for register, offset in places:
            self.f.code(self.f.store, register, self.reach(offset), self.at)

    def _fetched(self, name: str, free: list[str]) -> str:
        """The first of the free registers, with what a slot holds."""
        if not free:
            raise OutOfRegisters
        self.f.code(self.f.load, free[0], self.f.slot(name), "sp")
        return free.pop(0)

    def clamp(self, registers: Sequence[str]) -> None:
        """Clamps sums in their registers."""
        for name, limit, none in (
            ("fmax.s", self.result.lo, -inf),
            ("fmin.s", self.result.hi, inf),
        ):
            if limit == none:
                continue
            bound = self.bound(limit)
            for register in registers:
                self.f.code(name, register, register, bound)

    def bound(self, limit: float) -> str:
        """A register that holds a bound; the zero register where that is one of floats too."""
        if limit == 0.0 and not self.f.core.float_registers:
            return "x0"
        if not self.reals:
            raise OutOfRegisters
        self.f.constant(self.reals[0], bits(limit), self.far)
        return self.reals[0]

    def update(
        self, places: Sequence[tuple[str, int]], free: Sequence[str], rate: str, keep: str
    ) -> None:
        """Read, change, write back, for a few values at once so that no load is waited for."""
        f = self.f
        pairs = list(zip(free, places, strict=False))
        offsets = self.reach_all([offset for _, offset in places])
        for (old, _), offset in zip(pairs, offsets, strict=True):
            f.code(f.load, old, offset, self.at)
        if keep:
            for old, _ in pairs:
                f.code("fmul.s", old, old, keep)
        for old, (register, _) in pairs:
            if rate:
                f.code("fmadd.s", old, register, rate, old)
            else:
                f.code("fadd.s", old, old, register)
        for (old, _), offset in zip(pairs, offsets, strict=True):
            f.code(f.store, old, offset, self.at)

    def reach(self, offset: int) -> int:
        """The immediate for a byte offset; moves the pointer where that is too far."""
        if offset - self.passed not in IMMEDIATE:
            self.f.code.add(self.at, offset - self.passed, self.far)
            self.passed = offset
        return offset - self.passed

    def reach_all(self, offsets: Sequence[int]) -> list[int]:
        """Immediates for several offsets from one place of the pointer."""
        if any(offset - self.passed not in IMMEDIATE for offset in offsets):
            self.f.code.add(self.at, offsets[0] - self.passed, self.far)
            self.passed = offsets[0]
        return [offset - self.passed for offset in offsets]
