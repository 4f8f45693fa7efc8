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

from dataclasses import dataclass, replace
from functools import cached_property

from acclimate.kernels.pulp.block_writer import BlockWriter
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import Node
from acclimate.kernels.pulp.pointers import Offsets, Taps
from acclimate.kernels.pulp.result import Result


@dataclass(frozen=True)
class Walk:
    """Bytes from one block to the next along the rows, and along two loops over columns.

    Args:
        rows: steps of a, c and the bias.
        outer: steps of b, c and the bias.
        inner: steps of b, c and the bias.
        planes: step of b along the rows, where each row has columns of its own.
    """

    rows: tuple[int, int, int]
    outer: tuple[int, int, int] = (0, 0, 0)
    inner: tuple[int, int, int] = (0, 0, 0)
    planes: int = 0


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

    @cached_property
    def _hash(self) -> int:
        parts = self.rows, self.columns, self.c_rows, self.c_columns, self.taps, self.result
        return hash((parts, self.walk, self.rotates))

    def __hash__(self) -> int:
        # Blocks are looked up for every call of a core.
        return self._hash

    @property
    def title(self) -> str:
        """One line that says what it computes."""
        size = f"{len(self.rows)}x{len(self.columns)}"
        terms = "words of four bytes" if self.result.int8 else "products"
        return f"block of {size} sums of {self.taps.count} {terms}"

    @property
    def prototype(self) -> str:
        """Its C parameters."""
        if self.result.int8:
            b, c = (f"{'u' if dtype == 'u8' else ''}int8_t" for dtype in self.result.dtypes)
            return (
                f"const int8_t *a, const {b} *b, {c} *c, const int32_t *bias, int32_t rows, "
                "int32_t outer, int32_t inner, int32_t start, const float *rate"
            )
        return (
            "const float *a, const float *b, float *c, {const}float *bias, int32_t rows, "
            "int32_t outer, int32_t inner, int32_t start, const float *rate"
        ).replace("{const}", "" if self.result.sums else "const ")

    def write(self, core: Core) -> list[Node]:
        """The function.

        Raises:
            OutOfRegisters: the block is too large for the core, or its operands too far apart.
        """
        if self.result.int8:  # nothing of it lives in float registers
            core = replace(core, float_registers=False)
        return BlockWriter(self, core).write()
