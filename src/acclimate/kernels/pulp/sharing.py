# SPDX-License-Identifier: Apache-2.0
"""How contractions are shared out to cores: calls of kernels and their cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby, pairwise

import numpy as np

from acclimate.kernels.pulp.contract import (
    WORD,
    Columns,
    Contraction,
    Rows,
    column_walks,
    fitted_tile,
    relative,
    row_blocks,
    row_walks,
)
from acclimate.kernels.pulp.contraction import Block, Walk
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.partition import Numbers, bounds, even, shares, tiles
from acclimate.kernels.pulp.timing import Timing
from acclimate.kernels.pulp.work import Choice, Start

_CONFLICTS = 1.01  # cores that meet in a bank, on average
_CONFLICTS_IN_STEP = 1.15  # where all stream rows that begin in one bank
MOST_ROWS = 6
_NO_WALK = Walk((0, 0, 0))


@cache
def call_cycles(block: Block, core: Core) -> tuple[float, float, float, float]:
    """Cycles of one call: fixed, per row block, per outer and per inner step."""
    timing = Timing.of(block.write(core), core, frozenset({"row", "outer", "inner"}))

    def cost(row: int, outer: int, inner: int) -> float:
        return timing.cycles({"row": row, "outer": outer, "inner": inner})

    base = cost(0, 0, 0)
    row = cost(1, 0, 0) - base
    outer = cost(1, 1, 0) - base - row
    inner = cost(1, 1, 1) - base - row - outer
    if not any(block.walk.outer):
        inner, outer = cost(1, 1, 1) - base - row, 0.0
    return base, row, outer, inner


def share(
    problems: Sequence[Contraction], choice: Choice, core: Core
) -> tuple[list[list[Start]], float]:
    """The calls of every core, and the cycles of the slowest one.

    Args:
        problems: with the same rows; cores share the columns of all as if they were one.
        choice: the largest block, and how many cores share the rows.
        core: the machine.

    Raises:
        OutOfRegisters: the block of this choice does not fit the core.
    """
    row_parts = choice["row_parts"]
    column_parts = core.cores // row_parts
    cuts = [*pairwise(bounds(len(problems[0].rows[0]), row_parts))]
    grains: list[tuple[Contraction, int, Numbers]] = []  # problem, of a block, columns
    for problem in problems:
        # Cores share the lines of blocks with several, and each makes blocks of its own.
        high, wide = fitted_tile((choice["lines"], choice["columns"]), problem.shape)
        grains += [(problem, high, grain) for grain in tiles(problem.shape, (1, wide))]
    most = problems[0].taps.count
    costs = [(len(grain) + 1.0 / high) * p.taps.count / most for p, high, grain in grains]
    every: list[list[tuple[Contraction, _Call]]] = []
    rows_of: dict[tuple[int, int], list[Rows]] = {}  # the same for all parts of the columns
    for column_part, part in enumerate(shares(costs, column_parts)):
        runs = groupby((grains[n] for n in part), key=lambda item: item[0])
        columns = [(problem, column_walks(problem, _blocks([*run]))) for problem, run in runs]
        for first, end in cuts:
            calls = []
            for problem, same in columns:
                if (id(problem), first) not in rows_of:
                    made = row_blocks(problem, range(first, end), choice["rows"])
                    rows_of[id(problem), first] = made
                found = _calls(problem, choice, rows_of[id(problem), first], same)
                calls += [(problem, call) for call in found]
            for problem in problems:
                if problem.result.sums:
                    lines = bounds(end - first, column_parts)
                    rows = range(first + lines[column_part], first + lines[column_part + 1])
                    calls += [(problem, call) for call in _sums(problem, choice, rows)]
            every.append(calls)
    every = _merge(every)
    starts, worst = [], 0.0
    for number, calls in enumerate(every):
        turn = number * choice["rotate"]
        starts.append([call.start(p, turn % p.taps.loops[-1][0]) for p, call in calls])
        worst = max(worst, sum(call.cycles(core) for _, call in calls))
    if core.cores > 1:
        drifting = choice["rotate"] > 0 or choice["rows"] > 1
        worst *= _CONFLICTS if drifting else _CONFLICTS_IN_STEP
    return starts, worst


def _blocks(grains: Sequence[tuple[Contraction, int, Numbers]]) -> list[Numbers]:
    """Columns of the blocks that a core makes of its lines."""
    found, at = [], 0
    for height in even(len(grains), grains[0][1]):
        found.append(np.concatenate([grain for _, _, grain in grains[at : at + height]]))
        at += height
    return found


@dataclass(frozen=True)
class _Call:
    """A walk of one kernel: byte offsets of its first block, and how far it goes."""

    block: Block
    a: int
    b: int
    c: int
    bias: int
    rows: int
    outer: int
    inner: int

    def start(self, problem: Contraction, start: int) -> Start:
        a, b, c, bias, rate = problem.names
        item_bytes = problem.result.item_bytes
        return Start(
            self.block,
            (
                (a, self.a // item_bytes),
                (b, self.b // item_bytes),
                (c, self.c // item_bytes),
                (bias, self.bias // WORD) if bias else ("NULL", 0),
                ("", self.rows),
                ("", self.outer),
                ("", self.inner),
                ("", start if self.block.rotates else 0),
                (rate or "NULL", 0),
            ),
        )

    def cycles(self, core: Core) -> float:
        base, row, outer, inner = call_cycles(self.block, core)
        return base + self.rows * (row + self.outer * (outer + self.inner * inner))


def _calls(
    problem: Contraction, choice: Choice, rows: Sequence[Rows], columns: Sequence[Columns]
) -> list[_Call]:
    """The calls of one core for some of the row and column blocks, by form."""
    found = []
    result, rotates = problem.result, choice["rotate"] > 0
    plain = replace(result, sums=False)
    by_row = result.bias_bytes if result.bias == "rows" else 0
    for block_rows in rows:
        step_a, step_c, step, plane = block_rows.steps
        a, c, at_plane, number = block_rows.first
        row_steps = step_a, step_c, step * by_row
        for one in columns:
            (outer, outer_step), (inner, inner_step) = one.outer, one.inner
            b, column, bias = one.first
            walk = Walk(row_steps, outer_step, inner_step, plane)
            form_a, form_c = block_rows.a, block_rows.c
            block = Block(form_a, one.b, form_c, one.c, problem.taps, plain, walk, rotates)
            at_bias = bias + number * by_row
            found.append(
                _Call(block, a, at_plane + b, c + column, at_bias, block_rows.count, outer, inner)
            )
    return found


def _sums(problem: Contraction, choice: Choice, rows: range) -> list[_Call]:
    """The calls for the sums of rows."""
    found = []
    for group, (step_a, step_c, step, _), count in row_walks(problem, rows, MOST_ROWS):
        a, c = (offsets[group] for offsets in problem.rows)
        walk = Walk((step_a, step_c, step * WORD))
        block = Block(
            relative(a), (), relative(c), (), problem.taps, problem.result, walk,
            choice["rotate"] > 0,
        )  # fmt: skip
        found.append(_Call(block, int(a[0]), 0, int(c[0]), group[0] * WORD, count, 1, 1))
    return found


def _merge(
    every: list[list[tuple[Contraction, _Call]]],
) -> list[list[tuple[Contraction, _Call]]]:
    """Lets walks of one step use the kernel of a longer walk: a loop that runs once has no step."""
    blocks = {call.block for calls in every for _, call in calls}
    alike: dict[Block, list[Block]] = defaultdict(list)
    for block in blocks:
        alike[replace(block, walk=_NO_WALK)].append(block)

    def steps(block: Block) -> int:
        walk = block.walk
        return sum(any(step) for step in ((*walk.rows, walk.planes), walk.outer, walk.inner))

    def covers(other: Block, block: Block) -> bool:
        mine, theirs = block.walk, other.walk
        pairs = (
            ((*mine.rows, mine.planes), (*theirs.rows, theirs.planes)),
            (mine.outer, theirs.outer),
            (mine.inner, theirs.inner),
        )
        return all(a == b or not any(a) for a, b in pairs)

    best = {}
    for same in alike.values():
        for block in same:
            able = [other for other in same if covers(other, block)]
            best[block] = max(able, key=lambda other: (steps(other), str(other.walk)))
    return [
        [
            (p, call if (to := best[call.block]) == call.block else replace(call, block=to))
            for p, call in calls
        ]
        for calls in every
    ]
