# SPDX-License-Identifier: Apache-2.0
"""Calls that are contractions: what is prepared, contracted, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np

from acclimate.kernels.pulp.contract import Contraction, choices, share
from acclimate.kernels.pulp.contraction import Block
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.pointers import Taps
from acclimate.kernels.pulp.work import Choice, Elements, Micro, Request, Start, Work, print_starts

BARRIER_CYCLES = 20
_MOST_TAPS = 12  # of a loop body
_TAP_BYTES = 120  # of code, for the largest block
_WORD = 4


@dataclass(frozen=True)
class Statement:
    """C that all cores run; `cycles` of each."""

    text: str
    cycles: float


@dataclass(frozen=True)
class Barrier:
    """All cores meet."""


Step = Contraction | Statement | Barrier


@dataclass(frozen=True)
class Recipe:
    """The steps of a call.

    Args:
        steps: in order.
        loop: (variable, first, end) of a C loop around all steps, or None.
        scratch: f32 words.
    """

    steps: Sequence[Step]
    loop: tuple[str, int, int] | None = None
    scratch: int = 0


@dataclass(frozen=True)
class Contractions:
    """Generator of calls that are contractions.

    Args:
        recipes: what a request takes, or nothing where contractions cannot do it. The number is how
            many taps a loop body unrolls, where that is free to choose.
    """

    recipes: Callable[[Request, int], Sequence[Recipe]]
    most: int = field(default=400)

    def choices(self, request: Request) -> Iterator[Choice]:
        """Ways to compute a call, the most promising first."""
        recipes = self.recipes(request, 1)
        problems = [s for r in recipes for s in r.steps if isinstance(s, Contraction)]
        if not problems:
            return
        largest = max(problems, key=lambda p: p.taps.count * p.columns[0].size * len(p.rows[0]))
        # Loads of F registers do not move pointers: more taps in a body share the instruction.
        unrolls = (4, 2, 1) if request.core.float_registers else (1,)
        for choice in islice(choices(largest, request.core), self.most):
            for unroll in unrolls:
                if unroll == 1 or self.recipes(request, unroll) != recipes:
                    yield Choice.of(**dict(choice.items), unroll=unroll)

    def write(self, request: Request, choice: Choice) -> Work:
        """The code of a call.

        Raises:
            OutOfRegisters: this choice does not fit the core.
        """
        micros: list[Micro] = []
        body, cycles, scratch = "", 0.0, 0
        shared: list[Sequence[Sequence[Start]]] = []
        recipes = self.recipes(request, choice["unroll"])
        plain = True
        for recipe in recipes:
            text, once = "", 0.0
            for step in recipe.steps:
                if isinstance(step, Contraction):
                    fitted = _fitted(step, choice)
                    starts, slowest = share(step, fitted, request.core)
                    shared.append(starts)
                    text += print_starts(starts, micros)
                    once += slowest
                elif isinstance(step, Statement):
                    text += f"{step.text}\n"
                    once += step.cycles
                    plain = False
                elif request.core.cores > 1:
                    text += "ac_barrier();\n"
                    once += BARRIER_CYCLES
            times = 1
            if recipe.loop is not None:
                plain = False
                name, first, end = recipe.loop
                times = end - first
                head = f"for (int32_t {name} = {first}; {name} < {end}; {name}++) {{\n"
                text = head + "".join(f"    {line}\n" for line in text.splitlines()) + "}\n"
            body += text
            cycles += once * times
            scratch = max(scratch, recipe.scratch)
        touch = partial(_touched, shared) if plain else dict
        return Work(body, tuple(micros), cycles, scratch, touch)


def _fitted(problem: Contraction, choice: Choice) -> Choice:
    """The choice for a problem that may be smaller than the one it was made for."""
    rows = len(problem.rows[0])
    lines, width = problem.shape
    numbers = dict(choice.items)
    numbers["rows"] = min(numbers["rows"], rows)
    numbers["lines"] = min(numbers["lines"], lines)
    numbers["columns"] = min(numbers["columns"], width)
    while numbers["row_parts"] > rows:
        numbers["row_parts"] //= 2
    return Choice.of(**numbers)


def _touched(shared: Sequence[Sequence[Sequence[Start]]]) -> dict[str, list[Elements]]:
    """The elements that each core reads and writes, per operand."""
    names = {
        name
        for starts in shared
        for calls in starts
        for start in calls
        for name, _ in start.arguments[:4]
    } - {"NULL", ""}
    if not all(name.isidentifier() for name in names):
        return {}  # an operand with an offset of its own is a part, and the others are not known
    cores = len(shared[0])
    found: dict[str, list[list[Elements]]] = {name: [[] for _ in range(cores)] for name in names}
    for starts in shared:
        for core, calls in enumerate(starts):
            for start in calls:
                for name, elements in _elements(start):
                    if name in names:
                        found[name][core].append(elements)
    nothing = np.zeros(0, np.int64)
    return {
        name: [np.concatenate([nothing, *parts]) for parts in by_core]
        for name, by_core in found.items()
    }


def _elements(start: Start) -> Iterator[tuple[str, Elements]]:
    block = start.micro
    assert isinstance(block, Block)
    (a, at_a), (b, at_b), (c, at_c), (bias, at_bias) = start.arguments[:4]
    rows, outer, inner = (start.arguments[n][1] for n in (4, 5, 6))
    walk, taps = block.walk, block.taps
    spans_a, spans_b = [np.array(taps.a)], [np.array(taps.b)]
    for count, step_a, step_b in taps.loops:
        spans_a.append(np.array([0, (count - 1) * step_a]))
        spans_b.append(np.array([0, (count - 1) * step_b]))
    row_walk = np.arange(rows)
    columns = [np.arange(outer) * walk.outer[0], np.arange(inner) * walk.inner[0]]
    yield a, at_a + _span(np.array(block.rows), row_walk * walk.rows[0], *spans_a)
    if block.columns:
        yield b, at_b + _span(np.array(block.columns), *columns, *spans_b)
        places = np.add.outer(np.array(block.c_rows), np.array(block.c_columns)).reshape(-1)
        for step, count in ((walk.rows[1], rows), (walk.outer[1], outer), (walk.inner[1], inner)):
            if step:
                places = np.add.outer(np.arange(count) * step, places).reshape(-1)
        yield c, at_c + places // 4
    if block.result.bias or block.result.sums:
        by_row = block.result.sums or block.result.bias == "rows"
        lines = np.arange(len(block.rows) if by_row else len(block.columns)) * 4
        steps = [row_walk * walk.rows[2], np.arange(outer) * walk.outer[2]]
        yield bias, at_bias + _span(lines, *steps, np.arange(inner) * walk.inner[2])


def _span(*parts: Elements) -> Elements:
    """All elements between the first and the last one that a sum of offsets reaches."""
    low = sum(int(part.min()) for part in parts)
    high = sum(int(part.max()) for part in parts)
    return np.arange(low // 4, high // 4 + 1)


def loops(*counts: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """Loops over taps, innermost first, from (count, step of a, step of b) in words.

    Those that run once are left out.
    """
    kept = [(n, a * _WORD, b * _WORD) for n, a, b in counts if n > 1]
    return tuple(kept) or ((1, 0, 0),)


def most_taps(core: Core) -> int:
    """Taps of a loop body: as many as the instruction cache of a core holds, where it is small."""
    if not core.icache_bytes:
        return _MOST_TAPS
    return max(1, min(_MOST_TAPS, core.icache_bytes // _TAP_BYTES))


def unrolled(
    a: Sequence[int],
    b: Sequence[int],
    around: tuple[tuple[int, int, int], ...],
    unroll: int,
    most: int = _MOST_TAPS,
) -> Taps:
    """Taps of a body, several times over where the innermost count is a multiple.

    Args:
        a: offsets of the taps in words.
        b: of the other operand.
        around: of `loops`.
        unroll: how often.
        most: taps of a body.
    """
    count, step_a, step_b = around[0]
    if count % unroll or len(a) * unroll > most:
        unroll = 1
    times = range(unroll)
    return Taps(
        tuple(offset * _WORD + n * step_a for n in times for offset in a),
        tuple(offset * _WORD + n * step_b for n in times for offset in b),
        ((count // unroll, step_a * unroll, step_b * unroll), *around[1:]),
    )
