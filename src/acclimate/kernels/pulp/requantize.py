# SPDX-License-Identifier: Apache-2.0
"""Sums of products of bytes become bytes: a bias, a shift, a clip and a store for each.

c = clip((s + bias) >> shift), where bias and shift are a pair of words for each row. The shift
rounds down; what makes it round to the nearest is in the bias. Three instructions of Xpulpv2 and a
store: `addNr` adds and shifts at once, `clip` and `clipu` know the bounds of eight bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from acclimate.kernels.pulp.function import Function, OutOfRegisters
from acclimate.kernels.pulp.isa import IMMEDIATE

BYTE_INSTRUCTIONS = 3  # for each result
_PAIR_BYTES, _WORD = 8, 4


class Requantizer:
    """Moves the sums of a block to memory.

    Args:
        f: the function.
        dtype: of the results, u8 or s8.
        at: a register that points to the first result.
        pairs: a register that points to bias and shift of the first row.
        far: a free register, for places that no immediate reaches.
        free: registers for biases and shifts.
    """

    def __init__(
        self, f: Function, dtype: str, at: str, pairs: str, far: str, free: Sequence[str]
    ) -> None:
        if len(free) < 2:
            raise OutOfRegisters
        self.f, self.at, self.pairs, self.far, self.free = f, at, pairs, far, free
        # An unsigned clip to n bits leaves n - 1 of them.
        self.clip = ("clipu", 9) if dtype == "u8" else ("clip", 8)
        self.passed = 0  # bytes by which `at` has been moved

    def write(self, rows: Sequence[Sequence[tuple[str, int]]]) -> None:
        """Results of all rows, each a list of registers with their byte offsets."""
        at_once = len(self.free) // 2
        for first in range(0, len(rows), at_once):
            some = [*enumerate(rows[first : first + at_once], first)]
            loaded = [(self.free[2 * n], self.free[2 * n + 1]) for n in range(len(some))]
            for (row, _), pair in zip(some, loaded, strict=True):
                for word, register in enumerate(pair):
                    self.f.code("lw", register, _PAIR_BYTES * row + _WORD * word, self.pairs)
            for (_, places), pair in zip(some, loaded, strict=True):
                self._row(places, *pair)

    def _row(self, places: Sequence[tuple[str, int]], bias: str, shift: str) -> None:
        for register, offset in places:
            self.f.code("addNr", register, bias, shift)
            self.f.code(self.clip[0], register, register, self.clip[1])
            if offset - self.passed not in IMMEDIATE:
                self.f.code.add(self.at, offset - self.passed, self.far)
                self.passed = offset
            self.f.code("sb", register, offset - self.passed, self.at)
