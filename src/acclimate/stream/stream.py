# SPDX-License-Identifier: Apache-2.0
"""A program whose data do not fit the fast memory: its calls become tiles, with copies between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from acclimate.kernels.copy.op import Copy
from acclimate.program import Buffer, Call, Entry, Program, Role, View
from acclimate.stream.cost import Costs
from acclimate.stream.expand import Tiles, copy_of, expand
from acclimate.stream.options import Option, Options
from acclimate.stream.region import region_of
from acclimate.stream.stays import ALWAYS, Stay, Stays
from acclimate.targets import Target
from acclimate.tune import Chooser, select_kernels


def stream(program: Program, target: Target, room: int) -> tuple[Program, list[str]]:
    """Brings what calls need into the fast memory, and gives every buffer its memory.

    Args:
        program: with kernels, in execution order.
        target: a device with a fast memory, an outer one and a DMA between them.
        room: bytes of the fast memory that the program may take.

    Returns:
        The program of tiles and copies, and what was decided, a line each.
    """
    chooser = Chooser(target)
    costs = Costs(target, chooser)
    options = Options(program.buffers, costs, room)
    stays = Stays(program, options, room)
    stays.choose()
    fast, outer = target.memories[0].name, target.memories[1].name
    writer = _Writer(program, options, stays, fast, outer)
    entries = {name: writer.entry(entry) for name, entry in program.entries.items()}
    streamed = replace(program, buffers=writer.buffers, entries=entries)
    chosen = select_kernels(streamed, target, chooser=chooser)
    return _place_scratch(chosen, room, fast, outer), writer.changes


def _place_scratch(program: Program, room: int, fast: str, outer: str) -> Program:
    """Scratch of kernels lies in the fast memory unless it is far too large."""
    buffers = {
        name: replace(b, memory=fast if b.size_bytes <= room // 2 else outer)
        if b.role is Role.SCRATCH
        else b
        for name, b in program.buffers.items()
    }
    return replace(program, buffers=buffers)


@dataclass
class _Writer:
    """Writes the calls of a program as tiles."""

    program: Program
    options: Options
    stays: Stays
    fast: str
    outer: str
    buffers: dict[str, Buffer] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        near = {stay.buffer for stay in self.stays.taken if stay.entry == ALWAYS or self._all(stay)}
        for name, b in self.program.buffers.items():
            if b.role is Role.SCRATCH:
                continue
            inside = self.fast if name in near else self.outer
            self.buffers[name] = b if b.role.external else replace(b, memory=inside)

    def _all(self, stay: Stay) -> bool:
        """True for a buffer that has no other place than the fast memory."""
        arena = self.program.buffers[stay.buffer].role.in_arena
        return arena and not stay.fills and not stay.spills

    def entry(self, entry: Entry) -> Entry:
        """An entry point in tiles."""
        twins = self._twins(entry.name)
        flat: list[Call] = []
        room = 0  # bytes that the call before leaves for what this one fetches first
        for number, call in enumerate(entry.calls):
            inner = self.stays.inner(entry.name, number)
            left = self.stays.left(entry.name, number)
            option = self.options.refined(call, inner, left, room)
            near = {
                s.buffer: View.whole(twin)
                for s, twin in twins.items()
                if s.first <= number <= s.last
            }
            starts = [
                _whole(twin, s, True) for s, twin in twins.items() if s.first == number and s.fills
            ]
            ends = [
                _whole(twin, s, False) for s, twin in twins.items() if s.last == number and s.spills
            ]
            tiles = self._tiles(entry.name, number, call, option, inner)
            first = [*starts, *(c.map_views(near) for c in tiles.first)]
            rest = [*(c.map_views(near) for c in tiles.rest), *ends]
            self._append(flat, [replace(c, origin=number) for c in first], room)
            flat += [replace(c, origin=number) for c in rest]
            room = left - option.staged_bytes
        return replace(entry, calls=tuple(flat))

    def _twins(self, entry: str) -> dict[Stay, Buffer]:
        """The second place of buffers that are in the fast memory for a while."""
        found = {}
        for stay in self.stays.taken:
            if stay.entry != entry or self._all(stay):
                continue
            old = self.program.buffers[stay.buffer]
            stem = f"{entry}.{stay.buffer.rpartition('.')[2]}_near"
            name, count = stem, 2
            while name in self.buffers:
                name, count = f"{stem}_{count}", count + 1
            twin = Buffer(name, old.shape, old.dtype, Role.TILE, old.source, memory=self.fast)
            self.buffers[name] = found[stay] = twin
        return found

    def _tiles(self, entry: str, number: int, call: Call, option: Option, inner: set[str]) -> Tiles:
        if option.tiling is None:
            return Tiles((), (call,), ())
        stem = f"{entry}.call_{number}"
        tiles = expand(call, stem, option.tiling, inner, self.program.buffers, self.fast)
        self.buffers |= {b.name: b for b in tiles.buffers}
        if len(option.tiling.tiles) > 1:
            cuts = " ".join(f"{dim}={length}" for dim, length in option.tiling.cuts)
            count = len(option.tiling.tiles)
            self.changes.append(f"{entry} {number}: {count} tiles {cuts}, {option.staged_bytes} B")
        return tiles

    def _append(self, flat: list[Call], first: list[Call], room: int) -> None:
        """Begins copies while the call before is at its last tile, if it neither makes their values
        nor needs their place."""
        size = sum(self.buffers[c.outputs[0].buffer].size_bytes for c in first if c.outputs[0])
        last = next(
            (n for n in reversed(range(len(flat))) if not isinstance(flat[n].attrs, Copy)), None
        )
        if last is None or size > room:
            flat += first
            return
        made = {v.buffer for c in flat if c.origin == flat[last].origin for v in c.writes}
        early = [c for c in first if not any(v.buffer in made for v in c.reads)]
        late = [c for c in first if c not in early]
        flat[last:last] = early
        flat += late


def _whole(twin: Buffer, stay: Stay, inward: bool) -> Call:
    region = region_of(View.whole(replace(twin, name=stay.buffer)))
    assert region is not None
    return copy_of(region, twin, 0, inward)
