# SPDX-License-Identifier: Apache-2.0
"""Windows on buffers as a copy moves them: rows in one memory, densely packed in the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod

from acclimate.kernels.op import Shape
from acclimate.program import Buffer, View

_ROWS = 2  # loops of a copy: rows, and the elements of a row
_REMEMBERED = 50_000  # shapes with their strides


@dataclass(frozen=True)
class Region:
    """The elements of a view, each once, in the order of their addresses.

    Args:
        buffer: on which they lie.
        offset: of the first element.
        loops: (count, stride) in elements, outermost first; neighbours that form one piece are one.
    """

    buffer: str
    offset: int
    loops: tuple[tuple[int, int], ...]

    @cached_property
    def size(self) -> int:
        """Number of elements."""
        return prod(count for count, _ in self.loops)

    @property
    def view(self) -> View:
        """The elements as a view of the fewest axes."""
        counts, strides = zip(*self.loops, strict=True) if self.loops else ((), ())
        return View(self.buffer, tuple(counts), tuple(strides), self.offset)


def region_of(view: View) -> Region | None:
    """The region of a view, or None where no copy can move it: it overlaps itself."""
    loops = _loops(view.shape, view.strides)
    return None if loops is None else Region(view.buffer, view.offset, loops)


@lru_cache(maxsize=_REMEMBERED)
def _loops(shape: Shape, strides: Shape) -> tuple[tuple[int, int], ...] | None:
    """Loops of a region: most tiles of an operand have the same ones at another offset."""
    loops: list[tuple[int, int]] = []
    for axis in _walked(strides):
        count, stride = shape[axis], strides[axis]
        if stride < 0 or (loops and loops[-1][1] < count * stride):
            return None
        if loops and loops[-1][1] == count * stride:
            loops[-1] = (loops[-1][0] * count, stride)
        else:
            loops.append((count, stride))
    return tuple(loops)


def movable(region: Region) -> bool:
    """True if one copy moves the region: rows of elements that lie side by side."""
    if not region.loops:
        return True
    return len(region.loops) + (region.loops[-1][1] != 1) <= _ROWS


def in_bytes(region: Region) -> bool:
    """True if the elements, where they are bits, make up whole bytes."""
    if not region.loops or region.loops[-1][1] != 1:
        return False
    numbers = [region.offset, region.loops[-1][0], *(stride for _, stride in region.loops[:-1])]
    return all(number % 8 == 0 for number in numbers)


def staged(view: View, buffer: Buffer, offset: int = 0) -> View:
    """The view on a dense copy of its region that begins at an offset of a buffer."""
    strides: dict[int, int] = {}
    step = 1
    for axis in reversed(_walked(view.strides)):
        strides[axis] = step
        step *= view.shape[axis]
    dense: Shape = tuple(strides.get(axis, 0) for axis in range(len(view.shape)))
    return replace(view, buffer=buffer.name, strides=dense, offset=offset)


def _walked(strides: Shape) -> list[int]:
    """Axes along which the elements differ, by falling stride: it is 0 along axes of size 1."""
    return sorted([a for a, s in enumerate(strides) if s], key=lambda a: -strides[a])
