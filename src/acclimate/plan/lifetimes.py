# SPDX-License-Identifier: Apache-2.0
"""When every arena buffer of an entry point is alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acclimate.kernels.copy.op import Copy
from acclimate.program import Buffer, Call, Entry, Program

ALIGNMENT_BYTES = 4


@dataclass(frozen=True)
class Lifetime:
    """A buffer is alive from call `first` to call `last`, both included."""

    buffer: Buffer
    first: int
    last: int

    @property
    def size_bytes(self) -> int:
        """Bytes with the padding that keeps the next buffer aligned."""
        return -(-self.buffer.size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES

    def overlaps(self, other: Lifetime) -> bool:
        """True if both are alive during one call."""
        return self.first <= other.last and other.first <= self.last


def lifetimes(program: Program, entry: Entry) -> list[Lifetime]:
    """Lifetimes of the arena buffers of an entry point, in order of their first call.

    What a copy takes away lives until the next call is done: else that call would have to wait.
    """
    spans: dict[str, tuple[int, int]] = {}
    last = len(entry.calls) - 1
    for number, call in enumerate(entry.calls):
        leaves = isinstance(call.attrs, Copy) and not call.attrs.inward
        end = number
        while leaves and end < last and (end == number or isinstance(entry.calls[end].attrs, Copy)):
            end += 1
        for view in call.views:
            if program.buffers[view.buffer].role.in_arena:
                first, before = spans.get(view.buffer, (number, number))
                spans[view.buffer] = (first, max(before, end))
    return [Lifetime(program.buffers[name], first, last) for name, (first, last) in spans.items()]


def live_bytes(lives: Sequence[Lifetime], calls: int) -> list[int]:
    """Sum of the live bytes during every call."""
    change = [0] * (calls + 1)
    for life in lives:
        change[life.first] += life.size_bytes
        change[life.last + 1] -= life.size_bytes
    total, result = 0, []
    for step in change[:calls]:
        total += step
        result.append(total)
    return result


def peak_bytes(program: Program, calls: Sequence[Call]) -> int:
    """Largest sum of live bytes of a sequence of calls: no arena can be smaller."""
    lives = lifetimes(program, Entry("", tuple(calls)))
    return max(live_bytes(lives, len(calls)), default=0)


def largest_live(lives: Sequence[Lifetime], call: int, count: int = 3) -> list[Lifetime]:
    """The largest buffers that are alive during one call."""
    alive = [life for life in lives if life.first <= call <= life.last]
    return sorted(alive, key=lambda life: -life.size_bytes)[:count]


Offsets = Mapping[str, int]
