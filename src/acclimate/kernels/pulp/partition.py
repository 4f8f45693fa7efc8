# SPDX-License-Identifier: Apache-2.0
"""Cuts rows and columns into blocks, shares blocks out to cores, and finds regular walks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
# First item, outer count, inner count, outer step, inner step.
Found = tuple[int, int, int, tuple[int, ...], tuple[int, ...]]


def even(count: int, largest: int) -> list[int]:
    """Sizes of the fewest pieces of at most `largest`, larger ones first: 11, 4 -> 4, 4, 3."""
    pieces = -(-count // largest)
    return [count // pieces + (number < count % pieces) for number in range(pieces)]


def bounds(count: int, parts: int) -> list[int]:
    """First item of every part, and the end: sizes differ by one at most, as `ac_split` of ac.h."""
    return [count // parts * part + min(part, count % parts) for part in range(parts + 1)]


def shares(costs: Sequence[float], parts: int) -> list[range]:
    """Contiguous ranges of items with sums of cost as equal as their order allows."""
    total = sum(costs)
    ends, done = [0], 0.0
    for number, cost in enumerate(costs):
        while len(ends) < parts and done + cost / 2 >= total * len(ends) / parts:
            ends.append(number)
        done += cost
    ends += [len(costs)] * (parts + 1 - len(ends))
    return [range(a, b) for a, b in pairwise(ends)]


def tiles(shape: tuple[int, int], tile: tuple[int, int]) -> list[Numbers]:
    """Indices of the columns in every tile of a grid, band by band.

    Args:
        shape: lines and columns of the grid; a column's index is line * columns + column.
        tile: most lines and columns of a tile.
    """
    found = []
    top = 0
    for height in even(shape[0], tile[0]):
        left = 0
        lines = np.arange(top, top + height) * shape[1]
        for width in even(shape[1], tile[1]):
            found.append((lines[:, None] + np.arange(left, left + width)).reshape(-1))
            left += width
        top += height
    return found


def walks(places: Sequence[tuple[int, ...]]) -> list[Found]:
    """Splits a list of places into walks in two nested loops.

    Returns:
        (first item, outer count, inner count, outer step, inner step) of each walk.
    """
    found = []
    at = 0
    points = np.array(places, np.int64)
    while at < len(points):
        inner, step = _run(points[at:])
        outer, outer_step = 1, np.zeros_like(step)
        if at + 2 * inner <= len(points):
            outer_step = points[at + inner] - points[at]
            while _repeats(points, at, inner, step, outer, outer_step):
                outer += 1
            if outer == 1:
                outer_step = np.zeros_like(step)
        found.append((at, outer, inner, _tuple(outer_step), _tuple(step)))
        at += outer * inner
    return found


def _tuple(numbers: Numbers) -> tuple[int, ...]:
    return tuple(int(n) for n in numbers)


def _run(points: Numbers) -> tuple[int, Numbers]:
    """Length of the arithmetic progression at the beginning, and its step."""
    if len(points) == 1:
        return 1, np.zeros_like(points[0])
    steps = np.diff(points, axis=0)
    same = (steps == steps[0]).all(axis=1)
    length = 1 + (len(same) if same.all() else int(np.argmin(same)))
    return length, steps[0]


def _repeats(
    points: Numbers, at: int, inner: int, step: Numbers, outer: int, outer_step: Numbers
) -> bool:
    """True if the walk's inner run comes once more, `outer` outer steps on."""
    first = at + outer * inner
    if first + inner > len(points):
        return False
    wanted = points[at] + outer * outer_step + np.arange(inner)[:, None] * step
    return bool((points[first : first + inner] == wanted).all())
