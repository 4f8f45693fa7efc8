# SPDX-License-Identifier: Apache-2.0
"""Ways to compute a call tile by tile, and what each of them moves and takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

from acclimate.kernels.op import DTYPES
from acclimate.program import Buffer, Call, Role, View
from acclimate.stream.parts import Axis, axes_of, part_of
from acclimate.stream.region import Region, movable, region_of

# Lengths of the parts that are tried: this share of the dim, from half of it to very little.
_SHARES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 128, 256, 512)
_FEW_SHARES = (2, 4, 8, 16, 32, 64)
_MOST_TILES = 512
_STEPS = (8, 4, 2)  # blocks of kernels, and cores, divide parts of such lengths


@dataclass(frozen=True)
class Stream:
    """One operand of a call, tile by tile.

    Args:
        view: of the whole call.
        positions: in `inputs` followed by `outputs`.
        parts: its window in every tile; None in tiles that do not have it.
        item_bytes: of an element.
        reads: tiles that need its value.
        writes: the tiles set it.
    """

    view: View
    positions: tuple[int, ...]
    parts: tuple[View | None, ...]
    item_bytes: int
    reads: tuple[bool, ...]
    writes: bool

    @cached_property
    def regions(self) -> tuple[Region | None, ...]:
        """What a copy moves in every tile."""
        return tuple(None if part is None else region_of(part) for part in self.parts)

    @cached_property
    def movable(self) -> bool:
        """True if copies can move all parts."""
        return all(
            part is None or (region is not None and movable(region))
            for part, region in zip(self.parts, self.regions, strict=True)
        )

    @cached_property
    def contiguous(self) -> bool:
        """True if all parts are in one piece, so that a kernel can work on them where they lie."""
        return all(part is None or part.contiguous for part in self.parts)

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Tiles [first, stop) with the same region, one after the other."""
        edges = [
            0,
            *(t for t in range(1, len(self.parts)) if self.regions[t] != self.regions[t - 1]),
        ]
        found = pairwise([*edges, len(self.parts)])
        return tuple((a, b) for a, b in found if self.regions[a] is not None)

    def bytes_of(self, tile: int) -> int:
        """Bytes of its region in a tile."""
        region = self.regions[tile]
        return region.size * self.item_bytes if region else 0

    @cached_property
    def slot_bytes(self) -> int:
        """Bytes of the largest part, aligned to words."""
        return -(-max(self.bytes_of(t) for t in range(len(self.parts))) // 4) * 4

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
        return tuple(
            self.bytes_of(t) if t in first and self.reads[t] else 0 for t in range(len(self.parts))
        )

    @cached_property
    def moves_out(self) -> tuple[int, ...]:
        """Bytes stored after every tile."""
        last = {b - 1 for _, b in self.runs}
        return tuple(
            self.bytes_of(t) if t in last and self.writes else 0 for t in range(len(self.parts))
        )


@dataclass(frozen=True)
class Tiling:
    """A call as tiles.

    Args:
        cuts: (dim, length of a part), the outer loop first; none for one tile.
        tiles: the calls, on windows of the buffers of the whole.
        streams: its operands, without scalars.
        ahead: tiles whose operands are fetched before they are needed. With two of them the DMA
            always has something to do, with one it waits until the cores have met.
    """

    cuts: tuple[tuple[str, int], ...]
    tiles: tuple[Call, ...]
    streams: tuple[Stream, ...]
    ahead: int = 1

    def moved(self, inner: Set[str]) -> list[Stream]:
        """The operands that copies bring and take away; `inner` are in the fast memory anyway."""
        return [stream for stream in self.streams if stream.view.buffer not in inner]

    def staged_bytes(self, inner: Set[str]) -> int | None:
        """Fast memory for operands that lie elsewhere; None if a part cannot be computed so."""
        total = 0
        for stream in self.streams:
            if stream.view.buffer in inner:
                if not stream.contiguous and not self.tiles[0].op.generated:
                    return None
            elif not stream.movable:
                return None
            else:
                total += stream.slots(self.ahead) * stream.slot_bytes
        return total


def tilings(call: Call, buffers: Mapping[str, Buffer]) -> Iterator[Iterator[Tiling]]:
    """The call whole, then cut along one dim, then along two; each family from long to short."""
    yield iter([_tiling(call, (), buffers)])
    axes = axes_of(call)
    for axis in axes:
        lengths = _lengths(axis, _SHARES)
        yield (_tiling(call, ((axis.dim, length),), buffers) for length in lengths)
    # Parts that add up are the inner loop, so that their sum stays where it is.
    for outer, inner in product(axes, axes):
        if outer != inner and not outer.adds:
            yield _grids(call, outer, inner, buffers)


def _grids(call: Call, outer: Axis, inner: Axis, buffers: Mapping[str, Buffer]) -> Iterator[Tiling]:
    for a, b in product(_lengths(outer, _FEW_SHARES), _lengths(inner, _FEW_SHARES)):
        if -(-outer.size // a) * -(-inner.size // b) <= _MOST_TILES:
            yield _tiling(call, ((outer.dim, a), (inner.dim, b)), buffers)


def _lengths(axis: Axis, shares: Sequence[int]) -> list[int]:
    """Lengths of the parts in whole grains, long ones first, each once; even where they can be."""
    grains = -(-axis.size // axis.grain)
    found: dict[int, None] = {}
    for share in shares:
        part = -(-grains // share)
        step = next((step for step in _STEPS if part >= step), 1)
        found[-(-part // step) * step * axis.grain] = None
    return [length for length in found if length < axis.size]


def _tiling(call: Call, cuts: tuple[tuple[str, int], ...], buffers: Mapping[str, Buffer]) -> Tiling:
    tiles = [call]
    for dim, length in cuts:
        tiles = [part for whole in tiles for part in _cut(whole, dim, length)]
    return Tiling(cuts, tuple(tiles), _streams(call, tiles, buffers))


def _cut(call: Call, dim: str, length: int) -> list[Call]:
    size = next((axis.size for axis in axes_of(call) if axis.dim == dim), 0)
    if size <= length:
        return [call]
    return [part_of(call, dim, at, min(at + length, size)) for at in range(0, size, length)]


def _streams(
    call: Call, tiles: Sequence[Call], buffers: Mapping[str, Buffer]
) -> tuple[Stream, ...]:
    places: dict[View, list[int]] = {}
    for position, view in enumerate((*call.inputs, *call.outputs)):
        if view is not None and buffers[view.buffer].role is not Role.SCALAR:
            places.setdefault(view, []).append(position)
    inputs = len(call.inputs)
    operands = [(*tile.inputs, *tile.outputs) for tile in tiles]
    found = []
    for view, positions in places.items():
        writes = any(position >= inputs for position in positions)
        read = any(position < inputs for position in positions)
        found.append(
            Stream(
                view=view,
                positions=tuple(positions),
                parts=tuple(given[positions[0]] for given in operands),
                item_bytes=DTYPES[buffers[view.buffer].dtype].itemsize,
                reads=tuple(read or (writes and tile.accumulate) for tile in tiles),
                writes=writes,
            )
        )
    return tuple(found)
