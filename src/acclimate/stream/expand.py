# SPDX-License-Identifier: Apache-2.0
"""A call as a sequence of copies and of calls on tiles in the fast memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import inf

from acclimate.kernels.copy.op import COPY, Copy
from acclimate.kernels.op import bits_of
from acclimate.program import Buffer, Call, Role, View, contiguous_strides
from acclimate.stream.region import Region, staged
from acclimate.stream.tiling import Stream, Tiling


@dataclass(frozen=True)
class Ring:
    """A buffer in the fast memory with slots that parts of operands take in turn.

    Args:
        buffer: all slots, one after the other; it may be longer.
        slots: how many.
        slot: elements of one.
        base: first element of the first slot.
        next: the slot that is taken next.
    """

    buffer: Buffer
    slots: int
    slot: int
    base: int = 0
    next: int = 0

    @property
    def size_bytes(self) -> int:
        """Of the fast memory."""
        return self.buffer.size_bytes

    def place(self, run: int) -> int:
        """First element of the slot of a run from now on."""
        return self.base + (self.next + run) % self.slots * self.slot

    def after(self, runs: int) -> Ring:
        """The ring when so many runs have taken a slot."""
        return replace(self, next=(self.next + runs) % self.slots)

    def follow(self, old: Ring) -> Ring | None:
        """This ring in the buffer of an older one, from where that one is free first.

        None where another type of elements lies there, or where the buffer is too short.
        """
        size, whole = self.slots * self.slot, old.buffer.size
        if old.buffer.dtype != self.buffer.dtype or size > whole:
            return None
        free = (old.place(-1) + old.slot) % whole  # behind the last run
        if free + size <= whole:
            return replace(self, buffer=old.buffer, base=free)
        return replace(self, buffer=old.buffer, next=-(-free // self.slot) % self.slots)


@dataclass(frozen=True)
class Tiles:
    """What takes the place of a call.

    Args:
        first: copies that the first tile waits for; they may begin earlier.
        rest: calls on tiles and further copies, in the order in which they begin.
        rings: the buffers of the tiles, as they are left.
    """

    first: tuple[Call, ...]
    rest: tuple[Call, ...]
    rings: tuple[Ring, ...] = ()


@dataclass(frozen=True)
class _Stage:
    """The fast copies of an operand: slots that its parts take in turn."""

    stream: Stream
    ring: Ring

    @property
    def buffer(self) -> Buffer:
        return self.ring.buffer

    def run_of(self, tile: int) -> int:
        return bisect_right(self.stream.runs, (tile, inf)) - 1

    def view(self, part: View, tile: int) -> View:
        """An operand of a tile."""
        return staged(part, self.buffer, self.ring.place(self.run_of(tile)))

    def copy(self, run: int, inward: bool) -> Call:
        """Brings or takes away the part of a run."""
        region = self.stream.regions[self.stream.runs[run][0]]
        assert region is not None
        return copy_of(region, self.buffer, self.ring.place(run), inward)

    def fetches(self, tile: int) -> list[Call]:
        """Copies for a tile that its cores wait for; none after the last one."""
        runs = self.stream.runs
        at = bisect_left(runs, (tile,))
        begins = at < len(runs) and runs[at][0] == tile
        return [self.copy(at, True)] if begins and self.stream.reads[tile] else []

    def stores(self, tile: int) -> list[Call]:
        """Copies of what is done after a tile."""
        if not self.stream.leaves:
            return []
        at = self.run_of(tile)
        ends = at >= 0 and self.stream.runs[at][1] == tile + 1
        return [self.copy(at, False)] if ends else []


def copy_of(region: Region, inner: Buffer, offset: int, inward: bool) -> Call:
    """A copy between a region of the outer memory and a dense piece of the inner one."""
    shape = tuple(count for count, _ in region.loops) or (1,)
    strides = tuple(stride for _, stride in region.loops) or (0,)
    if strides[-1] != 1 and shape != (1,):
        shape, strides = (*shape, 1), (*strides, 0)
    near = View(inner.name, shape, contiguous_strides(shape), offset)
    far = View(region.buffer, shape, strides, region.offset)
    outputs, inputs = ((near,), (far,)) if inward else ((far,), (near,))
    return Call(COPY, outputs, inputs, Copy(shape, inward))


def expand(
    stem: str,
    tiling: Tiling,
    origins: Sequence[int],
    inner: Set[str],
    buffers: Mapping[str, Buffer],
    fast: str,
    rings: Sequence[Ring] = (),
    slack: int = 0,
) -> Tiles:
    """Writes a unit as tiles.

    Before: y = conv(x, w). After, for parts of w and y: fetch x, fetch w.0, fetch w.1, y.0 =
    conv(x, w.0), store y.0, fetch w.2, y.1 = conv(x, w.1), store y.1, ...

    Args:
        stem: begins the names of the new buffers.
        tiling: how it is cut.
        origins: numbers of the calls of the unit.
        inner: buffers that lie in the fast memory.
        buffers: of the program.
        fast: name of that memory.
        rings: of the units before; those in whose buffers tiles of this one have room go on, so
            that the first tiles can come while the last ones of that unit are computed.
        slack: bytes that these may be longer than what this unit needs.
    """
    moved = tiling.moved(inner)
    new = [
        _ring(stream, stream.slots(tiling.ahead), f"{stem}_tile_{n}", fast, buffers[stream.buffer])
        for n, stream in enumerate(moved)
    ]
    stages = list(map(_Stage, moved, _followed(new, rings, slack)))
    count, ahead = len(tiling.tiles), tiling.ahead
    begun = range(min(ahead, count))
    first = [copy for tile in begun for stage in stages for copy in stage.fetches(tile)]
    rest: list[Call] = []
    for tile, unit in enumerate(tiling.tiles):
        rest += [copy for stage in stages for copy in stage.fetches(tile + ahead)]
        rest += [
            replace(_on_tiles(call, n, tile, stages), origin=origins[n])
            for n, call in enumerate(unit)
        ]
        rest += [copy for stage in stages for copy in stage.stores(tile)]
    whole = tiling.tiles[0]

    def of_unit(calls: Sequence[Call]) -> tuple[Call, ...]:
        return tuple(
            replace(c, phase=whole[0].phase, source=whole[0].source, origin=origins[0])
            if isinstance(c.attrs, Copy)
            else c
            for c in calls
        )

    return Tiles(
        of_unit(first),
        of_unit(rest),
        tuple(stage.ring.after(len(stage.stream.runs)) for stage in stages),
    )


def _followed(new: Sequence[Ring], old: Sequence[Ring], slack: int) -> list[Ring]:
    """New rings in the buffers of old ones where that is possible, the largest first.

    As long as there is memory for all of them, a small one leaves a large buffer to later units,
    and none waits for the only slot of another one.
    """
    found, free = list(new), sorted(old, key=lambda ring: ring.size_bytes)
    roomy = sum(ring.size_bytes for ring in old) <= slack
    for number in sorted(range(len(new)), key=lambda n: -new[n].size_bytes):
        ring = new[number]
        for other in free:
            more = other.size_bytes - ring.size_bytes
            if more > slack or (roomy and (more > ring.size_bytes or other.slots == 1)):
                continue
            if (same := ring.follow(other)) is not None:
                found[number], slack = same, slack - more
                free.remove(other)
                break
    return found


def _ring(stream: Stream, slots: int, name: str, fast: str, outer: Buffer) -> Ring:
    slot = 8 * stream.slot_bytes // bits_of(outer.dtype)
    buffer = Buffer(name, (slots * slot,), outer.dtype, Role.TILE, outer.source, memory=fast)
    return Ring(buffer, slots, slot)


def _on_tiles(call: Call, number: int, tile: int, stages: Sequence[_Stage]) -> Call:
    views = [*call.inputs, *call.outputs]
    for stage in stages:
        for place in stage.stream.places:
            part = place.parts[tile]
            if place.call == number and part is not None:
                views[place.position] = stage.view(part, tile)
    count = len(call.inputs)
    return replace(call, inputs=tuple(views[:count]), outputs=tuple(views[count:]))
