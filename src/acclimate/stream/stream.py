# SPDX-License-Identifier: Apache-2.0
"""A program whose data do not fit the fast memory: its calls become tiles, with copies between."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from acclimate.kernels.copy.op import Copy
from acclimate.kernels.op import bytes_of
from acclimate.program import Buffer, Call, Program, Role, View
from acclimate.stream.expand import Ring, Tiles, copy_of, expand
from acclimate.stream.forms import Forms, Option
from acclimate.stream.options import Options, users_of
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
        forms, users = Forms.of(target, room), users_of(program.calls())
        self._options = Options(program.buffers, forms, users)
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
            fixed = b.role.external or b.role.behind
            self.buffers[name] = b if fixed else replace(b, memory=inside)

    def _all(self, stay: Stay) -> bool:
        """True for a buffer that has no other place than the fast memory."""
        arena = self.program.buffers[stay.buffer].role.in_arena
        return arena and not stay.fills and not stay.spills

    def calls(self, entry: str, units: Sequence[Unit]) -> tuple[Call, ...]:
        """The calls of an entry point in tiles."""
        twins = self._twins(entry)
        flat: list[Call] = []
        reach = 1  # calls before which copies for the next unit may begin
        spare = 0  # bytes that are free during these calls
        rings: tuple[Ring, ...] = ()  # of the units before, if there is still memory for them
        count = itertools.count()
        for number, unit in enumerate(units):
            origins = [next(count) for _ in unit]
            if isinstance(unit[0].attrs, Copy):
                # Between l2 and l3, beside what the DMA fetches: tiles go on as before.
                flat.append(replace(unit[0], origin=origins[0]))
                continue
            inner = self.stays.inner(entry, number)
            left = self.stays.left(entry, number)
            kinds = [(ring.size_bytes, ring.slots) for ring in rings]
            found = self.options.refined(unit, inner, left, spare, kinds)
            option = self.options.written(unit, found)
            tiles = self._tiles(entry, unit, origins, option, inner, rings, left)
            here = {ring.buffer.name for ring in tiles.rings}
            taken = max(option.staged_bytes, sum(ring.size_bytes for ring in tiles.rings))
            idle = _fitting([r for r in rings if r.buffer.name not in here], left - taken)
            rings = *tiles.rings, *idle
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
            used = self._append(flat, first, spare, reach)
            flat += rest
            many = option.tiling is not None and len(option.tiling.tiles) > 1
            last = len(unit) * (option.tiling.ahead if option.tiling and many else 1)
            free = left - taken - sum(ring.size_bytes for ring in idle)
            # Across a unit of one tile, copies may begin during the unit before it.
            reach, spare = (last, free) if many else (last + reach, min(spare - used, free))
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
        left: int,
    ) -> Tiles:
        if option.tiling is None:
            return Tiles(
                (), tuple(replace(c, origin=n) for c, n in zip(unit, origins, strict=True))
            )
        numbers = "_".join(map(str, origins))
        stem = f"{entry}.call_{numbers}"
        slack = left - option.staged_bytes
        buffers = self.program.buffers
        tiles = expand(stem, option.tiling, origins, inner, buffers, self.fast, rings, slack)
        self.buffers |= {ring.buffer.name: ring.buffer for ring in tiles.rings}
        if len(option.tiling.tiles) > 1:
            cuts = " ".join(f"{dim}={length}" for dim, length in option.tiling.cuts)
            count = len(option.tiling.tiles)
            self.changes.append(f"{entry} {numbers}: {count} tiles {cuts}, {option.staged_bytes} B")
        return tiles

    def _append(self, flat: list[Call], first: list[Call], room: int, reach: int) -> int:
        """Begins copies during the last tiles of the units before, those first that have nothing to
        wait for.

        Args:
            flat: calls of the units before; the copies are inserted.
            first: what a unit fetches before its first tile.
            room: bytes that are free during the last calls.
            reach: how many these are.

        Returns:
            Bytes that the copies take from then on.
        """
        places = [self._place(flat, copy, reach) for copy in first]
        early, end, taken = 0, len(flat), 0
        wanted = {view.buffer for copy in first for view in copy.writes}
        old = {view.buffer for call in flat for view in call.views if view.buffer in wanted}
        for at, copy in sorted(zip(places, first, strict=True), key=lambda pair: pair[0]):
            new = {view.buffer for view in copy.writes} - old
            size = sum(self.buffers[name].size_bytes for name in new)
            if at < end and size <= room - taken:
                taken += size
                old |= new
                flat.insert(at + early, copy)
                early += 1
            else:
                flat.append(copy)
        return taken

    def _place(self, flat: Sequence[Call], copy: Call, reach: int) -> int:
        """Where a copy may begin: before the first of the last calls, `reach` of them at most, from
        which on nobody makes what it brings or is at work where it brings it; or at the end."""
        (target,), (source,) = copy.writes, copy.reads
        costs = self.options.forms.costs
        place, after = len(flat), len(flat)
        # Copies run one after the other: what is needed earlier must not wait for this one.
        passed, hidden = False, -costs.copy(_bytes(copy, self.buffers))
        for at in range(len(flat) - 1, -1, -1):
            call = flat[at]
            if any(_meet(target, view) for view in call.views):
                # Core 0 would wait for a store that has only begun, and all would wait for core 0.
                return after if isinstance(call.attrs, Copy) else place
            if any(_meet(source, view) for view in call.writes):
                break
            if isinstance(call.attrs, Copy):
                if call.attrs.inward:
                    hidden -= costs.copy(_bytes(call, self.buffers)) if passed else 0.0
                    passed = True
                continue
            hidden += costs.cycles(call) if passed else 0.0
            if not passed or hidden >= 0.0:
                place, after = at, place
            reach -= 1
            if not reach:
                break
        return place


def _bytes(copy: Call, buffers: Mapping[str, Buffer]) -> int:
    (target,) = copy.writes
    return bytes_of(buffers[target.buffer].dtype, target.size)


def _meet(one: View, other: View) -> bool:
    """True if two views may share an element."""
    (a, b), (c, d) = one.span(), other.span()
    return one.buffer == other.buffer and a <= d and c <= b


def _fitting(rings: Sequence[Ring], room: int) -> tuple[Ring, ...]:
    """The first rings that have room together."""
    found = []
    for ring in rings:
        if ring.size_bytes <= room:
            found.append(ring)
            room -= ring.size_bytes
    return tuple(found)


def _whole(twin: Buffer, stay: Stay, inward: bool, unit: Call) -> Call:
    """Fetches or stores all of a buffer for a unit, given by its first call."""
    region = region_of(View.whole(replace(twin, name=stay.buffer)))
    assert region is not None
    copy = copy_of(region, twin, 0, inward)
    return replace(copy, phase=unit.phase, source=unit.source, origin=unit.origin)
