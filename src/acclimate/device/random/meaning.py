# SPDX-License-Identifier: Apache-2.0
"""What random.c draws, in Python, number for number."""

from __future__ import annotations

_WORD, _LONG = 2**32 - 1, 2**64 - 1


class Random:
    """PCG-XSH-RR with 64 bits of state; see `numpy.random.PCG64` for a larger one of its family."""

    def __init__(self, seed: int, stream: int = 0) -> None:
        self.state, self.increment = 0, (stream << 1 | 1) & _LONG
        self.next()
        self.state = (self.state + seed) & _LONG
        self.next()

    def next(self) -> int:
        """0 .. 2^32 - 1."""
        old = self.state
        self.state = (old * 6364136223846793005 + self.increment) & _LONG
        shifted, turn = (old >> 18 ^ old) >> 27 & _WORD, old >> 59
        return (shifted >> turn | shifted << (-turn & 31)) & _WORD

    def below(self, count: int) -> int:
        """0 .. count - 1."""
        return self.next() * count >> 32

    def between(self, low: int, high: int) -> int:
        """`low` .. `high`."""
        return low if high < low else low + self.below(high - low + 1)

    def unit(self) -> float:
        """A multiple of 2^-24 from 0 to below 1."""
        return (self.next() >> 8) / 2**24
