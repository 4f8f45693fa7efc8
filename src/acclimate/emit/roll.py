# SPDX-License-Identifier: Apache-2.0
"""Statements that repeat with other numbers become a loop.

Tiles are computed by the same statements at places in equal steps. Written out they would be longer
than the memory for code; the steps are found here, in the text, so that no stage before has to
speak of loops.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Ints = npt.NDArray[np.int64]

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?![\w.])")
_LEAST_TURNS = 3  # shorter ones are as long as the loop around them
_MOST_STATEMENTS = 64  # of one turn
_CYCLES = (2, 3)  # buffers that tiles take in turn


@dataclass(frozen=True)
class Statement:
    """A line of C.

    Args:
        text: without indentation.
        comment: above it; not part of what is compared.
        alone: of core 0 only.
    """

    text: str
    comment: str = ""
    alone: bool = False

    @cached_property
    def shape(self) -> tuple[bool, str]:
        """The text without its numbers."""
        return self.alone, _NUMBER.sub("#", self.text)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the text."""
        return tuple(int(number) for number in _NUMBER.findall(self.text))

    def with_numbers(self, texts: Sequence[str]) -> Statement:
        """The same with other numbers, which may be expressions."""
        given = iter(texts)
        return Statement(_NUMBER.sub(lambda _: next(given), self.text), self.comment, self.alone)


@dataclass(frozen=True)
class Loop:
    """Statements for t = 0 .. turns - 1."""

    turns: int
    body: tuple[Statement, ...]


def roll(statements: Sequence[Statement]) -> list[Statement | Loop]:
    """Finds loops, at every place the one that saves the most statements."""
    turns = _Turns(statements)
    found: list[Statement | Loop] = []
    at = 0
    while at < len(statements):
        period, count = turns.best(at)
        found.append(_loop(statements, at, period, count) if count > 1 else statements[at])
        at += period * count
    return found


class _Turns:
    """How often every run of statements repeats such that the repetitions are a loop.

    All places are looked at together, one period after the other: an entry point may have
    thousands of statements.
    """

    def __init__(self, statements: Sequence[Statement]) -> None:
        known: dict[tuple[bool, str], int] = {}
        self._shapes = np.array([known.setdefault(s.shape, len(known)) for s in statements])
        width = max([1, *(len(s.numbers) for s in statements)])
        # A shape fixes how many numbers there are: the columns behind are 0 in all of its lines.
        self._numbers = np.zeros((len(statements), width), np.int64)
        for row, statement in zip(self._numbers, statements, strict=True):
            row[: len(statement.numbers)] = statement.numbers
        most = min(_MOST_STATEMENTS, len(statements) // _LEAST_TURNS)
        self._turns = [self._of_period(period) for period in range(1, most + 1)]

    def best(self, at: int) -> tuple[int, int]:
        """Statements of a turn, and turns, of the loop that begins at a statement; 1, 1 if none."""
        found, saved = (1, 1), 0
        for period, turns in enumerate(self._turns, 1):
            count = int(turns[at]) if at < len(turns) else 0
            if count >= _LEAST_TURNS and (count - 1) * period > saved:
                found, saved = (period, count), (count - 1) * period
        return found

    def _of_period(self, period: int) -> Ints:
        """Turns of the loop with so many statements that begins at each statement."""
        rows = len(self._shapes) // period + 1
        pad = rows * period - len(self._shapes)
        shapes = np.append(self._shapes, np.full(pad, -1)).reshape(rows, period)
        numbers = np.pad(self._numbers, ((0, pad), (0, 0))).reshape(rows, period, -1)
        same = 1 + _run(shapes[1:] == shapes[:-1], rows)
        steps = np.diff(numbers, axis=0)
        regular = 2 + _run(steps[1:] == steps[:-1], rows)
        for cycle in _CYCLES:
            again = cycle + _run(numbers[cycle:] == numbers[:-cycle], rows)
            regular = np.maximum(regular, np.where(_in_turn(numbers, cycle), again, 0))
        each = np.minimum(same, regular.min(axis=2, initial=rows)).reshape(-1)
        turns: Ints = sliding_window_view(each[: len(self._shapes)], period).min(axis=1)
        return turns


def _run(holds: npt.NDArray[np.bool_], rows: int) -> Ints:
    """How many rows from each one on hold, for so many rows; those that are missing do not."""
    missing = np.zeros((rows - len(holds), *holds.shape[1:]), bool)
    at = np.arange(rows).reshape(-1, *[1] * (holds.ndim - 1))
    ends = np.where(np.concatenate([holds, missing]), rows, at)
    return np.minimum.accumulate(ends[::-1], axis=0)[::-1] - at


def _in_turn(numbers: Ints, cycle: int) -> npt.NDArray[np.bool_]:
    """True where the first values of a column are a rotation of low, low + step, ..."""
    turn = np.stack([numbers[n : len(numbers) - cycle + n + 1] for n in range(cycle)])
    low, high = turn.min(axis=0), turn.max(axis=0)
    step = (high - low) // (cycle - 1)
    place = np.argmin(turn, axis=0)
    fits = [
        np.take_along_axis(turn, ((place + n) % cycle)[None], axis=0)[0] == low + n * step
        for n in range(cycle)
    ]
    missing = np.zeros((cycle - 1, *numbers.shape[1:]), bool)
    return np.concatenate([np.all(fits, axis=0), missing])


def _loop(statements: Sequence[Statement], at: int, period: int, turns: int) -> Loop:
    body = []
    for first in range(at, at + period):
        turn = [statements[first + t * period].numbers for t in range(turns)]
        texts = [_expression(values) for values in zip(*turn, strict=True)]
        body.append(statements[first].with_numbers(texts))
    return Loop(turns, tuple(body))


def _expression(values: Sequence[int]) -> str:
    """`128`, `128 + t * 64`, `(t + 1) % 3 * 64`: what the values are."""
    first, step = values[0], values[1] - values[0]
    if all(value == first + t * step for t, value in enumerate(values)):
        return _sum(first, "t", step)
    for cycle in _CYCLES:
        low = min(values)
        step = min((v - low for v in values if v > low), default=0)
        phase, rest = divmod(first - low, step)
        if rest == 0 and all(v == low + (t + phase) % cycle * step for t, v in enumerate(values)):
            index = f"(t + {phase}) % {cycle}" if phase else f"t % {cycle}"
            return _sum(low, index, step)
    raise AssertionError(f"{values} are neither in steps nor in turn")


def _sum(first: int, index: str, step: int) -> str:
    if not step:
        return str(first)
    product = index if abs(step) == 1 else f"{index} * {abs(step)}"
    if step < 0:
        return f"{first} - {product}"
    return f"{first} + {product}" if first else product
