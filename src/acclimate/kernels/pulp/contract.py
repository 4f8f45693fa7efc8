# SPDX-License-Identifier: Apache-2.0
"""Contractions, and their rows and columns as blocks in equal steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from acclimate.kernels.pulp.partition import Numbers, even, walks
from acclimate.kernels.pulp.pointers import Taps
from acclimate.kernels.pulp.result import Result

WORD = 4


@dataclass(frozen=True, eq=False)
class Contraction:
    """c[i][j] = sum over taps of a b, for rows i and a grid of columns j. Offsets are bytes.

    Args:
        rows: offsets of a and of c, shape [M].
        columns: offsets of b and of c, shape [lines, columns per line].
        taps: the terms of the sums.
        result: what becomes of them; with `sums`, each row's sum is stored as well.
        names: operands of a, b, c, bias and rate; empty for none.
        planes: offsets of b per row, shape [M], where each row has columns of its own; such blocks
            have one row.
    """

    rows: tuple[Numbers, Numbers]
    columns: tuple[Numbers, Numbers]
    taps: Taps
    result: Result
    names: tuple[str, str, str, str, str]
    planes: Numbers | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and columns per line, in one line where they lie evenly."""
        lines, width = self.columns[0].shape
        flat = all(_even(offsets.reshape(-1)) for offsets in self.columns)
        return (1, lines * width) if flat else (lines, width)


def _even(offsets: Numbers) -> bool:
    steps = np.diff(offsets)
    return bool((steps == steps[:1]).all())


def grid(*axes: tuple[int, int]) -> Numbers:
    """Offsets of a grid: axes are (count, step in words), outermost first; two dimensions."""
    (lines, down), (width, right) = axes
    return (np.arange(lines)[:, None] * down + np.arange(width) * right) * WORD


def line(count: int, step: int) -> Numbers:
    """Offsets of one axis, given its step in words."""
    return np.arange(count) * step * WORD


def fitted_tile(tile: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Lines and columns of as many sums in a grid that may be narrower; whole lines if several."""
    width = min(tile[1], shape[1])
    if width < shape[1]:
        return 1, width
    return min(shape[0], max(1, tile[0] * tile[1] // width)), width


@dataclass(frozen=True)
class Rows:
    """Row blocks of one form that lie in equal steps.

    Args:
        a: offsets of the rows of a from the first one.
        c: offsets of the rows of c, alike.
        first: offsets of a, of c and of the plane of b, and number of the row, of the first block.
        steps: of a, c, number and plane.
        count: of blocks.
    """

    a: tuple[int, ...]
    c: tuple[int, ...]
    first: tuple[int, int, int, int]
    steps: tuple[int, int, int, int]
    count: int


def row_blocks(problem: Contraction, rows: range, most: int) -> list[Rows]:
    """Row blocks of at most so many rows, by form: the same for all columns."""
    found = []
    for group, steps, count in row_walks(problem, rows, most):
        a, c = (offsets[group] for offsets in problem.rows)
        plane = 0 if problem.planes is None else int(problem.planes[group[0]])
        first = int(a[0]), int(c[0]), plane, group[0]
        found.append(Rows(relative(a), relative(c), first, steps, count))
    return found


def row_walks(
    problem: Contraction, rows: range, most: int
) -> Iterator[tuple[list[int], tuple[int, int, int, int], int]]:
    """Rows of the first block, step (a, c, index, plane of b) to the next, and number of blocks."""
    planes = np.zeros_like(problem.rows[0]) if problem.planes is None else problem.planes
    groups, at = [], rows.start
    for height in even(len(rows), most) if rows else ():
        groups.append(list(range(at, at + height)))
        at += height
    for height in sorted({len(group) for group in groups}, reverse=True):
        same = [group for group in groups if len(group) == height]
        each = (*problem.rows, np.arange(len(planes)), planes)
        places = [tuple(int(offsets[g[0]]) for offsets in each) for g in same]
        for first, outer, inner, _, step in walks(places):
            for repeat in range(outer):
                yield same[first + repeat * inner], (*_three(step), step[3]), inner


@dataclass(frozen=True)
class Columns:
    """Column blocks of one form that lie in equal steps.

    Args:
        b: offsets of the columns of b from the first one.
        c: offsets of the columns of c, alike.
        first: offsets of b, of c and of the bias, of the first block.
        outer: count and step (b, c, bias) of the outer loop over blocks.
        inner: count and step of the inner one.
    """

    b: tuple[int, ...]
    c: tuple[int, ...]
    first: tuple[int, int, int]
    outer: tuple[int, tuple[int, int, int]]
    inner: tuple[int, tuple[int, int, int]]


def column_walks(problem: Contraction, blocks: Sequence[Numbers]) -> list[Columns]:
    """Column blocks by form, as walks: the same for all rows."""
    found = []
    for (form_b, form_c), same in _forms(problem, blocks).items():
        places = [_place(problem, block) for block in same]
        for at, outer, inner, outer_step, inner_step in walks(places):
            steps = (outer, _three(outer_step)), (inner, _three(inner_step))
            found.append(Columns(form_b, form_c, places[at], *steps))
    return found


def _forms(
    problem: Contraction, blocks: Sequence[Numbers]
) -> dict[tuple[tuple[int, ...], tuple[int, ...]], list[Numbers]]:
    """Column blocks by the offsets of their columns from the first one."""
    forms = defaultdict(list)
    b, c = (offsets.reshape(-1) for offsets in problem.columns)
    for columns in blocks:
        forms[relative(b[columns]), relative(c[columns])].append(columns)
    return dict(forms)


def _place(problem: Contraction, columns: Numbers) -> tuple[int, int, int]:
    first = columns[0]
    b, c = (int(offsets.reshape(-1)[first]) for offsets in problem.columns)
    return b, c, int(first) * WORD if problem.result.bias == "columns" else 0


def _three(step: tuple[int, ...]) -> tuple[int, int, int]:
    return step[0], step[1], step[2]


def relative(offsets: Numbers) -> tuple[int, ...]:
    """Offsets from the first one."""
    return tuple((offsets - offsets[0]).tolist())
