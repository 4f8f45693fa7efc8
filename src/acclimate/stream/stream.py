# SPDX-License-Identifier: Apache-2.0
"""A program whose data do not fit the fast memory: its calls become tiles, with copies between."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from acclimate.kernels.copy.op import Copy
from acclimate.program import Buffer, Call, Program, Role, View
from acclimate.stream.expand import Ring, Tiles, copy_of, expand
from acclimate.stream.forms import Forms, Option
from acclimate.stream.options import Options
from acclimate.stream.region import region_of
from acclimate.stream.stays import ALWAYS, Stay, Stays
from acclimate.stream.tiling import Unit
from acclimate.stream.units import units_of
from acclimate.targets import Target
from acclimate.tune import select_kernels


class Streaming:
    """Tiles and copies for a program whose data do not fit the fast memory.

    Args:
        program: with kernels, in execution order.
        target: a device with a fast memory, an outer one and a DMA between them.
        room: bytes of the fast memory that the program may take.
        joined: calls that share data are computed tile by tile together. That saves copies; but
            all that the calls of a tile read and write is alive at once in the outer memory.
    """

    def __init__(self, program: Program, target: Target, room: int, *, joined: bool = True) -> None:
        self._program, self._target = program, target
        self._options = Options(program.buffers, Forms.of(target, room))
        self._units = {
            name: units_of(e, self._options) if joined else [(call,) for call in e.calls]
            for name, e in program.entries.items()
        }

    def write(self, room: int) -> tuple[Program, list[str]]:
        """Gives every buffer its memory and brings what calls need into the fast one.

        Args:
            room: bytes of the fast memory; where packing leaves gaps, less than there are.

        Returns:
            The program of tiles and copies, and what was decided, a line each.
        """
        stays = Stays(self._program, self._units, self._options, room)
        stays.choose()
        fast, outer = (memory.name for memory in self._target.memories[:2])
        writer = _Writer(self._program, self._options, stays, fast, outer)
        entries = {
            name: replace(entry, calls=writer.calls(name, self._units[name]))
            for name, entry in self._program.entries.items()
        }
        tiled = replace(self._program, buffers=writer.buffers, entries=entries)
        chooser = self._options.forms.costs.chooser
        chosen = select_kernels(tiled, self._target, chooser=chooser)
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
            fixed = b.role.external or b.role is Role.L3
            self.buffers[name] = b if fixed else replace(b, memory=inside)

    def _all(self, stay: Stay) -> bool:
        """True for a buffer that has no other place than the fast memory."""
        arena = self.program.buffers[stay.buffer].role.in_arena
        return arena and not stay.fills and not stay.spills

    def calls(self, entry: str, units: Sequence[Unit]) -> tuple[Call, ...]:
        """The calls of an entry point in tiles."""
        twins = self._twins(entry)
        flat: list[Call] = []
        reach = 1, 1
        spare = 0  # bytes that the unit before leaves for what this one fetches first
        rings: tuple[Ring, ...] = ()  # of the unit before that had tiles
        count = itertools.count()
        for number, unit in enumerate(units):
            origins = [next(count) for _ in unit]
            if isinstance(unit[0].attrs, Copy):
                # Between l2 and l3, beside what the DMA fetches: tiles go on as before.
                flat.append(replace(unit[0], origin=origins[0]))
                continue
            inner = self.stays.inner(entry, number)
            left = self.stays.left(entry, number)
            kinds = [(ring.buffer.size_bytes, ring.slots) for ring in rings]
            found = self.options.refined(unit, inner, left, spare, kinds)
            option = self.options.written(unit, found)
            if sum(ring.buffer.size_bytes for ring in rings) > left:
                rings = ()
            tiles = self._tiles(entry, unit, origins, option, inner, rings)
            rings = tiles.rings or rings
            near = {
                stay.buffer: View.whole(twin)
                for stay, twin in twins.items()
                if stay.first <= number <= stay.last
            }
            starts = [s for s in twins if s.first == number and s.fills]
            ends = [s for s in twins if s.written == number and s.spills]
            head = replace(unit[0], origin=origins[0])
            first = [_whole(twins[s], s, True, head) for s in starts]
            first += [call.map_views(near) for call in tiles.first]
            rest = [call.map_views(near) for call in tiles.rest]
            rest += [_whole(twins[s], s, False, head) for s in ends]
            self._append(flat, first, spare, reach)
            flat += rest
            spare = left - option.staged_bytes
            many = option.tiling is not None and len(option.tiling.tiles) > 1
            last = len(unit) * (option.tiling.ahead if option.tiling and many else 1)
            reach = last, last if many else last + reach[1]
        return tuple(flat)

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

    def _tiles(
        self,
        entry: str,
        unit: Unit,
        origins: Sequence[int],
        option: Option,
        inner: set[str],
        rings: Sequence[Ring],
    ) -> Tiles:
        if option.tiling is None:
            return Tiles(
                (), tuple(replace(c, origin=n) for c, n in zip(unit, origins, strict=True))
            )
        numbers = "_".join(map(str, origins))
        stem = f"{entry}.call_{numbers}"
        tiles = expand(stem, option.tiling, origins, inner, self.program.buffers, self.fast, rings)
        self.buffers |= {ring.buffer.name: ring.buffer for ring in tiles.rings}
        if len(option.tiling.tiles) > 1:
            cuts = " ".join(f"{dim}={length}" for dim, length in option.tiling.cuts)
            count = len(option.tiling.tiles)
            self.changes.append(f"{entry} {numbers}: {count} tiles {cuts}, {option.staged_bytes} B")
        return tiles

    def _append(
        self, flat: list[Call], first: list[Call], room: int, reach: tuple[int, int]
    ) -> None:
        """Begins copies during the last tiles of the unit before, those first that have nothing to
        wait for.

        Args:
            flat: calls of the units before; the copies are inserted.
            first: what a unit fetches before its first tile.
            room: bytes that the unit before leaves.
            reach: calls before which a copy may begin: into new memory, and into a ring in use.
        """
        old = {view.buffer for call in flat for view in call.views}
        places = [self._place(flat, copy, reach[copy.writes[0].buffer in old]) for copy in first]
        early, end = 0, len(flat)
        for at, copy in sorted(zip(places, first, strict=True), key=lambda pair: pair[0]):
            new = {view.buffer for view in copy.writes} - old
            size = sum(self.buffers[name].size_bytes for name in new)
            if at < end and size <= room:
                room -= size
                old |= new
                flat.insert(at + early, copy)
                early += 1
            else:
                flat.append(copy)

    def _place(self, flat: Sequence[Call], copy: Call, reach: int) -> int:
        """Where a copy may begin: before the first of the last calls, `reach` of them at most, from
        which on nobody makes what it brings or is at work where it brings it; or at the end."""
        (target,), (source,) = copy.writes, copy.reads
        place = len(flat)
        for at in range(len(flat) - 1, -1, -1):
            call = flat[at]
            if any(_meet(target, view) for view in call.views):
                break
            if any(_meet(source, view) for view in call.writes):
                break
            if not isinstance(call.attrs, Copy):
                place, reach = at, reach - 1
                if not reach:
                    break
        return place


def _meet(one: View, other: View) -> bool:
    """True if two views may share an element."""
    (a, b), (c, d) = one.span(), other.span()
    return one.buffer == other.buffer and a <= d and c <= b


def _whole(twin: Buffer, stay: Stay, inward: bool, unit: Call) -> Call:
    """Fetches or stores all of a buffer for a unit, given by its first call."""
    region = region_of(View.whole(replace(twin, name=stay.buffer)))
    assert region is not None
    copy = copy_of(region, twin, 0, inward)
    return replace(copy, phase=unit.phase, source=unit.source, origin=unit.origin)
