# SPDX-License-Identifier: Apache-2.0
"""Which buffers stay in the fast memory, and during which calls.

A stay is worth its bytes if the calls that use the buffer need fewer copies, and if the calls
between them keep enough memory for their tiles. Stays are taken greedily, those first that save the
most cycles per byte and call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from acclimate.kernels.copy.op import Copy
from acclimate.program import Buffer, Program, Role
from acclimate.stream.options import Options
from acclimate.stream.tiling import Unit

ALWAYS = ""  # the entry of a stay from start-up on
_MOST_USES = 6  # in one stay that does not last from the first use to the last
_ALIGN_BYTES = 8
_RETURNED = "loss"  # lies on the stack of core 0, which is in the fast memory


@dataclass(frozen=True)
class Stay:
    """A buffer in the fast memory.

    Args:
        buffer: its name.
        entry: of the units; `ALWAYS` for a static tensor that never leaves.
        first: number of the first unit that uses it there.
        last: number of the last one.
        fills: its value has to be fetched before.
        spills: its value has to be stored, after unit `written`.
        written: the last unit that changes it there.
    """

    buffer: str
    entry: str
    first: int = 0
    last: int = 0
    fills: bool = False
    spills: bool = False
    written: int = 0


@dataclass
class Stays:
    """Chooses stays for a program.

    Args:
        program: with kernels.
        units: calls that are computed together, by entry point, in order.
        options: tilings of the units.
        room: bytes of the fast memory.
    """

    program: Program
    units: Mapping[str, Sequence[Unit]]
    options: Options
    room: int
    taken: list[Stay] = field(default_factory=list)
    _inner: dict[tuple[str, int], set[str]] = field(
        default_factory=lambda: defaultdict(lambda: {_RETURNED})
    )
    _used: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    _cycles: dict[tuple[str, int], float] = field(default_factory=dict)

    def choose(self) -> list[Stay]:
        """Takes stays until none is worth its bytes."""
        for entry, number, unit in self._all():
            self._cycles[entry, number] = self._cost(entry, number, unit, frozenset(), 0)
        rated = []
        for stay in self._candidates():
            saved, length = self._saving(stay)
            if saved > 0:
                rated.append((saved / (self._bytes(stay) * length), stay))
        for _, stay in sorted(rated, key=lambda pair: (-pair[0], str(pair[1]))):
            if not self._overlaps(stay) and self._saving(stay)[0] > 0:
                self._take(stay)
        return self.taken

    def inner(self, entry: str, number: int) -> set[str]:
        """Buffers in the fast memory during a unit."""
        return self._inner[entry, number]

    def left(self, entry: str, number: int) -> int:
        """Bytes of the fast memory that are left for the tiles of a unit."""
        return self.room - self._used[entry, number]

    def _all(self) -> Iterator[tuple[str, int, Unit]]:
        for entry, units in self.units.items():
            for number, unit in enumerate(units):
                yield entry, number, unit

    def _bytes(self, stay: Stay) -> int:
        size = self.program.buffers[stay.buffer].size_bytes
        return -(-size // _ALIGN_BYTES) * _ALIGN_BYTES

    def _span(self, stay: Stay) -> list[tuple[str, int, Unit]]:
        """Units during which the buffer takes memory."""
        if stay.entry == ALWAYS:
            return list(self._all())
        units = self.units[stay.entry]
        return [(stay.entry, n, units[n]) for n in range(stay.first, stay.last + 1)]

    def _cost(self, entry: str, number: int, unit: Unit, more: frozenset[str], taken: int) -> float:
        """Cycles of a unit with further buffers in the fast memory, infinite where none fits."""
        room = self.left(entry, number) - taken
        if room < 0:
            return float("inf")
        return self.options.best(unit, self._inner[entry, number] | more, room).cycles

    def _saving(self, stay: Stay) -> tuple[float, int]:
        """Cycles that a stay saves, and the number of units that it lasts."""
        size, more = self._bytes(stay), frozenset((stay.buffer,))
        span = self._span(stay)
        costs = self.options.forms.costs
        saved = -costs.copy(size) * (0.5 * stay.fills + 0.25 * stay.spills)
        for entry, number, unit in span:
            saved += self._cycles[entry, number] - self._cost(entry, number, unit, more, size)
        return saved, len(span)

    def _overlaps(self, stay: Stay) -> bool:
        return any(
            stay.buffer in self._inner[entry, number] for entry, number, _ in self._span(stay)
        )

    def _take(self, stay: Stay) -> None:
        self.taken.append(stay)
        span = self._span(stay)
        for entry, number, _ in span:
            self._inner[entry, number].add(stay.buffer)
            self._used[entry, number] += self._bytes(stay)
        for entry, number, unit in span:
            self._cycles[entry, number] = self._cost(entry, number, unit, frozenset(), 0)

    def _candidates(self) -> Iterator[Stay]:
        buffers = self.program.buffers
        for buffer in buffers.values():
            if not buffer.role.persistent or buffer.role.behind:
                continue
            if self._bytes(Stay(buffer.name, ALWAYS)) <= self.room:
                yield Stay(buffer.name, ALWAYS)
        for entry, units in self.units.items():
            for name, numbers in _uses(units, buffers).items():
                if self._bytes(Stay(name, entry)) <= self.room:
                    yield from _stays(buffers[name], entry, numbers, units)


def _uses(units: Sequence[Unit], buffers: Mapping[str, Buffer]) -> dict[str, list[int]]:
    """Numbers of the units that use each buffer that may move."""
    found: dict[str, list[int]] = {}
    for number, unit in enumerate(units):
        for name in dict.fromkeys(view.buffer for call in unit for view in call.views):
            role = buffers[name].role
            if role not in (Role.SCALAR, Role.SCRATCH) and not role.behind and name != _RETURNED:
                found.setdefault(name, []).append(number)
    return found


def _stays(buffer: Buffer, entry: str, uses: list[int], units: Sequence[Unit]) -> Iterator[Stay]:
    """From the first use to the last, or during some uses that follow each other."""
    arena = buffer.role.in_arena
    for i in range(len(uses)):
        for j in range(i, len(uses)):
            whole = arena and i == 0 and j == len(uses) - 1
            if not whole and (j == i or j - i >= _MOST_USES):
                continue
            if any(_copies(units[n]) for n in uses[i : j + 1]):
                continue  # to l3 and back data go by way of l2
            writers = [n for n in uses[i : j + 1] if _writes(units[n], buffer.name)]
            fills = (not arena or i > 0) and not whole
            spills = bool(writers) and (not arena or j < len(uses) - 1)
            written = writers[-1] if writers else 0
            yield Stay(buffer.name, entry, uses[i], uses[j], fills, spills, written)


def _copies(unit: Unit) -> bool:
    return any(isinstance(call.attrs, Copy) for call in unit)


def _writes(unit: Unit, name: str) -> bool:
    return any(view.buffer == name for call in unit for view in call.writes)
