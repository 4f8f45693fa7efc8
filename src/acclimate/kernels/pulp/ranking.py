# SPDX-License-Identifier: Apache-2.0
"""Which blocks and partitions of contractions may be worth a look, by issue slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from acclimate.kernels.pulp.contract import Contraction, fitted_tile
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.partition import even
from acclimate.kernels.pulp.sharing import MOST_ROWS
from acclimate.kernels.pulp.work import Choice

_MOST_COLUMNS = 16
_MANY = 4  # blocks of a core
_CALL_SLOTS = 60.0  # of a call beside its blocks
_BETWEEN_SLOTS = 10  # from block to block


def ranked(problems: Sequence[Contraction], core: Core) -> list[tuple[float, Choice]]:
    """All blocks and partitions that may be worth a look, and their issue slots; fewest first.

    Args:
        problems: with the same rows, which cores share together.
        core: the machine.
    """
    kinds = Counter((problem.shape, problem.taps.count) for problem in problems)
    largest = max(problems, key=lambda p: p.taps.count * p.columns[0].size)
    rows, kind = len(largest.rows[0]), largest.result.kind
    lines, width = largest.shape
    if largest.result.int8:
        core = replace(core, float_registers=False)
    streams = largest.taps.loops[-1][0] >= 4 and core.cores > 1 and not largest.result.int8
    rotations = (0, 2) if streams else (0,)
    scored, seen = [], set()
    most = 1 if largest.planes is not None else MOST_ROWS
    for r, tile in _blocks(min(rows, most), lines, width, core):
        for row_parts in _parts(core.cores):
            most_rows = even(-(-rows // row_parts), r)
            cut = (*most_rows, 0, *even(lines, tile[0]), 0, *even(width, tile[1]))
            if row_parts > rows or (row_parts, cut) in seen:
                continue
            seen.add((row_parts, cut))
            score = _slots(kinds, kind, most_rows, tile, core.cores // row_parts)
            p, q = tile
            for rotate in rotations:
                choice = Choice.of(rows=r, lines=p, columns=q, row_parts=row_parts, rotate=rotate)
                # Cores that stream one row of weights each meet in a bank; blocks drift apart.
                usual = bool(rotate) == (r == 1)
                scored.append((score * (1.0 if usual else 1.02), choice))
    return sorted(scored, key=lambda item: (item[0], str(item[1])))


def _blocks(rows: int, lines: int, width: int, core: Core) -> Iterator[tuple[int, tuple[int, int]]]:
    free = 32 if core.float_registers else 28  # without the pointers
    for r in range(1, rows + 1):
        for q in range(1, min(width, _MOST_COLUMNS) + 1):
            for p in range(1, min(lines, _MOST_COLUMNS) + 1):
                c = p * q
                narrow = q < min(width, 4) and p == 1 and lines == 1
                if p > 1 and q < width:
                    continue  # several lines only where a whole line is short
                if r * c + r + min(2, c) <= free and not narrow:
                    yield r, (p, q)


def _parts(cores: int) -> list[int]:
    return [n for n in range(1, cores + 1) if cores % n == 0]


def _slots(
    kinds: Mapping[tuple[tuple[int, int], int], int],
    result: str,
    row_blocks: Sequence[int],
    tile: tuple[int, int],
    parts: int,
) -> float:
    """Issue slots of the busiest core, without writing the code.

    Args:
        kinds: how many problems there are of a shape and number of taps.
        result: its kind.
        row_blocks: sizes of the blocks of rows of a core.
        tile: lines and columns of the largest block.
        parts: of the columns.
    """
    stores = {"set": 1.0, "add": 2.0, "step": 3.0, "int8": 3.0}[result]

    @cache
    def slots(c: float, taps: int) -> float:
        return sum(
            taps * (r * c + r + c) + (taps if r == c == 1 else 0) + r * c * stores + _BETWEEN_SLOTS
            for r in row_blocks
        )

    total = largest = grain = 0.0
    count = lines_of_all = 0
    for ((lines, width), taps), times in kinds.items():
        p, q = fitted_tile(tile, (lines, width))
        pieces = (-(-lines // p), -(-width // q))
        blocks = times * pieces[0] * pieces[1]
        count += blocks
        lines_of_all += times * lines
        total += blocks * slots(lines * width / (pieces[0] * pieces[1]), taps)
        largest = max(largest, slots(-(-lines // pieces[0]) * -(-width // pieces[1]), taps))
        grain = max(grain, slots(-(-width // pieces[1]), taps))  # that cores share
    if len(kinds) == 1 and p > 1:  # each core makes blocks of its lines
        own_lines = -(-lines_of_all // parts)
        own = -(-own_lines // p)
        return _CALL_SLOTS + own * slots(own_lines * width / own, taps)
    if len(kinds) == 1:  # few blocks: the largest counts; many: their mean
        own = -(-count // parts)
        return _CALL_SLOTS + own * (largest if own < _MANY else total / count)
    calls = 1 + sum(kinds.values()) / parts
    return calls * _CALL_SLOTS + total / parts + (grain / 2 if parts > 1 else 0.0)
