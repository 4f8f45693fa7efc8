# SPDX-License-Identifier: Apache-2.0
"""Where the terms of a sum lie in memory, and the registers that walk there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from acclimate.kernels.pulp.function import OutOfRegisters
from acclimate.kernels.pulp.isa import IMMEDIATE

Offsets = tuple[int, ...]
_LEAST_PAIRED = 4  # pointers: with fewer, the register for the distance saves nothing


@dataclass(frozen=True)
class Taps:
    """The terms of a sum.

    Args:
        a: byte offsets of one operand, per tap of a body.
        b: of the other operand.
        loops: (count, step of a, step of b) around the body, innermost first; one or two.
    """

    a: Offsets
    b: Offsets
    loops: tuple[tuple[int, int, int], ...]

    @property
    def count(self) -> int:
        """Number of terms."""
        total = len(self.a)
        for count, _, _ in self.loops:
            total *= count
        return total


@dataclass(frozen=True)
class Access:
    """How a value is loaded.

    Args:
        pointer: number of the register.
        offset: immediate.
        far: the register that holds `Pointers.far` is added instead.
        moves: this load moves the pointer on.
    """

    pointer: int
    offset: int
    far: bool
    moves: bool


class Pointers:
    """Registers that walk over one operand. Each serves the lines whose offsets an immediate holds.

    The last load of a body through a register moves it on; all other offsets are relative to that.

    Args:
        lines: byte offsets of rows or columns.
        taps: byte offsets of the taps of a body.
        step: from body to body.
        indexed: loads may add two registers: lines too far apart for an immediate then share one
            pointer and the distance between them in pairs.
    """

    def __init__(self, lines: Offsets, taps: Offsets, step: int, indexed: bool = False) -> None:
        self.step = step
        self.far = 0
        self.groups: list[tuple[int, list[int]]] = []  # base offset, lines
        self.taps = taps
        waiting = sorted(range(len(lines)), key=lines.__getitem__)
        self.lines = lines
        while waiting:
            group = self._largest(waiting)
            waiting = waiting[len(group) :]
            self.groups.append((self._base(group), group))

        if indexed:
            self._pair()

    def _pair(self) -> None:
        """Lets every second pointer go, where lines lie evenly and a body has one tap."""
        bases = [base for base, _ in self.groups]
        gaps = {b - a for a, b in pairwise(bases)}
        single = len(self.taps) == 1 and all(len(group) == 1 for _, group in self.groups)
        if len(bases) < _LEAST_PAIRED or len(gaps) > 1 or not single:
            return
        self.far = gaps.pop()
        pairs = [self.groups[n : n + 2] for n in range(0, len(self.groups), 2)]
        # The pointer is of the first line, which comes last since its load moves the pointer.
        self.groups = [
            (pair[0][0], [line for _, group in reversed(pair) for line in group]) for pair in pairs
        ]

    def _largest(self, waiting: Sequence[int]) -> list[int]:
        for count in range(len(waiting), 1, -1):
            if self._leader(waiting[:count]) is not None:
                return list(waiting[:count])
        if self._leader(waiting[:1]) is None:
            raise OutOfRegisters
        return [waiting[0]]

    def _leader(self, group: Sequence[int]) -> int | None:
        """A line whose last load may move the pointer: all others are within reach of it."""
        span = [self.lines[line] + tap for line in group for tap in self.taps]
        for line in sorted(group, key=lambda n: abs(2 * self.lines[n] - min(span) - max(span))):
            base = self.lines[line] + self.taps[-1]
            if min(span) - base in IMMEDIATE and max(span) - base in IMMEDIATE:
                return line
        return None

    def _base(self, group: list[int]) -> int:
        leader = self._leader(group)
        assert leader is not None
        group.sort(key=lambda line: line == leader)  # the leader comes last
        return self.lines[leader] + self.taps[-1]

    @cached_property
    def order(self) -> list[int]:
        """All lines, every leader after the others of its group."""
        return [line for _, group in self.groups for line in group]

    def place(self, line: int, tap: int) -> Access:
        """How the value of a line at a tap is loaded."""
        number = next(n for n, (_, group) in enumerate(self.groups) if line in group)
        base, group = self.groups[number]
        last = tap == len(self.taps) - 1 and line == group[-1]
        far = self.far > 0 and line != group[-1]
        offset = 0 if far else self.lines[line] + self.taps[tap] - base
        return Access(number, offset, far, last and self.step != 0)
