# SPDX-License-Identifier: Apache-2.0
"""Ways to compute calls tile by tile, and what each of them moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

from acclimate.kernels.op import bits_of
from acclimate.program import Buffer, Call, Role, View
from acclimate.stream.parts import Axis, axes_of, part_of
from acclimate.stream.region import Region, in_bytes, movable, region_of

# Lengths of the parts that are tried: this share of the dim, from half of it to very little.
_SHARES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24, 32, 48, 64, 128, 256, 512)
_FEW_SHARES = (2, 4, 8, 16, 32, 64)
_MOST_TILES = 512
_STEPS = (8, 4, 2)  # blocks of kernels, and cores, divide parts of such lengths

Unit = tuple[Call, ...]  # calls that are computed tile by tile together


@dataclass(frozen=True)
class Place:
    """Where a call of a unit takes an operand.

    Args:
        call: its number in the unit.
        position: in `inputs` followed by `outputs`.
        parts: its window in every tile; None in tiles that do not have it.
    """

    call: int
    position: int
    parts: tuple[View | None, ...]


@dataclass(frozen=True)
class Stream:
    """One operand of a unit, tile by tile.

    Args:
        buffer: on which it lies.
        places: where the calls take it.
        item_bits: of an element.
        whole: elements of the buffer.
        reads: tiles that need a value which they do not make themselves.
        writes: the tiles set it.
    """

    buffer: str
    places: tuple[Place, ...]
    item_bits: int
    whole: int
    reads: tuple[bool, ...]
    writes: bool

    @cached_property
    def regions(self) -> tuple[Region | None, ...]:
        """What a copy moves in every tile."""
        return _regions(self.places[0].parts)

    @cached_property
    def movable(self) -> bool:
        """True if copies can move all parts."""
        return all(
            part is None or (region is not None and movable(region))
            for part, region in zip(self.places[0].parts, self.regions, strict=True)
        )

    @cached_property
    def bytewise(self) -> bool:
        """True if no byte belongs to two parts, which matters where elements are bits."""
        return self.item_bits % 8 == 0 or all(
            region is None or region.size == self.whole or in_bytes(region)
            for region in self.regions
        )

    @cached_property
    def contiguous(self) -> bool:
        """True if all parts are in one piece, so that a kernel can work on them where they lie."""
        parts = (part for place in self.places for part in place.parts)
        return all(part is None or part.contiguous for part in parts)

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Tiles [first, stop) with the same region, one after the other."""
        regions = self.regions
        edges = [0, *(t for t in range(1, len(regions)) if regions[t] != regions[t - 1])]
        found = pairwise([*edges, len(regions)])
        return tuple((a, b) for a, b in found if regions[a] is not None)

    def bytes_of(self, tile: int) -> int:
        """Bytes of its region in a tile."""
        region = self.regions[tile]
        return -(-region.size * self.item_bits // 8) if region else 0

    @cached_property
    def slot_bytes(self) -> int:
        """Bytes of the largest part, aligned to words."""
        return -(-max(self.bytes_of(t) for t in range(len(self.regions))) // 4) * 4

    def slots(self, ahead: int) -> int:
        """Copies in the fast memory: one is computed on while others come and go.

        Args:
            ahead: tiles that are fetched before they are needed.
        """
        coming = ahead if any(self.reads) else 0
        return min(len(self.runs), 1 + coming + self.writes)

    @cached_property
    def moves_in(self) -> tuple[int, ...]:
        """Bytes fetched for every tile."""
        first = {a for a, _ in self.runs}
        tiles = range(len(self.regions))
        return tuple(self.bytes_of(t) if t in first and self.reads[t] else 0 for t in tiles)

    @cached_property
    def moves_out(self) -> tuple[int, ...]:
        """Bytes stored after every tile."""
        last = {b - 1 for _, b in self.runs}
        tiles = range(len(self.regions))
        return tuple(self.bytes_of(t) if t in last and self.writes else 0 for t in tiles)


@dataclass(frozen=True)
class Tiling:
    """A unit as tiles.

    Args:
        cuts: (dim of the first call, length of a part), the outer loop first; none for one tile.
        tiles: the calls of every tile, on windows of the buffers of the whole.
        streams: operands, without scalars.
        ahead: tiles whose operands are fetched before they are needed. With two of them the DMA
            always has something to do, with one it waits until the cores have met.
    """

    cuts: tuple[tuple[str, int], ...]
    tiles: tuple[Unit, ...]
    streams: tuple[Stream, ...]
    ahead: int = 1

    def moved(self, inner: Set[str]) -> list[Stream]:
        """The operands that copies bring and take away; `inner` are in the fast memory anyway."""
        return [stream for stream in self.streams if stream.buffer not in inner]

    def staged_bytes(self, inner: Set[str]) -> int | None:
        """Fast memory for operands that lie elsewhere; None if a part cannot be computed so."""
        total = 0
        for stream in self.streams:
            if not stream.bytewise:
                return None
            if stream.buffer in inner:
                loops = all(self.tiles[0][place.call].op.generated for place in stream.places)
                if not stream.contiguous and not loops:
                    return None
            elif not stream.movable:
                return None
            else:
                total += stream.slots(self.ahead) * stream.slot_bytes
        return total


def tilings(unit: Unit, buffers: Mapping[str, Buffer], crossed: bool) -> Iterator[Iterator[Tiling]]:
    """Families of tilings, each from long parts to short ones.

    Args:
        unit: what is cut.
        buffers: of the program.
        crossed: along two dims; else the whole, and along one dim.
    """
    joint = [found for axis in axes_of(unit[0]) if (found := _common(unit, axis, buffers))]
    if not crossed:
        yield iter([tiling_of((), [unit], buffers)])
        for axes in joint:
            lengths = _lengths(axes[0], _SHARES)
            yield _family(unit, axes, lengths, buffers)
        return
    # Parts that add up are the inner loop, so that their sum stays where it is.
    for outer, inner in product(joint, joint):
        if outer != inner and not any(axis.adds for axis in outer):
            yield _grids(unit, outer, inner, buffers)


def _family(
    unit: Unit, axes: Sequence[Axis], lengths: Sequence[int], buffers: Mapping[str, Buffer]
) -> Iterator[Tiling]:
    for length in lengths:
        yield _cut_tiling(unit, ((axes, length),), buffers)


def _grids(
    unit: Unit, outer: Sequence[Axis], inner: Sequence[Axis], buffers: Mapping[str, Buffer]
) -> Iterator[Tiling]:
    for a, b in product(_lengths(outer[0], _FEW_SHARES), _lengths(inner[0], _FEW_SHARES)):
        if -(-outer[0].size // a) * -(-inner[0].size // b) <= _MOST_TILES:
            yield _cut_tiling(unit, ((outer, a), (inner, b)), buffers)


def _common(unit: Unit, axis: Axis, buffers: Mapping[str, Buffer]) -> tuple[Axis, ...]:
    """An axis of every call such that what one call makes is what the next ones need in a tile."""
    found = [axis]
    for call in unit[1:]:
        for other in axes_of(call):
            if other.size != axis.size or other.grain not in (1, axis.grain):
                continue
            halves = _cut_tiling(
                unit[: len(found) + 1], (((*found, other), -(-axis.size // 2)),), buffers
            )
            if _agrees(halves):
                found.append(other)
                break
        else:
            return ()
    return tuple(found)


def _agrees(tiling: Tiling) -> bool:
    """True if no call uses another part of a buffer than the calls before have made."""
    written = {stream.buffer for stream in tiling.streams if stream.writes}
    windows = [stream for stream in tiling.streams if stream.buffer in written]
    for stream in windows:
        calls = {place.call for place in stream.places}
        if len(stream.runs) < len(tiling.tiles) and len(calls) > 1:
            return False  # it is complete only after the last tile
    return len(windows) == len({stream.buffer for stream in windows})


def _lengths(axis: Axis, shares: Sequence[int]) -> list[int]:
    """Lengths of the parts in whole grains, long ones first, each once; even where they can be."""
    grains = -(-axis.size // axis.grain)
    found: dict[int, None] = {}
    for share in shares:
        part = -(-grains // share)
        step = next((step for step in _STEPS if part >= step), 1)
        found[-(-part // step) * step * axis.grain] = None
        if part % 2 == 0 or grains % part == 0:
            found[part * axis.grain] = None
    return sorted((length for length in found if length < axis.size), reverse=True)


def _cut_tiling(
    unit: Unit,
    cuts: Sequence[tuple[Sequence[Axis], int]],
    buffers: Mapping[str, Buffer],
) -> Tiling:
    tiles = [unit]
    for axes, length in cuts:
        tiles = [part for whole in tiles for part in _cut(whole, axes, length)]
    return tiling_of(tuple((axes[0].dim, length) for axes, length in cuts), tiles, buffers)


def _cut(unit: Unit, axes: Sequence[Axis], length: int) -> list[Unit]:
    """The parts of a unit along an axis of each of its calls."""
    dims = [axis.dim for axis in axes]
    size = next((axis.size for axis in axes_of(unit[0]) if axis.dim == dims[0]), 0)
    if size <= length:
        return [unit]
    return [
        tuple(
            part_of(call, dim, at, min(at + length, size))
            for call, dim in zip(unit, dims, strict=True)
        )
        for at in range(0, size, length)
    ]


def tiling_of(
    cuts: tuple[tuple[str, int], ...], tiles: Sequence[Unit], buffers: Mapping[str, Buffer]
) -> Tiling:
    """The tiling that consists of some tiles.

    Args:
        cuts: that made them.
        tiles: the calls of every tile.
        buffers: of the program.
    """
    return Tiling(cuts, tuple(tiles), _streams(tiles, buffers))


def _regions(parts: Sequence[View | None]) -> tuple[Region | None, ...]:
    return tuple(None if part is None else region_of(part) for part in parts)


def _streams(tiles: Sequence[Unit], buffers: Mapping[str, Buffer]) -> tuple[Stream, ...]:
    """Operands with the same regions in all tiles are one stream."""
    found: dict[tuple[str, object], list[Place]] = {}
    for number in range(len(tiles[0])):
        operands = [(*tile[number].inputs, *tile[number].outputs) for tile in tiles]
        for position, view in enumerate(operands[0]):
            if view is None or buffers[view.buffer].role is Role.SCALAR:
                continue
            parts = tuple(given[position] for given in operands)
            regions = _regions(parts)
            same = parts if None in regions and None not in parts else regions
            found.setdefault((view.buffer, same), []).append(Place(number, position, parts))
    return tuple(_stream(tiles, places, buffers) for places in found.values())


def _stream(tiles: Sequence[Unit], places: list[Place], buffers: Mapping[str, Buffer]) -> Stream:
    first = min(place.call for place in places)
    inputs = len(tiles[0][first].inputs)
    taken = any(p.position < inputs for p in places if p.call == first)
    view = next(part for part in places[0].parts if part is not None)
    return Stream(
        buffer=view.buffer,
        places=tuple(places),
        item_bits=bits_of(buffers[view.buffer].dtype),
        whole=buffers[view.buffer].size,
        reads=tuple(taken or tile[first].accumulate for tile in tiles),
        writes=any(p.position >= len(tiles[0][p.call].inputs) for p in places),
    )
