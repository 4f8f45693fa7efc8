# SPDX-License-Identifier: Apache-2.0
"""When every arena buffer of an entry point is alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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


def lifetimes(
    program: Program, entry: Entry, rooms: Mapping[str, int] | None = None
) -> list[Lifetime]:
    """Lifetimes of the arena buffers of an entry point, in order of their first call.

    Args:
        program: whose buffers they are.
        entry: its calls.
        rooms: bytes of the arena in a memory. There, what a copy takes away lives until the next
            call is done, if there is room for it: else that call would have to wait.
    """
    spans: dict[str, tuple[int, int]] = {}
    for number, call in enumerate(entry.calls):
        for view in call.views:
            if program.buffers[view.buffer].role.in_arena:
                first, _ = spans.get(view.buffer, (number, number))
                spans[view.buffer] = (first, number)
    lives = {n: Lifetime(program.buffers[n], first, last) for n, (first, last) in spans.items()}
    for memory, room in (rooms or {}).items():
        _linger(lives, entry, memory, room)
    return list(lives.values())


def _linger(lives: dict[str, Lifetime], entry: Entry, memory: str, room: int) -> None:
    """Lets what copies take away live a little longer where there is room."""
    inside = [life for life in lives.values() if life.buffer.memory == memory]
    alive = live_bytes(inside, len(entry.calls))
    for number, call in enumerate(entry.calls):
        if not isinstance(call.attrs, Copy) or call.attrs.inward or call.inputs[0] is None:
            continue
        life = lives.get(call.inputs[0].buffer)
        end = _next_work(entry, number)
        if life is None or life.buffer.memory != memory or life.last >= end:
            continue
        more = range(life.last + 1, end + 1)
        if all(alive[n] + life.size_bytes <= room for n in more):
            for n in more:
                alive[n] += life.size_bytes
            lives[life.buffer.name] = replace(life, last=end)


def _next_work(entry: Entry, number: int) -> int:
    """The next call that is no copy, or the last call."""
    for later in range(number + 1, len(entry.calls)):
        if not isinstance(entry.calls[later].attrs, Copy):
            return later
    return len(entry.calls) - 1


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
