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
    found: list[Statement | Loop] = []
    at = 0
    while at < len(statements):
        loop, length = _longest(statements, at)
        found.append(loop or statements[at])
        at += length
    return found


def _longest(statements: Sequence[Statement], at: int) -> tuple[Loop | None, int]:
    """The loop that begins at a statement, and how many statements it replaces."""
    best: tuple[Loop | None, int] = None, 1
    saved = 0
    for period in range(1, min(_MOST_STATEMENTS, (len(statements) - at) // _LEAST_TURNS) + 1):
        if statements[at].shape != statements[at + period].shape:
            continue
        turns = _regular(statements, at, period, _turns(statements, at, period))
        while turns >= _LEAST_TURNS and (turns - 1) * period > saved:
            loop = _loop(statements, at, period, turns)
            if loop:
                best, saved = (loop, turns * period), (turns - 1) * period
                break
            turns -= 1
    return best


def _turns(statements: Sequence[Statement], at: int, period: int) -> int:
    """How often the shapes repeat."""
    end = at + period
    while end < len(statements) and statements[end].shape == statements[end - period].shape:
        end += 1
    return (end - at) // period


def _regular(statements: Sequence[Statement], at: int, period: int, turns: int) -> int:
    """How often the numbers may go on in equal steps, or in turn."""
    for first in range(at, at + period):
        numbers = [statements[first + t * period].numbers for t in range(turns)]
        for values in zip(*numbers, strict=True):
            steps = (_equal(values, 1, values[1] - values[0]) if turns > 1 else turns,)
            turns = min(turns, max(*steps, *(_equal(values, cycle, 0) for cycle in _CYCLES)))
    return turns


def _equal(values: Sequence[int], apart: int, step: int) -> int:
    """How many of the first values differ by `step` from those `apart` before them."""
    for number in range(apart, len(values)):
        if values[number] - values[number - apart] != step:
            return number
    return len(values)


def _loop(statements: Sequence[Statement], at: int, period: int, turns: int) -> Loop | None:
    body = []
    for first in range(at, at + period):
        turn = [statements[first + t * period].numbers for t in range(turns)]
        texts = [_expression(values) for values in zip(*turn, strict=True)]
        if any(text is None for text in texts):
            return None
        body.append(statements[first].with_numbers([text for text in texts if text is not None]))
    return Loop(turns, tuple(body))


def _expression(values: Sequence[int]) -> str | None:
    """`128`, `128 + t * 64`, `(t + 1) % 3 * 64`: what the values are, or None."""
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
    return None


def _sum(first: int, index: str, step: int) -> str:
    if not step:
        return str(first)
    product = index if abs(step) == 1 else f"{index} * {abs(step)}"
    if step < 0:
        return f"{first} - {product}"
    return f"{first} + {product}" if first else product
